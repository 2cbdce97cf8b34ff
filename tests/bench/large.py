"""Work on arrays larger than memory, against bare loops and against other software, interleaved in one run.

  python tests/bench/large.py --data DIR --out DIR [--only copy,label] [--rounds 7] [--small]

Makes the inputs in DATA once (3 GB on the way, 1.3 GB kept) and builds the engine and the example `bare_zarr`, unless
`--engine` and `--bare` name them. Every round runs each contender once, as a process of its own, on as many threads, every
second round the other way round. Outputs are removed, written bytes are on disk and the input is read once before the next one
starts: all read from the page cache and write to it (`--durability process`). Codec, level and chunks of what is written are
equal: zstd 3. The engine's time is that of its whole process, with planning, its record and its journal, which the others have
not; a peer in Python tells its own, after its imports.

It refuses when decoded results differ: element for element; labels as components, since numbers are the program's choice;
mean and deviation in nine digits. Prints the machine's limits, the table, and which of the ratios hold, by their median.
"""
import argparse
import csv
import json
import os
import platform
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(f"{HERE}/../..")
sys.path.insert(0, HERE)
from jobs import Place, jobs  # noqa: E402
from measure import rows, taken, verdicts  # noqa: E402


def made(data, small):
    """Generates what is not there yet."""
    size = ["--volume", "64", "256", "256", "--cube", "32", "64", "64", "--chunk2d", "256"] if small else []
    for folder, only, side in ((data, ["volume", "image", "blobs"], 2048 if small else 16384),
                               (f"{data}/half", ["blobs"], 1024 if small else 8192)):
        if not os.path.exists(f"{folder}/complete"):
            gen = [sys.executable, f"{HERE}/peers/gen.py", "--data", folder, "--side", str(side), *size, "--only", *only]
            subprocess.run(gen, check=True, stdout=sys.stderr)
            open(f"{folder}/complete", "w").close()


def built():
    build = ["cargo", "build", "--locked", "--release", "-p", "engine", "--bin", "engine", "--example", "bare_zarr"]
    subprocess.run(build, check=True, cwd=ROOT)
    return f"{ROOT}/target/release/engine", f"{ROOT}/target/release/examples/bare_zarr"


