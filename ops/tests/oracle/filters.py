"""Results of scipy.ndimage and scikit-image that the filters are held against.

Without arguments: writes filters.json. With `--serve`: answers a case of the same form, without its result, on each line
of standard input by its result.

Elements are hexadecimal, C order, little endian; results that must be met bit by bit are the FNV-1a hash of their bytes.
`bound` is the sum of the magnitudes of the kernel's weights times the largest magnitude of the input: what an error is
measured by.
"""

import json
import sys
from pathlib import Path

import numpy as np
from scipy import ndimage
from scipy.ndimage._filters import _gaussian_kernel1d
from skimage import filters

MODES = ["reflect", "mirror", "nearest", "wrap", "constant"]
RANKS = {"median", "percentile", "minimum", "maximum"}


def fnv1a(data):
    h = 0xCBF29CE484222325
    for byte in data:
        h = (h ^ byte) * 0x100000001B3 % 2**64
    return f"{h:016x}"


def spatial(axes):
    return [i for i, c in enumerate(axes) if c in "zyx"]


def each(value, n):
    return list(value) if isinstance(value, list) else [value] * n


def per_item(a, axes, function):
    """Applies a function of the spatial axes alone to every channel and time point."""
    where = spatial(axes)
    rest = [i for i in range(a.ndim) if i not in where]
    moved = np.transpose(a, rest + where)
    flat = moved.reshape((-1,) + moved.shape[len(rest):])
    out = np.stack([function(np.ascontiguousarray(x)) for x in flat])
    out = out.reshape(moved.shape[:len(rest)] + out.shape[1:])
    return np.ascontiguousarray(np.transpose(out, np.argsort(rest + where)))


def weights(sigma, order, truncate=4.0):
    return float(np.abs(_gaussian_kernel1d(sigma, order, int(truncate * sigma + 0.5))).sum()) if sigma > 0 else 1.0


def ranked(op, x, p, mode):
    if "footprint" in p:
        where = {"footprint": np.array(p["footprint"], bool)}
    else:
        where = {"size": tuple(each(p["size"], x.ndim))}
    if op == "percentile":
        return ndimage.percentile_filter(x, p["percentile"], mode=mode, **where)
    return getattr(ndimage, f"{op}_filter")(x, mode=mode, **where)


def computed(op, x, p, axes):
    """The result on an array of spatial axes, and the sum of the kernel's magnitudes; 0 for an exact result."""
    mode, n = p.get("boundary", "reflect"), x.ndim
    dtype = x.dtype if p.get("compat") == "scipy" else np.float64
    exact = 0.0 if p.get("compat") == "scipy" else None
    if op in RANKS:
        return ranked(op, x, p, mode), 0.0
    if op == "uniform":
        return ndimage.uniform_filter(x, each(p["size"], n), output=dtype, mode=mode), 1.0 if exact is None else 0.0
    if op in ("sobel", "prewitt"):
        f = getattr(ndimage, op)
        total = 2.0 * (4.0 if op == "sobel" else 3.0) ** (n - 1)
        if p.get("axis") == "magnitude":
            parts = [f(x, i, output=np.float64, mode=mode) for i in range(n)]
            return np.sqrt(sum(v * v for v in parts)), total * n
        axis = n - 1 if "axis" not in p else [c for c in axes if c in "zyx"].index(p["axis"])
        return f(x, axis, output=dtype, mode=mode), total if exact is None else 0.0
    if op == "laplace":
        return ndimage.laplace(x, output=dtype, mode=mode), 4.0 * n if exact is None else 0.0
    truncate = p.get("truncate", 4.0)
    if op == "gaussian_derivative":
        sigma, order = each(p["sigma"], n), each(p["order"], n)
        total = float(np.prod([weights(s, k, truncate) for s, k in zip(sigma, order)]))
        return ndimage.gaussian_filter(x, sigma, order, np.float64, mode, truncate=truncate), total
    if op in ("gaussian_laplace", "gaussian_gradient_magnitude"):
        sigma, k = each(p["sigma"], n), 2 if op == "gaussian_laplace" else 1
        total = sum(weights(sigma[i], k) * np.prod([weights(s, 0) for s in sigma]) for i in range(n))
        return getattr(ndimage, op)(x, sigma, np.float64, mode), float(total)
    if op == "difference_of_gaussians":
        low = each(p["low_sigma"], n)
        high = each(p["high_sigma"], n) if "high_sigma" in p else [1.6 * s for s in low]
        smooth = [ndimage.gaussian_filter(x, s, 0, np.float64, mode, truncate=truncate) for s in (low, high)]
        return smooth[0] - smooth[1], 2.0
    if op == "unsharp_mask":
        sigma, amount = p.get("sigma", 1.0), p.get("amount", 1.0)
        out = filters.unsharp_mask(x.astype(np.float64), tuple(each(sigma, n)), amount, preserve_range=True)
        return out, 1.0 + 2.0 * abs(amount)
    if op == "local_threshold":
        size = tuple(each(p["size"], n))
        if p.get("method") == "sauvola":
            return x > filters.threshold_sauvola(x, size, p.get("k", 0.2), p.get("r")), 0.0
        method, offset = p.get("method", "gaussian"), p.get("offset", 0)
        return x > filters.threshold_local(x, size, method, offset, mode, p.get("sigma")), 0.0
    raise ValueError(op)


def answer(case):
    a = np.frombuffer(bytes.fromhex(case["input"]["hex"]), case["input"]["dtype"]).reshape(case["shape"])
    total = []

    def function(x):
        out, t = computed(case["op"], x, case["with"], case["axes"])
        total.append(t)
        return out

    out = per_item(a, case["axes"], function)
    if total[0] == 0.0:
        return case | {"output": {"dtype": str(out.dtype), "hash": fnv1a(out.tobytes())}}
    largest = float(np.abs(a.astype(np.float64)).max())
    return case | {"output": {"dtype": str(out.dtype), "hex": out.tobytes().hex(), "bound": total[0] * largest}}


