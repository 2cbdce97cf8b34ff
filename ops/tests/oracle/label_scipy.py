"""Writes label_scipy.json: scipy.ndimage.label and dask_image.ndmeasure.label on masks that cross blocks."""

import json
from pathlib import Path

import dask.array as da
import numpy as np
from dask_image import ndmeasure
from scipy import ndimage

rng = np.random.default_rng(5)
cases = []


def case(name, mask, connectivity, block=None):
    structure = ndimage.generate_binary_structure(mask.ndim, connectivity)
    if block is None:
        labels, count = ndimage.label(mask, structure)
    else:
        labels, count = ndmeasure.label(da.from_array(mask, chunks=tuple(block)), structure)
        labels, count = np.asarray(labels), int(count)
        assert count == ndimage.label(mask, structure)[1]
    cases.append({
        "name": name,
        "with": {"connectivity": connectivity, "numbering": "raster" if block is None else {"block": block}},
        "axes": "zyx"[-mask.ndim:],
        "shape": mask.shape,
        "input": {"dtype": "bool", "values": mask.astype(int).ravel().tolist()},
        "labels": np.asarray(labels).ravel().tolist(),
    })


def spiral(n):
    a = np.zeros((n, n), bool)
    y = x = 0
    dy, dx = 0, 1
    for _ in range(n * n):
        a[y, x] = True
        ny, nx = y + 2 * dy, x + 2 * dx
        if not (0 <= y + dy < n and 0 <= x + dx < n) or (0 <= ny < n and 0 <= nx < n and a[ny, nx]):
            dy, dx = dx, -dy
            ny, nx = y + 2 * dy, x + 2 * dx
            if (0 <= ny < n and 0 <= nx < n and a[ny, nx]) or a[(y + dy) % n, (x + dx) % n]:
                break
        y, x = y + dy, x + dx
    return a


def comb(h, w):
    a = np.zeros((h, w), bool)
    a[:, ::2] = True  # teeth that only meet in the last row
    a[-1] = True
    return a


noise = rng.random((19, 141)) < 0.5
for c in (1, 2):
    case("noise", noise, c)
    case("noise in blocks", noise, c, [8, 50])
    case("noise in words", rng.random((9, 128)) < 0.45, c)
    case("spiral", spiral(31), c)
    case("comb", comb(12, 130), c, [5, 64])
    case("checkerboard", np.indices((7, 67)).sum(0) % 2 == 0, c, [3, 10])
    case("full", np.ones((5, 64), bool), c, [2, 7])
    case("empty", np.zeros((3, 4), bool), c)
volume = rng.random((5, 6, 70))
for c in (1, 2, 3):
    mask = volume < (0.4, 0.2, 0.12)[c - 1]
    case("volume", mask, c)
    case("volume in blocks", mask, c, [2, 3, 30])
    case("thin", rng.random((2, 9, 1)) < 0.4, c)
Path(__file__).with_suffix(".json").write_text(json.dumps(cases, separators=(",", ":")) + "\n")
