"""Writes exact_sums.json: sums, sums of squares, means and population variances from math.fsum and fractions.

Floats are hexadecimal bit patterns, so that nothing is lost in text.
"""

import json
import math
import random
import struct
from fractions import Fraction
from pathlib import Path


def bits(x):
    return format(struct.unpack("<Q", struct.pack("<d", x))[0], "016x")


def to_float(q):
    try:
        return float(q)  # CPython divides the integers of a Fraction correctly rounded.
    except OverflowError:
        return math.inf if q > 0 else -math.inf


def case(name, values):
    q = [Fraction(v) for v in values]
    n, s, s2 = len(q), sum(q), sum(x * x for x in q)
    total = to_float(s)
    if math.isfinite(total):
        try:
            assert math.fsum(values) == total
        except OverflowError:
            pass  # fsum overflows on intermediate sums
    return {
        "name": name,
        "values": [bits(v) for v in values],
        "sum": bits(total),
        "squares": bits(to_float(s2)),
        "mean": bits(to_float(s / n)),
        "variance": bits(to_float((n * s2 - s * s) / (n * n))),
    }


def random_bits(rng):
    while True:
        x = struct.unpack("<d", struct.pack("<Q", rng.getrandbits(64)))[0]
        if math.isfinite(x):
            return x


rng = random.Random(7)
cases = [
    case("image", [rng.random() * 255 for _ in range(300)]),
    case("offset", [1e9 + rng.random() for _ in range(200)]),
    case("any bits", [random_bits(rng) for _ in range(120)]),
    case("subnormal", [rng.randrange(1 << 52) * 5e-324 * rng.choice((-1, 1)) for _ in range(80)]),
    case("cancelling", [s * 10.0**e for e in range(-200, 200, 17) for s in (1, -1)] + [3e-300]),
    case("large", [1.7e308, 1.7e308, -1.6e308, -1.7e308, 1e292]),
    case("tenths", [0.1] * 10),
    case("small squares", [rng.random() * 1e-155 for _ in range(60)]),
    case("one", [-2.5]),
]
# The zero of an exact sum is +0, as in fractions.
Path(__file__).with_suffix(".json").write_text(json.dumps(cases, indent=0) + "\n")
