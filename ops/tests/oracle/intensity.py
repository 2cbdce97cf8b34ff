"""Writes intensity.json: results of numpy 2 and scikit-image 0.26 that the ops are held against.

Run in this directory: python intensity.py ASTRONAUT.png   (the 512 x 512 RGB image of scikit-image)
Inputs, and results with a tolerance, are hex strings of their bytes, C order, little endian. Exact results are the
FNV-1a hash of their bytes, with the first elements for whoever has to find a difference.
"""

import json
import sys

import numpy as np
from PIL import Image
from skimage.filters import threshold_otsu
from skimage.util import invert

rng = np.random.default_rng(20260117)
photo = np.asarray(Image.open(sys.argv[1]).convert("RGB"))[96:116, 200:218]
gray8 = photo[..., 1].copy()
cases = []
inputs = {}


def store(a):
    a = np.ascontiguousarray(a)
    return {"shape": list(a.shape), "dtype": str(a.dtype), "hex": a.tobytes().hex()}


def fnv1a(data):
    h = 0xCBF29CE484222325
    for byte in data:
        h = (h ^ byte) * 0x100000001B3 % 2**64
    return f"{h:016x}"


def case(op, with_, axes, a, result, tolerance=0.0):
    array = store(a)
    name = fnv1a(array["hex"].encode())[:6]
    inputs[name] = array | {"axes": axes}
    output = store(result)
    if not tolerance:
        output |= {"hash": fnv1a(bytes.fromhex(output.pop("hex"))), "first": result.ravel()[:3].astype(float).tolist()}
    cases.append({"op": op, "with": with_, "input": name, "output": output, "tolerance": tolerance})


def stretch(x, lo, hi, a, b):
    x = x.astype(np.float64)
    lo, hi = np.float64(lo), np.float64(hi)
    y = (x - lo) * ((b - a) / (hi - lo))
    return y if a == 0 else y + a


f32 = rng.normal(100, 30, (19, 13)).astype(np.float32)
f64 = rng.normal(-5, 2, (17, 16))
i16 = rng.integers(-3000, 3000, (11, 23)).astype(np.int16)
u16 = (rng.gamma(2.0, 900.0, (12, 12))).astype(np.uint16)
i64 = rng.integers(-(2**62), 2**62, (5, 7))
u64 = rng.integers(0, 2**64, (5, 7), dtype=np.uint64)

for a, axes in [(photo, "yxc"), (gray8, "yx"), (f32, "yx"), (i16, "yx"), (u16, "yx")]:
    case("normalize", {}, axes, a, stretch(a, a.min(), a.max(), 0.0, 255.0))
    case("normalize", {"range": [-1, 1]}, axes, a, stretch(a, a.min(), a.max(), -1.0, 1.0))
for a in [gray8, f64, f32.astype(np.float64), u16, i16.astype(np.int32)]:
    for low, high in [(1, 99), (0.1, 99.9), (12.5, 50), (0, 33)]:
        lo, hi = np.percentile(a.astype(np.float64), [low, high])
        with_ = {"method": "percentile", "percentiles": [low, high], "range": [0, 1]}
        case("normalize", with_, "yx", a, stretch(a, lo, hi, 0.0, 1.0))
for a in [f64, u16]:
    case("normalize", {"method": "zscore"}, "yx", a, (a - a.mean()) / a.std(), 1e-12)

p = photo.astype(np.float64)
case("grayscale", {}, "yxc", photo, p[..., 0] * 0.2125 + p[..., 1] * 0.7154 + p[..., 2] * 0.0721)

luma = (p[..., 0] * 0.2125 + p[..., 1] * 0.7154 + p[..., 2] * 0.0721)
for a in [gray8, photo[..., 0], photo[..., 2], u16, i16, luma, f64, u16.astype(np.int64), np.full((4, 4), 9, np.uint8)]:
    case("threshold", {"method": "otsu"}, "yx", a, a > threshold_otsu(a))
case("threshold", {"relative_to": "max", "factor": 0.75}, "yx", luma, luma > 0.75 * luma.max())
case("threshold", {"value": 100}, "yx", gray8, gray8 > 100)

labels = rng.integers(0, 100000, (9, 9)).astype(np.int32)
case("cast", {"dtype": "uint8", "rounding": "wrap"}, "yx", labels, labels.astype(np.uint8))
case("cast", {"dtype": "int8", "rounding": "wrap"}, "yx", i16, i16.astype(np.int8))
case("cast", {"dtype": "uint8", "rounding": "truncate"}, "yx", luma, luma.astype(np.uint8))
case("cast", {"dtype": "uint8"}, "yx", luma, np.rint(luma).astype(np.uint8))
case("cast", {"dtype": "float32"}, "yx", i64, i64.astype(np.float32))
case("cast", {"dtype": "float32"}, "yx", u64, u64.astype(np.float32))
case("cast", {"dtype": "float64"}, "yx", u64, u64.astype(np.float64))
case("cast", {"dtype": "uint64", "rounding": "wrap"}, "yx", i64, i64.astype(np.uint64))
case("cast", {"dtype": "bool"}, "yx", gray8, gray8.astype(bool))

for a in [gray8, i16, u64, gray8 > 90, f64]:
    case("invert", {}, "yx", a, invert(a))
case("clip", {"min": 50, "max": 120}, "yx", gray8, np.clip(gray8, 50, 120))
case("crop", {"y": [3, 17], "x": [10, 99], "clip": True}, "yxc", photo, photo[3:17, 10:99])

with open("intensity.json", "w") as f:
    json.dump({"inputs": inputs, "cases": cases}, f, separators=(",", ":"))
    f.write("\n")
