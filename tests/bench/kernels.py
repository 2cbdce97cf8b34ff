"""The kernels of the bcss job against numpy, scipy and dask-image, each on the same input, on one thread.

  python tests/bench/kernels.py --data DIR            the first image of DIR/bcss, made if it is not there
  python tests/bench/kernels.py --image FILE.png

Builds the example `bench_kernels` and asks it for one run of a kernel at a time. Every round times each kernel a few times
with each contender, in turn; what counts is the CPU time of the one thread that works (user and system), so that other load
on the machine disturbs little. Prints nanoseconds per pixel: the least and the median of the rounds, what assembling a block
and its neighbours takes beside (only where a filter reads its input from a store or from memory: in a chain, what it needs is
computed as large as it is needed), and how many times as long as ours the peer's least is, without and with that. The last row
is the sum of the kernels of the job. It refuses when a result is not the peer's: bit by bit, gaussian within 1e-12.
"""
import argparse
import glob
import os
import subprocess
import sys
import tempfile
import time

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[threads] = "1"
import dask  # noqa: E402
import dask.array as da  # noqa: E402
import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402
from dask_image import ndfilters, ndmeasure  # noqa: E402
from scipy import ndimage as ndi  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
JOB = ("normalize", "grayscale", "gaussian 1", "threshold", "label")
WEIGHTS = (0.2125, 0.7154, 0.0721)


def normalize(rgb):
    lo, hi = float(rgb.min()), float(rgb.max())
    return (rgb.astype(np.float64) - lo) * (255.0 / (hi - lo))


def grayscale(norm):
    return norm[..., 0] * WEIGHTS[0] + norm[..., 1] * WEIGHTS[1] + norm[..., 2] * WEIGHTS[2]


def gaussian(sigma):
    return lambda a: ndi.gaussian_filter(a, sigma, truncate=4.0, output=np.float64)


def label(corners):
    structure = np.ones((3, 3)) if corners else None
    return lambda mask: ndi.label(mask, structure)[0]


def dask_gaussian(sigma):
    return lambda a: ndfilters.gaussian_filter(a.astype(np.float64), sigma=[sigma, sigma]).compute()


def peers(rgb, edge):
    """Each kernel: its input, its function in numpy or scipy, and in dask-image if that has one."""
    norm = normalize(rgb)
    gray, green = grayscale(norm), np.ascontiguousarray(rgb[..., 1])
    smooth = gaussian(1.0)(gray)
    above = lambda a: a > 0.75 * a.max()  # noqa: E731
    mask = above(smooth)
    noise = (green & 1) > 0
    blobs = gaussian(3.0)(noise.astype(np.float64)) > 0.5
    blocks = lambda a: da.from_array(a, chunks=(edge, edge))  # noqa: E731
    dask_label = lambda a: ndmeasure.label(a)[0].compute()  # noqa: E731
    table = {
        "normalize": (rgb, normalize, None),
        "grayscale": (norm, grayscale, None),
        "gaussian 1": (gray, gaussian(1.0), dask_gaussian(1.0)),
        "gaussian 1 uint8": (green, gaussian(1.0), dask_gaussian(1.0)),
        "gaussian 3": (gray, gaussian(3.0), dask_gaussian(3.0)),
        "gaussian 3 uint8": (green, gaussian(3.0), dask_gaussian(3.0)),
        "threshold": (smooth, above, None),
        "label": (mask, label(False), dask_label),
        "label corners": (mask, label(True), None),
        "label blobs": (blobs, label(False), dask_label),
        "label noise": (noise, label(False), dask_label),
        "cast": (norm, lambda a: a.astype(np.uint8), None),
    }
    return {k: (a, f, d and (lambda d=d, a=a: d(blocks(a)))) for k, (a, f, d) in table.items()}


