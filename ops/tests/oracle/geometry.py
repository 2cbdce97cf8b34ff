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
from skimage.transform import resize as skimage_resize

PAD = {"reflect": "symmetric", "mirror": "reflect", "nearest": "edge", "wrap": "wrap", "constant": "constant"}


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


def pad(a, axes, before=None, after=None, boundary="reflect", value=0):
    sides = list(zip(per_axis(before or {}, axes, 0), per_axis(after or {}, axes, 0)))
    if boundary == "constant":
        return np.pad(a, sides, constant_values=np.array(value).astype(a.dtype))
    return np.pad(a, sides, PAD[boundary])


def project(a, axes, axis, method):
    at = axes.index(axis)
    out = {"max": np.max, "min": np.min, "mean": np.mean, "sum": np.sum}[method](
        a, axis=at, **({"dtype": np.float64} if a.dtype.kind == "f" and method in ("mean", "sum") else {})
    )
    if method == "sum" and a.dtype.kind in "bu":
        out = out.astype(np.uint64)
    return out, axes.replace(axis, "")


def resized(a, axes, order, shape, dtype):
    extents = [shape.get(c, n) for c, n in zip(axes, a.shape)]
    if order == "linear":
        out = skimage_resize(
            a.astype(np.float64), extents, order=1, mode="edge", anti_aliasing=False, preserve_range=True
        )
        return array(out, axes, float(np.abs(a.astype(np.float64)).max()))
    if order == "nearest":
        return array(skimage_resize(a, extents, order=0, mode="edge", anti_aliasing=False, preserve_range=True), axes)
    factors = tuple(n // m for n, m in zip(a.shape, extents))
    out = block_reduce(a.astype(np.float64), factors, np.mean)
    return array(out, axes, float(np.abs(a.astype(np.float64)).max()))


def column(name, v):
    v = np.asarray(v)
    if v.dtype.kind == "f":
        return {"name": name, "kind": "float64", "values": [f"{b:016x}" for b in v.astype(np.float64).view(np.uint64).tolist()]}
    return {"name": name, "kind": "int64" if v.dtype.kind == "i" else "uint64", "values": [str(x) for x in v.tolist()]}


def statistics(v, quantiles=()):
    finite = v[np.isfinite(v)] if v.dtype.kind == "f" else v
    # Sums of eighths and of small integers are exact in float64; others are not compared.
    wide = finite.astype(np.float64)
    found = {"min": wide.min(), "max": wide.max(), "sum": wide.sum(), "mean": wide.mean(), "std": wide.std()}
    found |= {f"quantile_{q}": np.quantile(wide, q) for q in quantiles}
    return [column("count", np.array([finite.size], np.uint64)), *(column(k, [float(x)]) for k, x in found.items())]


def histogram(v, bins=256, range=None):
    # numpy makes the edges of float32 arrays in float32.
    counts, edges = np.histogram(v.astype(np.float64) if v.dtype.kind == "f" else v, bins, range)
    return [column("lower", edges[:-1]), column("upper", edges[1:]), column("count", counts.astype(np.uint64))]


def unique(v):
    values, counts = np.unique(v, return_counts=True)
    wide = np.int64 if v.dtype.kind == "i" else np.uint64
    return [column("value", values.astype(wide)), column("count", counts.astype(np.uint64))]


def answer(case):
    inputs = [[read(i) for i in items] for items in case["inputs"]]
    axes, p = case["inputs"][0][0]["axes"], case["with"]
    a, op = inputs[0][0], case["op"]
    if op == "downsample":
        return array(downsample(a, axes, **p), axes)
    if op == "flip":
        return array(np.flip(a, [axes.index(c) for c in p["axes"]]), axes)
    if op == "transpose":
        return array(np.transpose(a, [axes.index(c) for c in p["axes"]]), p["axes"])
    if op == "pad":
        return array(pad(a, axes, **p), axes)
    if op == "project":
        return array(*project(a, axes, **p))
    if op == "concatenate":
        arrays = inputs[0] if len(inputs) == 1 else [i[0] for i in inputs]
        return array(np.concatenate(arrays, axes.index(p["axis"])), axes)
    if op == "resize":
        return resized(a, axes, **p)
    if op == "expression":
        names = {chr(97 + i): x[0].astype(np.float64) for i, x in enumerate(inputs)}
        functions = {"where": np.where, "sqrt": np.sqrt, "abs": np.abs, "min": np.minimum, "max": np.maximum}
        return array(eval(p["expression"], functions | {"__builtins__": {}}, names).astype(np.float64), axes)
    if op in ("statistics", "histogram", "unique"):
        p = {k: v for k, v in p.items() if k != "over"}
        together = np.concatenate([x.ravel() for x in inputs[0]])
        return {"table": {"statistics": statistics, "histogram": histogram, "unique": unique}[op](together, **p)}
    raise ValueError(op)


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

    def case_of(op, inputs, /, **p):
        given = {"op": op, "with": p, "inputs": inputs}
        cases.append(given | {"output": answer(given)})

    def case(op, axes, shape, kind, /, **p):
        content = rng.integers(0, 4, shape).astype(kind) if p.get("method") == "mode" else noise(shape, kind)
        case_of(op, [[item(content, axes)]], **p)

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
    case("flip", "yx", (5, 7), np.uint8, axes="x")
    case("flip", "zyxc", (3, 4, 5, 3), np.uint16, axes="yz")
    case("flip", "tcyx", (2, 3, 4, 5), np.float32, axes="tc")
    case("transpose", "yx", (37, 70), np.uint8, axes="xy")
    case("transpose", "yxc", (9, 11, 3), np.uint16, axes="cyx")
    case("transpose", "tzcyx", (2, 3, 2, 5, 4), np.float64, axes="xctyz")
    for boundary in PAD:
        case("pad", "yx", (5, 6), np.uint8, before={"y": 2, "x": 9}, after={"x": 3}, boundary=boundary)
        case("pad", "zyxc", (2, 3, 4, 3), np.float32, before={"z": 5}, after={"c": 1, "y": 2}, boundary=boundary)
    case("pad", "yx", (5, 6), np.int16, before={"y": 2}, after={"x": 3}, boundary="constant", value=-5)
    for method in ["max", "min", "mean", "sum"]:
        case("project", "zyx", (5, 6, 7), np.uint8, axis="z", method=method)
        case("project", "zyx", (5, 6, 7), np.int16, axis="x", method=method)
        case("project", "tcyx", (4, 2, 3, 5), np.float32, axis="t", method=method)
        case("project", "yxc", (6, 5, 4), np.float64, axis="c", method=method)
        case("project", "yx", (6, 5), bool, axis="y", method=method)
    case("project", "yx", (9, 5), np.int64, axis="y", method="sum")
    for axes, axis, shapes, kind in [
        ("yx", "y", [(3, 4), (2, 4)], np.uint8),
        ("zyx", "x", [(2, 3, 4), (2, 3, 1), (2, 3, 5)], np.float32),
        ("tcyx", "c", [(2, 1, 3, 4), (2, 2, 3, 4)], np.int16),
    ]:
        case_of("concatenate", [[item(noise(s, kind), axes)] for s in shapes], axis=axis)
    case_of("concatenate", [[item(noise((3, 4), np.uint16), "yx") for _ in range(3)]], axis="x")
    for shape in [{"y": 14, "x": 22}, {"y": 5, "x": 30}, {"x": 3}]:
        case("resize", "yx", (7, 11), np.float64, shape=shape, order="linear", dtype="float64")
        case("resize", "yx", (7, 11), np.uint8, shape=shape, order="linear", dtype="float64")
    case("resize", "zyx", (3, 4, 5), np.float32, shape={"z": 6, "x": 7}, order="linear", dtype="float64")
    case("resize", "yxc", (9, 6, 3), np.uint16, shape={"y": 3, "x": 2}, order="area", dtype="float64")
    case("resize", "zyx", (4, 6, 8), np.float64, shape={"z": 2, "x": 2}, order="area", dtype="float64")
    case("resize", "yx", (7, 5), np.uint8, shape={"y": 21, "x": 15}, order="nearest", dtype="input")
    for text in ["a * 2 + b", "where(a > b, a - b, sqrt(abs(b)))", "min(a, b) / (max(a, 1) + 0.5) - -b", "(a <= b) * 3 + (a != 7)"]:
        for kind in [np.uint8, np.int16, np.float32]:
            given = [[item(noise((5, 7), k), "yx")] for k in (kind, np.float64)]
            case_of("expression", given, expression=text)
    some = [0, 0.01, 0.25, 0.5, 0.9, 1]
    for kind in [np.uint8, np.uint16, np.int8, np.int16, np.uint32, np.int32, np.float32, np.float64, bool]:
        case("statistics", "zyx", (3, 11, 13), kind, quantiles=[] if kind is bool else some)
        case("histogram", "yx", (31, 17), kind if kind is not bool else np.uint8, bins=10)
        case("histogram", "yx", (31, 17), kind if kind is not bool else np.uint8, bins=33, range=[3, 99.5])
        if np.dtype(kind).kind != "f":
            case("unique", "tyx", (2, 19, 13), kind)
    case("histogram", "yxc", (30, 31, 3), np.uint8)
    thousandths = np.arange(1001).reshape(7, 143) / 1000
    for bins in [10, 33, 100]:
        case_of("histogram", [[item(thousandths, "yx")]], bins=bins, range=[0, 1])
        case_of("histogram", [[item(thousandths - 0.3, "yx")]], bins=bins)
    case("unique", "yx", (9, 7), np.int64)
    case("unique", "yx", (9, 7), np.uint64)
    for op in ["statistics", "histogram"]:
        case_of(op, [[item(noise((3, n), np.int16), "yx") for n in (4, 9)]], over="collection")
    text = "[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]\n"
    Path(__file__).with_suffix(".json").write_text(text)


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        serve()
    else:
        write()
