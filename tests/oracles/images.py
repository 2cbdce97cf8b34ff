"""Holds results of runs against scipy.ndimage and scikit-image, element by element.

Reads from standard input a JSON list of runs: `input` (an image or a Zarr array), `limit` of its mask, and `outputs` by name,
each with the `path` of its Zarr array, its `op`, the parameters in `with`, and `of`: `image` or `mask`. Writes a line of JSON
for each output: its name and its `error`, null where shape, dtype and elements are as expected: exactly, or for filters of
float64 within 1e-12 of the sum of the kernel's magnitudes times the largest magnitude of the input; `share` is the largest
difference as a share of that.
"""

import json
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "ops/tests/oracle"))

import filters
import morphology
import numpy as np
import tifffile
import zarr
from PIL import Image
from scipy import ndimage
from skimage.filters import threshold_local

EXACT = {"erode", "dilate", "open", "close", "fill_holes", "remove_small", "distance_transform"}


def read(path):
    if path.endswith(".png"):
        return np.asarray(Image.open(path))
    return tifffile.imread(path) if path.endswith(".tif") else zarr.open_array(path, mode="r")[:]


def expected(op, x, p):
    """The result, and the sum of the kernel's magnitudes; 0 for an exact one."""
    mode = p.get("boundary", "reflect")
    if op == "threshold":
        return x > p["value"], 0.0
    if op == "gaussian":
        return ndimage.gaussian_filter(x, filters.each(p["sigma"], x.ndim), 0, np.float64, mode), 1.0
    if op == "unsharp_mask":
        f = x.astype(np.float64)
        return f + (f - ndimage.gaussian_filter(f, p["sigma"], 0, np.float64, mode)) * p["amount"], 1.0 + 2.0 * p["amount"]
    if op == "label":
        s = ndimage.generate_binary_structure(x.ndim, p["connectivity"])
        return ndimage.label(x, s)[0].astype(np.uint32), 0.0
    if op == "local_threshold" and p["method"] != "sauvola":
        # scikit-image computes the limits of float64 in float64.
        limit = threshold_local(x.astype(np.float64), p["size"], p["method"], p["offset"], mode, p.get("sigma"))
        return x > limit, 0.0
    if op in EXACT:
        return morphology.computed(op, x, p), 0.0
    return filters.computed(op, x, p, "zyx"[3 - x.ndim:])


def compared(out, want, bound):
    """What is wrong, and the largest difference as a share of what may be."""
    if out.shape != want.shape or out.dtype != want.dtype:
        return f"{out.dtype} {out.shape}, expected {want.dtype} {want.shape}", None
    if bound == 0.0:
        wrong = np.argwhere(~((out == want) | ((out != out) & (want != want))))
        share = 0.0
    else:
        shares = np.abs(out - want) / (1e-12 * bound)
        wrong, share = np.argwhere(~(shares <= 1.0)), float(shares.max())
    if not len(wrong):
        return None, share
    at = tuple(wrong[0])
    return f"{len(wrong)} elements differ, the first at {list(map(int, at))}: {out[at]!r}, expected {want[at]!r}", share


def main():
    for run in json.load(sys.stdin):
        image = read(run["input"])
        mask = image > run["limit"]
        largest = float(np.abs(image.astype(np.float64)).max())
        for name, output in run["outputs"].items():
            want, total = expected(output["op"], image if output["of"] == "image" else mask, output["with"])
            error, share = compared(read(output["path"]), np.asarray(want), total * largest)
            print(json.dumps({"name": f"{run['name']} {name} {output['op']} {json.dumps(output['with'])}",
                              "error": error, "share": share}), flush=True)


if __name__ == "__main__":
    main()
