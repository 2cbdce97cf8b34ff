"""Writes gaussian_scipy.json: scipy.ndimage.gaussian_filter on small arrays, every mode, halos beyond the array.

Floats are hexadecimal bit patterns. `weights` are scipy's own, so that the test can tell a difference of the
exponential function from one of the order of additions.
"""

import json
from pathlib import Path

import numpy as np
from scipy import ndimage
from scipy.ndimage._filters import _gaussian_kernel1d


def bits(a):
    return [format(v, "016x") for v in np.ascontiguousarray(a, np.float64).view(np.uint64).ravel()]


rng = np.random.default_rng(11)
cases = []


def case(a, axes, sigma, mode, truncate=4.0):
    spatial = [i for i, c in enumerate(axes) if c in "zyx"]
    sigmas = sigma if isinstance(sigma, list) else [sigma] * len(spatial)
    out = ndimage.gaussian_filter(a, sigma, mode=mode, truncate=truncate, axes=spatial, output=np.float64)
    cases.append({
        "with": {"sigma": sigma, "boundary": mode, "truncate": truncate},
        "axes": axes,
        "shape": a.shape,
        "input": {"dtype": str(a.dtype), "values": bits(a)},
        "weights": [bits(_gaussian_kernel1d(s, 0, int(truncate * s + 0.5))) for s in sigmas if s > 0],
        "output": bits(out),
    })


for mode in ["reflect", "mirror", "nearest", "wrap", "constant"]:
    case(rng.normal(size=(17, 23)), "yx", 1.0, mode)
    case(rng.integers(0, 256, (5, 19, 3), dtype=np.uint8), "yxc", [2.0, 0.7], mode)
    case(rng.normal(size=(3, 5, 7)).astype(np.float32), "zyx", [1.5, 0.0, 2.5], mode, 3.0)
    case(rng.normal(size=(2, 3)), "yx", 3.0, mode)  # the halo of 12 is four times the array
    case(rng.normal(size=(1, 1)), "yx", 1.0, mode)
    case(rng.integers(-1000, 1000, (2, 4, 18), dtype=np.int16), "cyx", 0.55, mode)
case(rng.normal(size=(40, 33)), "yx", 40.0, "reflect")
Path(__file__).with_suffix(".json").write_text(json.dumps(cases) + "\n")
