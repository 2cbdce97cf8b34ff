"""Writes measure_exact.json: statistics of labelled regions, exactly (fractions), and checked against scipy.

Floats are hexadecimal bit patterns.
"""

import json
import math
import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
from scipy import ndimage


def bits(x):
    return format(struct.unpack("<Q", struct.pack("<d", x))[0], "016x")


rng = np.random.default_rng(3)
cases = []


def case(labels, image):
    axes = "zyx"[-labels.ndim:]
    ids = [int(i) for i in np.unique(labels) if i]
    columns = {"label": ids}

    def put(name, value):
        columns.setdefault(name, []).append(value)

    for i in ids:
        inside = labels == i
        # Exact: float32 and integers up to 64 bits are Fractions as they stand.
        v = [Fraction(x) if isinstance(x, int) else Fraction(float(x)) for x in image[inside].tolist()]
        n, s, s2 = len(v), sum(v), sum(x * x for x in v)
        put("count", n)
        mean, std = float(s / n), math.sqrt(float((n * s2 - s * s) / (n * n)))
        put("mean", bits(mean))
        put("std", bits(std))
        put("min", bits(float(min(v))))
        put("max", bits(float(max(v))))
        put("sum", bits(float(s)))
        where = np.nonzero(inside)
        box = ndimage.find_objects((inside).astype(np.uint8))[0]
        for a, b, w in zip(axes, box, where):
            put("bbox_min_" + a, int(b.start))
            put("bbox_max_" + a, int(b.stop))
            put("centroid_" + a, bits(float(Fraction(int(w.sum()), n))))
        if image.dtype.itemsize < 8 or image.dtype.kind == "f":
            f = image.astype(np.float64)
            assert math.isclose(mean, float(ndimage.mean(f, labels, i)), rel_tol=1e-9, abs_tol=1e-9)
            assert math.isclose(std, float(ndimage.standard_deviation(f, labels, i)), rel_tol=1e-6, abs_tol=1e-9)
            assert float(min(v)) == float(ndimage.minimum(f, labels, i))
            assert np.allclose(ndimage.center_of_mass(inside), [w.mean() for w in where])
    cases.append({
        "axes": axes,
        "shape": labels.shape,
        "labels": {"dtype": str(labels.dtype), "values": [int(v) for v in labels.ravel()]},
        "image": {"dtype": str(image.dtype), "values": [bits(float(x)) for x in image.ravel().tolist()]},
        "columns": columns,
    })


def blobs(shape, share):
    return ndimage.label(rng.random(shape) < share)[0]


case(blobs((19, 23), 0.5).astype(np.uint32), rng.integers(0, 256, (19, 23)).astype(np.uint8))
case(blobs((13, 17), 0.55).astype(np.int64), rng.normal(1e6, 1e-3, (13, 17)))
case(blobs((4, 7, 9), 0.3).astype(np.uint16), rng.normal(0, 1e20, (4, 7, 9)).astype(np.float32))
case(rng.random((11, 13)) < 0.5, rng.integers(-32768, 32768, (11, 13)).astype(np.int16))
# Multiples of 2**40 beyond 2**53: float64 carries them into the test exactly.
case(blobs((12, 12), 0.5).astype(np.uint8), rng.integers(-(2**22), 2**22, (12, 12)) * 2**40)
case((rng.integers(0, 3, (9, 9)) * 4_000_000_000_000).astype(np.uint64), rng.integers(0, 2**32, (9, 9)).astype(np.uint32))
case(rng.integers(0, 2, (5, 5)).astype(np.int8), rng.random((5, 5)) * 1e-300)
case(np.zeros((3, 4), np.uint8), np.ones((3, 4)))
Path(__file__).with_suffix(".json").write_text(json.dumps(cases, separators=(",", ":")) + "\n")
