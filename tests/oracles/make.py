"""Writes the oracles beside this file: what independent libraries find in the images of `examples/data`.

Needs numpy, scipy, pillow and dask-image; run it from any directory: `python tests/oracles/make.py`.

Nothing of `engine` takes part. The pipeline is that of the mini-app: norm = (x - min) * 255 / (max - min),
grey = 0.2125 R + 0.7154 G + 0.0721 B, scipy.ndimage.gaussian_filter(sigma=1, mode="reflect", truncate=4),
threshold = 0.75 * max, scipy.ndimage.label with the 4-connected cross. Digests are SHA-256 of the pixels in C order:
of masks as uint8 (0 or 1), of label images as little-endian uint16.

`reference` holds figures published with the pipelines by other hands; this script fails when what it computes differs.
"""

import hashlib
import json
import pathlib

import dask.array
import dask_image.ndmeasure
import numpy
import scipy
from PIL import Image
from scipy import ndimage

HERE = pathlib.Path(__file__).resolve().parent
DATA = HERE.parent.parent / "examples" / "data"
WEIGHTS = numpy.array([0.2125, 0.7154, 0.0721])
THREE = ["high-nuclei-score-level2", "no-tissue", "tissue-level2-3000-7666-7096-11763"]


def read(path):
    return numpy.asarray(Image.open(path).convert("RGB")).astype(numpy.float64)


def digest(array):
    return hashlib.sha256(numpy.ascontiguousarray(array).tobytes()).hexdigest()


def segment(rgb, low, high):
    norm = (rgb - low) * 255.0 / (high - low)
    grey = norm[..., 0] * WEIGHTS[0] + norm[..., 1] * WEIGHTS[1] + norm[..., 2] * WEIGHTS[2]
    smooth = ndimage.gaussian_filter(grey, 1.0, mode="reflect", truncate=4.0)
    threshold = 0.75 * smooth.max()
    mask = smooth > threshold
    labels, count = ndimage.label(mask)
    return {
        "threshold": float(threshold),
        "pixels": int(mask.sum()),
        "labels": int(count),
        "mask_sha256": digest(mask.astype("u1")),
        "labels_sha256": digest(labels.astype("<u2")),
    }


def collection(stems):
    images = {s: read(DATA / "histology" / f"{s}.png") for s in stems}
    low = min(i.min() for i in images.values())
    high = max(i.max() for i in images.values())
    return {s: segment(i, low, high) for s, i in images.items()}


def per_item(stems):
    images = {s: read(DATA / "histology" / f"{s}.png") for s in stems}
    return {s: segment(i, i.min(), i.max()) for s, i in images.items()}


def same(found, expected):
    for stem, figures in expected.items():
        for name, figure in figures.items():
            assert abs(found[stem][name] - figure) <= 1e-9 * abs(figure), (stem, name, found[stem][name], figure)


def astronaut():
    rows = [[read(DATA / "astronaut" / f"image-{r}{c}.png") for c in (0, 1)] for r in (0, 1)]
    rgb = numpy.concatenate([numpy.concatenate(row, axis=1) for row in rows], axis=0)
    grey = rgb[..., 0] * WEIGHTS[0] + rgb[..., 1] * WEIGHTS[1] + rgb[..., 2] * WEIGHTS[2]
    smooth = ndimage.gaussian_filter(grey, 1.0, mode="reflect", truncate=4.0)
    threshold = 0.75 * smooth.max()
    mask = smooth > threshold
    # dask-image numbers block by block, in the order of blocks.
    labels, count = dask_image.ndmeasure.label(dask.array.from_array(mask, chunks=(256, 256)))
    labels = labels.compute()
    return {
        "threshold": float(threshold),
        "pixels": int(mask.sum()),
        "labels": int(count.compute()),
        "labels_sha256": digest(labels.astype("<u2")),
        "mean": ndimage.mean(grey, labels, range(labels.max() + 1)).tolist(),
        "std": ndimage.standard_deviation(grey, labels, range(labels.max() + 1)).tolist(),
    }


def main():
    reference = json.loads((HERE / "reference.json").read_text())
    stems = sorted(p.stem for p in (DATA / "histology").glob("*.png"))
    found = {"ten": collection(stems), "three": collection(THREE), "over_item": per_item(THREE[:2])}
    for group, expected in reference["histology"].items():
        same(found[group], expected)
    joined = astronaut()
    table = reference["astronaut"]
    same({"": joined}, {"": {k: table[k] for k in ("threshold", "pixels", "labels")}})
    for column in ("mean", "std"):
        assert numpy.allclose(joined.pop(column), table[column], rtol=1e-9, atol=1e-9), column
    out = {
        "source": "tests/oracles/make.py",
        "versions": {"scipy": scipy.__version__, "numpy": numpy.__version__},
        "histology": found,
        "astronaut": joined,
    }
    (HERE / "computed.json").write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
