"""What independent readers find in the results of a run, as JSON: `python read.py RESULTS`.

Zarr is opened by zarr-python, TIFF by tifffile, PNG by Pillow, CSV and Parquet by pyarrow. An array is told by its shape, dtype
and the SHA-256 of its elements in C order, little endian; a table by its columns, numbers as the shortest text that gives them back.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy
import pyarrow.csv
import pyarrow.parquet
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


def store(path):
    opened = zarr.open_array(path, mode="r")
    return array(opened[...], axes=list(opened.metadata.dimension_names), chunks=list(opened.chunks))


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