def limits(at):
    """Rows of the machine's own speeds."""
    model = next((s.split(":")[1].strip() for s in open("/proc/cpuinfo") if s.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    print(f"{model}, {os.cpu_count()} processors, {memory:.0f} GiB; {at.threads} threads each\n")
    print(f"| GB/s of decoded data, 1 thread / {at.threads} threads | copy in memory | decode | encode by level 3 | ratio | "
          "encode as the engine | ratio |")
    print("|---|---|---|---|---|---|---|")
    for store in ("image.zarr", "volume.zarr", "slabs.zarr", "blobs.zarr"):
        p = subprocess.run([at.bare, "limits", f"{at.data}/{store}", str(at.threads)], stdout=subprocess.PIPE, check=True)
        found = json.loads(p.stdout)
        pair = {k: " / ".join(f"{v:.2f}" for v in found[k]) for k in ("memcpy", "decode", "level", "encode")}
        level, ours = (f"{v:.3g}" for v in found["ratio"])
        cells = [pair["memcpy"], pair["decode"], pair["level"], level, pair["encode"], ours]
        print(f"| {store}, zstd 3 | {' | '.join(cells)} |")
    print(flush=True)


def once(at, job, name, turn, results):
    """Runs a contender; in its first round its result is digested."""
    contender = job.contenders[name]
    out = f"{at.out}/result"
    shutil.rmtree(out, ignore_errors=True)
    os.sync()
    warm(f"{at.data}/{job.store}")
    record = taken([out if c == "OUT" else c for c in contender.command], contender.inner)
    if turn == 0:
        paths = [os.path.normpath(f"{out}/{r}") for r in contender.result]
        found = table(record["told"], paths) if job.same == "table" else digest(job, paths)
        if found is not None:
            results[name] = found
    record["written"] = sum(size(os.path.normpath(f"{out}/{r}")) for r in contender.result)
    record["voxels"] = voxels(f"{at.data}/{job.store}")
    shutil.rmtree(out, ignore_errors=True)
    return record


def digest(job, paths):
    """Of what was written. In a process of its own: what this one takes would count as memory of those it starts."""
    if not paths:
        return None
    crop = ",".join(map(str, job.crop)) if job.crop else "-"
    p = subprocess.run([sys.executable, f"{HERE}/same.py", job.same, crop, *paths], stdout=subprocess.PIPE, check=True)
    return p.stdout.decode().strip()


def table(told, paths):
    """Extremes exactly, mean and deviation in nine digits; from a table that was written or from what a peer told."""
    if paths:
        with open(paths[0]) as f:
            told = next(csv.DictReader(f))
    return [f"{float(told[k]):.9g}" for k in ("min", "max", "mean", "std")] if "min" in told else None


def warm(store):
    """Reads a store once, so that it is in the page cache: systems take away what has not been looked at for a while."""
    for folder, _, files in os.walk(store):
        for name in files:
            with open(f"{folder}/{name}", "rb", buffering=0) as f:
                while f.read(1 << 20):
                    pass


def size(path):
    """Bytes of a file, or of all files below a directory."""
    if os.path.isfile(path):
        return os.path.getsize(path)
    return sum(os.path.getsize(f"{at}/{f}") for at, _, files in os.walk(path) for f in files)


def voxels(store):
    shape = json.load(open(f"{store}/zarr.json"))["shape"]
    n = 1
    for extent in shape:
        n *= extent
    return n


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", required=True, help="folder of the generated inputs")
    p.add_argument("--out", required=True, help="folder for results, which are removed")
    p.add_argument("--engine")
    p.add_argument("--bare")
    p.add_argument("--only", help="jobs, with commas between them")
    p.add_argument("--rounds", type=int, default=7)
    p.add_argument("--slow-rounds", type=int, default=1, help="rounds of dask and dask-image where no other peer is slower")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--small", action="store_true", help="small inputs: shows that it works, not how fast anything is")
    p.add_argument("--without", default="", help="contenders to leave out, with commas between them")
    a = p.parse_args()
    if not (a.engine and a.bare):
        engine, bare = built()
        a.engine, a.bare = a.engine or engine, a.bare or bare
    data, out = os.path.abspath(a.data) + ("/small" if a.small else ""), os.path.abspath(a.out)
    at = Place(os.path.abspath(a.engine), os.path.abspath(a.bare), data, out, a.threads, a.small, a.slow_rounds)
    for threads in ("OMP", "RAYON"):
        os.environ[f"{threads}_NUM_THREADS"] = str(a.threads)
    made(data, a.small)
    limits(at)
    todo = {k: v for k, v in jobs(at).items() if not a.only or k in a.only.split(",")}
    print(f"| job | contender | wall s, median (range) of {a.rounds} | CPU s | memory MiB | MB written | "
          "wall against the engine |")
    print("|---|---|---|---|---|---|---|")
    held = []
    for key, job in todo.items():
        job.contenders = {k: v for k, v in job.contenders.items() if k not in a.without.split(",")}
        records, results = {k: [] for k in job.contenders}, {}
        for turn in range(a.rounds):
            for name, contender in list(job.contenders.items())[:: -1 if turn % 2 else 1]:
                if turn < contender.rounds:
                    records[name].append(once(at, job, name, turn, results))
        if len({str(v) for v in results.values()}) > 1:
            sys.exit(f"refused: the results of {key} differ: {results}")
        print("\n".join(rows(key, records)), flush=True)
        held += verdicts(key, [t for t in job.targets if t.other in records and t.ours in records], records)
    print("\n| job | ratio | at least | found | holds |\n|---|---|---|---|---|")
    print("\n".join(held))


if __name__ == "__main__":
    main()
