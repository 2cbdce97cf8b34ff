"""What independent readers find in the results of a run, as JSON: `python read.py RESULTS`.

Zarr is opened by zarr-python and, where it has the codec, by tensorstore, which have to agree; OME-Zarr is checked by ome-zarr-models
and its levels are read by ome-zarr-py too; TIFF is read by tifffile, PNG by Pillow, CSV and Parquet by pyarrow. An array is told by its
shape, dtype and the SHA-256 of its elements in C order, little endian; a table by its columns, numbers as the shortest text that gives
them back.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy
import ome_zarr_models
import ome_zarr.io
import ome_zarr.reader
import pyarrow.csv
import pyarrow.parquet
import tensorstore
import tifffile
import zarr
from PIL import Image


def array(values, **more):
    values = numpy.asarray(values)
    little = numpy.ascontiguousarray(values.astype(values.dtype.newbyteorder("<")))
    digest = hashlib.sha256(little.tobytes()).hexdigest()
    return {"shape": list(values.shape), "dtype": values.dtype.name, "sha256": digest, **more}


def table(read):
    return {name: [repr(v) for v in column] for name, column in read.to_pydict().items()}


def same(first, second):
    first, second = numpy.asarray(first), numpy.asarray(second)
    return first.dtype == second.dtype and first.shape == second.shape and first.tobytes() == second.tobytes()


def one(path):
    opened = zarr.open_array(path, mode="r")
    values = opened[...]
    three = (path / "zarr.json").exists()
    text = (path / ("zarr.json" if three else ".zarray")).read_text()
    # Codecs of numcodecs, which tensorstore has not.
    if not ("pcodec" in text or (three and "numcodecs." in text)):
        spec = {"driver": "zarr3" if three else "zarr", "kvstore": {"driver": "file", "path": str(path)}}
        assert same(values, tensorstore.open(spec, read=True).result().read().result()), f"readers disagree: {path}"
    names = getattr(opened.metadata, "dimension_names", None) or opened.attrs["_ARRAY_DIMENSIONS"]
    shards = list(opened.shards) if opened.shards else None
    return values, {"axes": list(names), "chunks": list(opened.chunks), "shards": shards}


def image(path):
    model = ome_zarr_models.open_ome_zarr(zarr.open_group(path, mode="r"))
    attributes = getattr(model, "ome_attributes", model.attributes)
    multiscale = attributes.multiscales[0]
    nodes = list(ome_zarr.reader.Reader(ome_zarr.io.parse_url(str(path), mode="r"))())
    levels = []
    for dataset, theirs in zip(multiscale.datasets, nodes[0].data, strict=True):
        values, more = one(path / dataset.path)
        assert same(values, theirs), f"readers disagree: {path}/{dataset.path}"
        transformations = [t.model_dump() for t in dataset.coordinateTransformations]
        numbers = {t["type"]: t[t["type"]] for t in transformations}
        levels.append(array(values, **more, **numbers))
    axes = [[axis.name, axis.type, getattr(axis, "unit", None)] for axis in multiscale.axes]
    return {"model": type(model).__name__, "axes": axes, "levels": levels}


def store(path):
    if (path / "labels").is_dir():
        return {"labels": {name.name: image(name) for name in sorted((path / "labels").iterdir()) if name.is_dir()}}
    if path.name.endswith(".ome.zarr"):
        return image(path)
    values, more = one(path)
    return array(values, **more)


READERS = {
    ".zarr": store,
    ".tiff": lambda path: array(tifffile.imread(path)),
    ".tif": lambda path: array(tifffile.imread(path)),
    ".png": lambda path: array(Image.open(path)),
    ".csv": lambda path: table(pyarrow.csv.read_csv(path)),
    ".parquet": lambda path: table(pyarrow.parquet.read_table(path)),
}

results = Path(sys.argv[1])
found = {}
for path in sorted(results.rglob("*")):
    if path.suffix in READERS and not any(p.suffix == ".zarr" for p in path.relative_to(results).parents):
        found[str(path.relative_to(results).with_suffix("")) + path.suffix] = READERS[path.suffix](path)
json.dump(found, sys.stdout)
