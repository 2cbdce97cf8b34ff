"""CPU time of scipy.ndimage's filters; `bench_filters.rs` runs it.

Reads lines of [op, parameters, axes, dtype] as JSON, prints nanoseconds of CPU time an element, one line each.
"""

import json
import sys
import time

import numpy as np
from scipy import ndimage

FUNCTIONS = {
    "median": ndimage.median_filter,
    "percentile": ndimage.percentile_filter,
    "maximum": ndimage.maximum_filter,
    "uniform": ndimage.uniform_filter,
    "sobel": ndimage.sobel,
    "laplace": ndimage.laplace,
    "gaussian_laplace": ndimage.gaussian_laplace,
    "gaussian_gradient_magnitude": ndimage.gaussian_gradient_magnitude,
}
RANKS = {"median", "percentile", "maximum"}

for line in sys.stdin:
    op, parameters, axes, dtype = json.loads(line)
    shape = (512,) * 2 if axes == "yx" else (64,) * 3
    a = (np.random.default_rng(1).random(shape) * 255).astype(dtype)
    if "footprint" in parameters:
        parameters["footprint"] = np.array(parameters["footprint"], bool)
    if op not in RANKS:
        parameters["output"] = np.float64
    best, begun = float("inf"), time.process_time()
    while best == float("inf") or time.process_time() - begun < 0.3:
        start = time.process_time()
        FUNCTIONS[op](a, **parameters)
        best = min(best, time.process_time() - start)
    print(best / a.size * 1e9, flush=True)
