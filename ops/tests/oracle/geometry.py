"""Results of numpy, scipy and scikit-image that ops of geometry and measuring are held against.

Without arguments: writes geometry.json. With `--serve`: answers a case of the same form, without its result, on each line
of standard input by its result.

A case has lists of inputs, each a list of items: arrays of hexadecimal elements, C order, little endian. The result is an
array, as the FNV-1a hash of its bytes or, where it is met within a bound, by its elements; or the columns of a table.
"""

import json
import sys
from pathlib import Path

import numpy as np
from scipy import stats
from skimage.measure import block_reduce


def fnv1a(data):
    h = 0xCBF29CE484222325
    for byte in data:
        h = (h ^ byte) * 0x100000001B3 % 2**64
    return f"{h:016x}"


def read(item):
    return np.frombuffer(bytes.fromhex(item["hex"]), item["dtype"]).reshape(item["shape"])


def per_axis(value, axes, default):
    """A value for each axis, from a mapping or one for all spatial axes."""
    if isinstance(value, dict):
        return [value.get(c, default) for c in axes]
    return [value if c in "zyx" else default for c in axes]


def windows(a, factors):
    shape = [-(-n // f) for n, f in zip(a.shape, factors)]
    for at in np.ndindex(*shape):
        yield at, a[tuple(slice(i * f, (i + 1) * f) for i, f in zip(at, factors))]


def downsample(a, axes, factor, method="mean"):
    factors = per_axis(factor, axes, 1)
    if method == "nearest":
        return a[tuple(slice(None, None, f) for f in factors)]
    if method == "mode":
        out = np.empty([-(-n // f) for n, f in zip(a.shape, factors)], a.dtype)
        for at, w in windows(a, factors):
            out[at] = stats.mode(w.view(np.uint8) if a.dtype == bool else w, axis=None).mode
        return out
    if method == "max":
        low = -np.inf if a.dtype.kind == "f" else False if a.dtype == bool else np.iinfo(a.dtype).min
        return block_reduce(a, tuple(factors), np.max, cval=low).astype(a.dtype)
    if method == "min":
        high = np.inf if a.dtype.kind == "f" else True if a.dtype == bool else np.iinfo(a.dtype).max
        return block_reduce(a, tuple(factors), np.min, cval=high).astype(a.dtype)
    # The sums of the test data are exact.
    wide = a.astype(np.float64 if a.dtype.kind == "f" else np.int64)
    total = block_reduce(wide, tuple(factors), np.sum, cval=0)
    count = block_reduce(np.ones(a.shape, np.int64), tuple(factors), np.sum, cval=0)
    mean = total / count
    return (mean if a.dtype.kind == "f" else np.rint(mean)).astype(a.dtype)


def answer(case):
    inputs = [[read(i) for i in items] for items in case["inputs"]]
    axes, p = case["inputs"][0][0]["axes"], case["with"]
    a = inputs[0][0]
    if case["op"] == "downsample":
        return array(downsample(a, axes, **p), axes)
    raise ValueError(case["op"])


def array(out, axes, bound=None):
    out = np.ascontiguousarray(out)
    result = {"dtype": str(out.dtype), "shape": list(out.shape), "axes": axes}
    if bound is None:
        return result | {"hash": fnv1a(out.tobytes())}
    return result | {"hex": out.tobytes().hex(), "bound": bound}


def serve():
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)


def write():
    rng = np.random.default_rng(20262)
    cases = []

    def noise(shape, dtype):
        if np.dtype(dtype).kind == "f":
            return (rng.integers(-8000, 9000, shape) / 8).astype(dtype)
        if np.dtype(dtype) == bool:
            return rng.integers(0, 2, shape).astype(bool)
        i = np.iinfo(dtype)
        # Sums of a window are made in int64 and divided in float64.
        return rng.integers(max(i.min, -(2**45)), min(i.max, 2**45), shape, dtype, endpoint=True)

    def item(a, axes):
        return {"axes": axes, "shape": list(a.shape), "dtype": str(a.dtype), "hex": a.tobytes().hex()}

    def case(op, axes, shape, kind, /, **p):
        content = rng.integers(0, 4, shape).astype(kind) if p.get("method") == "mode" else noise(shape, kind)
        given = {"op": op, "with": p, "inputs": [[item(content, axes)]]}
        cases.append(given | {"output": answer(given)})

    for method in ["mean", "nearest", "mode", "max", "min"]:
        case("downsample", "yx", (13, 17), np.uint8, factor=2, method=method)
        case("downsample", "yx", (9, 22), np.uint16, factor={"y": 4, "x": 4}, method=method)
        case("downsample", "yxc", (7, 11, 3), np.uint8, factor=2, method=method)
        case("downsample", "zyx", (5, 6, 7), np.int16, factor={"z": 2, "y": 3}, method=method)
        case("downsample", "tcyx", (2, 3, 5, 7), np.uint32, factor={"t": 2, "c": 2, "x": 3}, method=method)
        case("downsample", "zyx", (4, 5, 19), np.int32, factor={"z": 3, "y": 2, "x": 4}, method=method)
        case("downsample", "yx", (15, 14), np.int64, factor=3, method=method)
        case("downsample", "yx", (11, 8), np.float32, factor=2, method=method)
        case("downsample", "zyx", (5, 5, 9), np.float64, factor=4, method=method)
        case("downsample", "yx", (9, 10), bool, factor=2, method=method)
    text = "[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]\n"
    Path(__file__).with_suffix(".json").write_text(text)


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        serve()
    else:
        write()