class Ours:
    """The example, which runs one kernel each time it is asked."""

    def __init__(self, program, rgb, edge, folder):
        self.folder = folder
        self.height, self.width = rgb.shape[:2]
        rgb.tofile(f"{folder}/rgb")
        command = [program, f"{folder}/rgb", str(self.height), str(self.width), str(edge)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        return answer or sys.exit(f"bench_kernels stopped at `{line}`")

    def nanos(self, kernel):
        return [int(n) for n in self.ask(f"time {kernel}").split()]

    def result(self, kernel, dtype):
        self.ask(f"write {kernel} {self.folder}/result")
        return np.fromfile(f"{self.folder}/result", dtype).reshape(self.height, self.width, -1).squeeze()


def nanos(f):
    start = time.thread_time_ns()
    f()
    return time.thread_time_ns() - start


def check(kernel, ours, theirs):
    got = ours.result(kernel, np.uint32 if kernel.startswith("label") else theirs.dtype)
    same = np.allclose(got, theirs, rtol=1e-12, atol=1e-12) if "gaussian" in kernel else np.array_equal(got, theirs)
    if not same:
        sys.exit(f"refused: the result of {kernel} is not the peer's")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", help="folder of the generated inputs")
    p.add_argument("--image", help="one RGB image instead")
    p.add_argument("--program", help="the example, already built")
    p.add_argument("--rounds", type=int, default=9)
    p.add_argument("--repeat", type=int, default=3, help="runs one after the other in each round: the later are warm")
    p.add_argument("--dask-rounds", type=int, default=2, help="rounds that time dask-image too, which takes long")
    p.add_argument("--edge", type=int, default=256, help="extent of our blocks and dask's chunks")
    p.add_argument("--only", nargs="*", help="kernels to time")
    a = p.parse_args()
    if not a.image and not a.data:
        p.error("one of --data and --image is needed")
    if not a.image:
        if not glob.glob(f"{a.data}/bcss/*.png"):
            gen = [sys.executable, f"{HERE}/peers/gen.py", "--data", a.data, "--only", "bcss", "--images", "1"]
            subprocess.run(gen, check=True)
        a.image = sorted(glob.glob(f"{a.data}/bcss/*.png"))[0]
    if not a.program:
        build = ["cargo", "build", "--release", "-p", "ops", "--example", "bench_kernels"]
        subprocess.run(build, check=True, cwd=ROOT)
        a.program = os.path.join(ROOT, "target", "release", "examples", "bench_kernels")
    dask.config.set(scheduler="synchronous")
    rgb = np.asarray(Image.open(a.image).convert("RGB"))
    times = {}
    with tempfile.TemporaryDirectory() as folder:
        ours = Ours(a.program, rgb, a.edge, folder)
        kernels = {k: v for k, v in peers(rgb, a.edge).items() if not a.only or k in a.only}
        for kernel, (data, peer, _) in kernels.items():
            check(kernel, ours, peer(data))
        for turn in range(a.rounds):
            for kernel, (data, peer, dask_peer) in kernels.items():
                own, beside, theirs, slow = times.setdefault(kernel, ([], [], [], []))
                for _ in range(a.repeat):
                    taken, assembling = ours.nanos(kernel)
                    own.append(taken)
                    beside.append(assembling)
                    theirs.append(nanos(lambda: peer(data)))
                if dask_peer and turn < a.dask_rounds:
                    slow.append(nanos(dask_peer))
    pixels = rgb.shape[0] * rgb.shape[1]
    print(f"{os.path.basename(a.image)}, {rgb.shape[0]} x {rgb.shape[1]}, blocks of {a.edge}, {a.rounds} rounds,")
    print("one thread, CPU time: nanoseconds per pixel, least (median)\n")
    print("| kernel | ours | assembling | numpy, scipy | dask-image | scipy / ours | with assembling | dask-image / ours |")
    print("|---|---|---|---|---|---|---|---|")
    for kernel, row in times.items():
        least = [min(t) / pixels if t else 0 for t in row]
        median = [sorted(t)[len(t) // 2] / pixels if t else 0 for t in row]
        table_row(kernel, least, median)
    if all(kernel in times for kernel in JOB):
        least = [sum(min(times[k][i]) for k in JOB) / pixels for i in range(3)] + [0]
        median = [sum(sorted(times[k][i])[len(times[k][i]) // 2] for k in JOB) / pixels for i in range(3)] + [0]
        table_row("sum of the job's", least, median)


def table_row(name, least, median):
    """A row of the table; 0 stands for what was not timed."""
    shown = [f"{a:.2f} ({b:.2f})" if a else "-" for a, b in zip(least, median)]
    own, beside, theirs, slow = least
    ratios = [theirs / own, theirs / (own + beside), slow / own]
    print("| " + " | ".join([name, *shown, *(f"{r:.1f}" if r else "-" for r in ratios)]) + " |")


if __name__ == "__main__":
    main()
