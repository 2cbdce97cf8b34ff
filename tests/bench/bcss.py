"""The bcss job against its peers and against its own kernels, interleaved in one run.

  python bcss.py --engine target/release/engine --bare target/release/examples/bare_loop --data DIR --out DIR

Every round runs each contender once; medians and ratios are printed at the end. It refuses when the decoded masks and
labels of two contenders differ, or when the PNGs of the engine are more than 1.2 times as large as a peer's.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "peers"))


def size(path):
    return sum(os.path.getsize(os.path.join(d, f)) for d, _, fs in os.walk(path) for f in fs)


def timed(cmd):
    """Wall and CPU seconds and peak memory in MiB of a whole process, and the last JSON line it prints."""
    import resource
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    p = subprocess.run(cmd, stdout=subprocess.PIPE, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    line = [s for s in p.stdout.splitlines() if s.startswith("{")][-1]
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(line), cpu


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--engine", required=True)
    p.add_argument("--bare", required=True)
    p.add_argument("--data", required=True)
    p.add_argument("--out", required=True)
    p.add_argument("--rounds", type=int, default=7)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--peers", nargs="*", default=["scipy", "dask", "cluster"])
    a = p.parse_args()
    workflow = os.path.join(HERE, "..", "..", "workflows", "bcss.yaml")
    images = os.path.join(os.path.abspath(a.data), "bcss")
    if not os.path.isdir(images):
        subprocess.run([sys.executable, os.path.join(HERE, "peers", "gen.py"), "--data", a.data, "--only", "bcss"], check=True)
    peer = [sys.executable, os.path.join(HERE, "peers", "w1_bcss.py"), "--data", a.data, "--out", a.out,
            "--workers", str(a.threads)]
    contenders = {
        "engine": [a.engine, "run", workflow, "--set", f"images={images}/*.png", "--out", f"{a.out}/engine", "--json",
                   "--progress", "none", "--threads", str(a.threads)],
        "bare loop": [a.bare, images, f"{a.out}/bare", str(a.threads)],
        "scipy": [*peer, "--peer", "scipy"],
        "dask": [*peer, "--peer", "dask", "--mode", "threads"],
        "cluster": [*peer, "--peer", "dask", "--mode", "cluster"],
    }
    contenders = {k: v for k, v in contenders.items() if k in ("engine", "bare loop") or k in a.peers}
    results = {k: [] for k in contenders}
    from w1_bcss import digest
    digests, sizes = {}, {}
    for _ in range(a.rounds):
        for name, cmd in contenders.items():
            shutil.rmtree(f"{a.out}/engine", ignore_errors=True)
            shutil.rmtree(f"{a.out}/bare", ignore_errors=True)
            os.makedirs(a.out, exist_ok=True)
            record, cpu = timed(cmd)
            record["process_cpu_s"] = cpu
            results[name].append(record)
            if name not in digests:
                where = {"engine": f"{a.out}/engine/Results", "bare loop": f"{a.out}/bare"}.get(name)
                digests[name] = digest(where)[0] if where else record["digest"]
                sizes[name] = size(where) / 1e6 if where else record["out_mb"]
    if len(set(digests.values())) != 1:
        sys.exit(f"refused: the decoded outputs differ: {digests}")
    for name, mb in sizes.items():
        if sizes["engine"] > 1.2 * mb:
            sys.exit(f"refused: the engine wrote {sizes['engine']:.1f} MB, {name} {mb:.1f} MB")
    median = lambda name, key: statistics.median(r[key] for r in results[name])
    base = median("engine", "wall_s")
    print("| contender | wall s, median (range) | CPU s | memory MiB | MB written | wall against the engine |")
    print("|---|---|---|---|---|---|")
    for name, rs in results.items():
        walls = [r["wall_s"] for r in rs]
        rss = [r.get("peak_rss_mib") or r.get("peak_rss_bytes", 0) / 2**20 for r in rs]
        print(f"| {name} | {statistics.median(walls):.2f} ({min(walls):.2f}-{max(walls):.2f}) | "
              f"{median(name, 'process_cpu_s'):.2f} | {max(rss):.0f} | {sizes[name]:.1f} | "
              f"{statistics.median(walls) / base:.2f} |")


if __name__ == "__main__":
    main()