def serve():
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))["output"]), flush=True)


def write():
    rng = np.random.default_rng(20261)
    cases = []

    def noise(shape, dtype):
        if np.dtype(dtype).kind == "f":
            return rng.normal(100, 30, shape).astype(dtype)
        i = np.iinfo(dtype)
        # scipy computes ranks in float64: beyond 2^53 they are not exact.
        return rng.integers(max(i.min, -(2**50)), min(i.max, 2**50), shape, dtype, endpoint=True)

    def case(op, axes, shape, kind, /, **p):
        a = noise(shape, kind)
        cases.append(answer({
            "op": op, "with": p, "axes": axes, "shape": list(shape),
            "input": {"dtype": str(a.dtype), "hex": a.tobytes().hex()},
        }))

    for mode in MODES:
        case("median", "yx", (17, 23), np.float64, size=3, boundary=mode)
        case("median", "zyx", (5, 7, 11), np.uint16, size=3, boundary=mode)
        case("median", "yxc", (13, 19, 3), np.uint8, size=[4, 5], boundary=mode)
        case("median", "yx", (29, 31), np.uint8, size=[15, 13], boundary=mode)
        case("median", "cyx", (2, 19, 17), np.int16, size=[11, 7], boundary=mode)
        case("percentile", "yx", (14, 15), np.float32, size=[5, 3], percentile=20, boundary=mode)
        case("percentile", "zyx", (6, 9, 8), np.int8, size=[5, 6, 7], percentile=73, boundary=mode)
        case("percentile", "zyx", (6, 9, 8), np.int32, size=9, percentile=50, boundary=mode)
        case("minimum", "yx", (16, 9), np.float64, size=[2, 11], boundary=mode)
        case("maximum", "tzyx", (2, 4, 7, 9), np.int64, size=[3, 2, 4], boundary=mode)
        case("maximum", "yx", (12, 13), np.uint8, footprint=[[0, 1, 0, 1], [1, 0, 0, 0]], boundary=mode)
        case("median", "yx", (12, 13), np.uint32, footprint=[[0, 1, 0], [1, 1, 1], [0, 1, 0]], boundary=mode)
        case("uniform", "yx", (11, 13), np.float64, size=[4, 5], boundary=mode)
        case("uniform", "zyx", (4, 5, 6), np.uint8, size=[3, 9, 2], boundary=mode)
        case("uniform", "yxc", (9, 12, 3), np.int16, size=[2, 5], boundary=mode, dtype="input", compat="scipy")
        case("uniform", "zyx", (6, 5, 4), np.uint32, size=3, boundary=mode, dtype="input", compat="scipy")
        case("sobel", "yx", (9, 11), np.float64, boundary=mode)
        case("sobel", "zyx", (4, 6, 5), np.int16, axis="z", boundary=mode)
        case("sobel", "zyx", (4, 6, 5), np.uint8, axis="magnitude", boundary=mode)
        case("sobel", "yx", (9, 11), np.uint8, axis="y", boundary=mode, dtype="input", compat="scipy")
        case("sobel", "zyx", (5, 6, 7), np.int16, axis="x", boundary=mode, dtype="input", compat="scipy")
        case("prewitt", "cyx", (2, 6, 5), np.float32, axis="y", boundary=mode)
        case("prewitt", "yx", (9, 11), np.uint16, axis="x", boundary=mode, dtype="input", compat="scipy")
        case("laplace", "zyx", (4, 6, 5), np.float64, boundary=mode)
        case("laplace", "yx", (9, 11), np.uint8, boundary=mode, dtype="input", compat="scipy")
        case("laplace", "zyx", (5, 6, 7), np.int16, boundary=mode, dtype="input", compat="scipy")
        case("gaussian_derivative", "yx", (9, 11), np.float64, sigma=[1.3, 0.8], order=[1, 0], boundary=mode)
        case("gaussian_derivative", "zyx", (3, 5, 6), np.uint8, sigma=0.9, order=[2, 1, 4], boundary=mode, truncate=3.0)
        case("gaussian_laplace", "yx", (9, 11), np.float64, sigma=[1.5, 1.0], boundary=mode)
        case("gaussian_gradient_magnitude", "zyx", (3, 5, 6), np.int16, sigma=1.1, boundary=mode)
        case("difference_of_gaussians", "yx", (9, 11), np.float64, low_sigma=0.7, boundary=mode)
        case("local_threshold", "yx", (19, 21), np.float64, size=[5, 7], method="mean", offset=1.5, boundary=mode)
        case("local_threshold", "yxc", (9, 11, 2), np.uint8, size=7, offset=-2.25, boundary=mode)
    case("unsharp_mask", "yx", (9, 11), np.float64)
    case("unsharp_mask", "zyx", (3, 5, 6), np.uint8, sigma=[0.5, 1.0, 1.5], amount=2.5)
    case("local_threshold", "yx", (25, 31), np.float64, size=15, method="sauvola", r=100.0)
    case("local_threshold", "yx", (25, 31), np.uint8, size=[5, 9], method="sauvola", k=0.3)
    case("local_threshold", "zyx", (9, 8, 7), np.int16, size=[1, 3, 5], method="sauvola")
    case("local_threshold", "yx", (25, 31), np.uint16, size=9, sigma=2.0, offset=0.5)
    Path(__file__).with_suffix(".json").write_text(json.dumps(cases, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        serve()
    else:
        write()
