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
    "distance_transform": ndimage.distance_transform_edt,
}
GREY = {"erode": ndimage.grey_erosion, "open": ndimage.grey_opening}
BINARY = {"erode": ndimage.binary_erosion, "open": ndimage.binary_opening}
RANKS = {"median", "percentile", "maximum"}

for line in sys.stdin:
    op, parameters, axes, dtype = json.loads(line)
    far = op == "distance_transform"
    shape = (2048 if far else 512,) * 2 if axes == "yx" else (128 if far else 64,) * 3
    a = np.random.default_rng(1).random(shape)
    a = a > 0.01 if dtype == "bool" else (a * 255).astype(dtype)
    function = FUNCTIONS.get(op)
    if op in GREY:
        (name, size), = parameters.pop("footprint").items()
        if name == "box":
            s = np.ones((size,) * a.ndim, bool)
        elif name == "cross":
            s = ndimage.iterate_structure(ndimage.generate_binary_structure(a.ndim, 1), size)
        else:
            s = sum((i - size) ** 2 for i in np.indices((2 * size + 1,) * a.ndim)) <= size * size
        function = (BINARY if dtype == "bool" else GREY)[op]
        # A box by its size: that is what scipy is fast for.
        key = "structure" if dtype == "bool" else "footprint"
        parameters = {"size": s.shape} if name == "box" and dtype != "bool" else {key: s}
    elif "footprint" in parameters:
        parameters["footprint"] = np.array(parameters["footprint"], bool)
    if op in FUNCTIONS and op not in RANKS and not far:
        parameters["output"] = np.float64
    best, begun = float("inf"), time.process_time()
    while best == float("inf") or time.process_time() - begun < 0.3:
        start = time.process_time()
        function(a, **parameters)
        best = min(best, time.process_time() - start)
    print(best / a.size * 1e9, flush=True)
