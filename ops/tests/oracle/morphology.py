"""Results of scipy.ndimage and scikit-image that the morphology is held against.

Without arguments: writes morphology.json. With `--serve`: answers a case of the same form, without its result, on each
line of standard input by its result.

Elements are hexadecimal, C order, little endian. All results must be met bit by bit, and are the FNV-1a hash of their
bytes, but distances with a sampling: these are met within a relative error, and given themselves.
"""

import json
import sys
import warnings
from pathlib import Path

sys.dont_write_bytecode = True

import numpy as np
from filters import each, fnv1a, per_item
from scipy import ndimage
from skimage import morphology

MODES = ["reflect", "mirror", "nearest", "wrap", "constant"]
NAMES = {"erode": "erosion", "dilate": "dilation", "open": "opening", "close": "closing"}


def structure(footprint, rank):
    if isinstance(footprint, list):
        return np.array(footprint, bool)
    (shape, size), = footprint.items()
    if shape == "box":
        return np.ones(each(size, rank), bool)
    if shape == "cross":
        if size == 0:
            return np.ones((1,) * rank, bool)
        return ndimage.iterate_structure(ndimage.generate_binary_structure(rank, 1), size)
    return {1: lambda r: np.ones(2 * r + 1), 2: morphology.disk, 3: morphology.ball}[rank](size).astype(bool)


def computed(op, x, p):
    n = x.ndim
    connectivity = p.get("connectivity", 1)
    if op in NAMES:
        s, mode = structure(p.get("footprint", {"cross": 1}), n), p.get("boundary", "reflect")
        if x.dtype == bool and mode == "constant":
            return getattr(ndimage, f"binary_{NAMES[op]}")(x, s)
        grey = x.view(np.uint8) if x.dtype == bool else x
        return getattr(ndimage, f"grey_{NAMES[op]}")(grey, footprint=s, mode=mode).view(x.dtype)
    if op == "fill_holes":
        return ndimage.binary_fill_holes(x, ndimage.generate_binary_structure(n, connectivity))
    if op == "remove_small":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return morphology.remove_small_objects(x, max_size=p["min_size"] - 1, connectivity=connectivity)
    if op == "distance_transform":
        sampling = each(p.get("sampling", 1), n)
        if p.get("squared"):
            # Of the indices of the nearest background, so that no root was taken.
            _, where = ndimage.distance_transform_edt(x, sampling, return_indices=True)
            d = (where - np.indices(x.shape)) * np.reshape(np.array(sampling, float), (-1,) + (1,) * n)
            return (d * d).sum(0)
        return ndimage.distance_transform_edt(x, sampling)
    raise ValueError(op)


def answer(case):
    a = np.frombuffer(bytes.fromhex(case["input"]["hex"]), case["input"]["dtype"]).reshape(case["shape"])
    out = per_item(a, case["axes"], lambda x: computed(case["op"], x, case["with"]))
    if "sampling" in case["with"]:
        return case | {"output": {"dtype": str(out.dtype), "hex": out.tobytes().hex()}}
    return case | {"output": {"dtype": str(out.dtype), "hash": fnv1a(out.tobytes())}}


def serve():
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))["output"]), flush=True)


def write():
    rng = np.random.default_rng(20262)
    cases = []

    def noise(shape, dtype):
        if np.dtype(dtype).kind == "f":
            return rng.normal(100, 30, shape).astype(dtype)
        i = np.iinfo(dtype)
        # scipy computes ranks in float64: beyond 2^53 they are not exact.
        return rng.integers(max(i.min, -(2**50)), min(i.max, 2**50), shape, dtype, endpoint=True)

    def case(op, axes, a, **p):
        cases.append(answer({
            "op": op, "with": p, "axes": axes, "shape": list(a.shape),
            "input": {"dtype": str(a.dtype), "hex": a.tobytes().hex()},
        }))

    def mask(shape, share):
        # Blobs, so that the parts of a mask are neither single voxels nor all one.
        smooth = ndimage.gaussian_filter(rng.normal(size=shape), 1.0)
        return smooth < np.quantile(smooth, share)

    lopsided = [[0, 0, 1, 1], [1, 0, 1, 0]]
    for op in NAMES:
        for mode in MODES:
            case(op, "yx", mask((17, 23), 0.6), boundary=mode)
            case(op, "yx", mask((17, 24), 0.7), boundary=mode, footprint={"box": [3, 4]})
            case(op, "zyx", mask((6, 7, 9), 0.6), boundary=mode, footprint={"cross": 2})
            case(op, "yx", noise((13, 17), np.uint8), boundary=mode, footprint={"ball": 3})
            case(op, "zyx", noise((4, 6, 7), np.uint16), boundary=mode, footprint={"ball": 2})
            case(op, "tcyx", noise((2, 2, 5, 9), np.int16), boundary=mode, footprint=lopsided)
            case(op, "yxc", noise((4, 17, 2), np.float64), boundary=mode, footprint={"box": [2, 13]})
            case(op, "yx", noise((13, 21), np.float32), boundary=mode, footprint={"ball": 9})
            case(op, "zyx", noise((3, 4, 5), np.int64), boundary=mode, footprint={"box": 3})
    for connectivity in (1, 2, 3):
        for share in (0.4, 0.6, 0.9):
            case("fill_holes", "zyx", rng.random((8, 9, 11)) < share, connectivity=connectivity)
            case("remove_small", "zyx", rng.random((8, 9, 11)) < share / 4, connectivity=connectivity, min_size=3)
    for connectivity in (1, 2):
        for share in (0.5, 0.7):
            case("fill_holes", "yx", rng.random((23, 31)) < share, connectivity=connectivity)
            case("fill_holes", "yx", mask((47, 41), share), connectivity=connectivity)
            case("remove_small", "yx", mask((47, 41), share / 2), connectivity=connectivity, min_size=12)
            case("remove_small", "yx", rng.random((23, 31)) < share, connectivity=connectivity, min_size=5)
    for dtype in (np.uint8, np.int16, np.uint32, np.int64):
        case("remove_small", "yx", rng.integers(0, 90, (23, 31)).astype(dtype), min_size=8)
        labels = ndimage.label(rng.random((9, 11, 13)) < 0.3)[0].astype(dtype)
        case("remove_small", "zyx", labels, min_size=4)
    for shape, axes in (((23, 19), "yx"), ((5, 9, 8), "zyx"), ((2, 2, 9, 11), "tcyx"), ((13, 11, 2), "yxc")):
        n = sum(c in "zyx" for c in axes)
        for share in (0.6, 0.97):
            a = rng.random(shape) < share
            case("distance_transform", axes, a)
            case("distance_transform", axes, a, squared=True)
            case("distance_transform", axes, a, sampling=list(rng.uniform(0.2, 5.0, n)))
            case("distance_transform", axes, a.astype(np.int32) * 3, sampling=0.37, squared=True)
    case("distance_transform", "x", rng.random(97) < 0.9)
    Path(__file__).with_suffix(".json").write_text(json.dumps(cases, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        serve()
    else:
        write()
