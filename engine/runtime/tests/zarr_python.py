"""Zarr stores with Blosc as zarr-python writes them, and the digests of their elements: `python zarr_python.py DIRECTORY`.

Versions 2 and 3, every compressor and shuffle, elements of one to eight bytes, chunks of several Blosc blocks.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy
import zarr
from numcodecs import Blosc
from zarr.codecs import BloscCodec

SHAPE, CHUNKS = (301, 410), (256, 333)
SHUFFLES = {"noshuffle": Blosc.NOSHUFFLE, "shuffle": Blosc.SHUFFLE, "bitshuffle": Blosc.BITSHUFFLE}

root = Path(sys.argv[1])
random = numpy.random.default_rng(11)
# Noise in the low bits above a ramp, with runs and repeats from afar: what compressors find, and what they don't.
ramp = numpy.arange(SHAPE[0] * SHAPE[1]).reshape(SHAPE) // 5
values = ramp + random.integers(0, 4, SHAPE)
values[100:120] = 7
values[200:230] = values[10:40]
digests = {}
for dtype in ["bool", "uint8", "uint16", "int32", "float64"]:
    array = (values % 2 if dtype == "bool" else values % 251 if dtype == "uint8" else values).astype(dtype)
    digest = hashlib.sha256(array.tobytes()).hexdigest()
    for cname in ["blosclz", "lz4", "lz4hc", "zlib", "zstd"]:
        for shuffle, code in SHUFFLES.items():
            name = f"{dtype}-{cname}-{shuffle}"
            options = {"shape": SHAPE, "chunks": CHUNKS, "dtype": dtype, "fill_value": 0}
            two = zarr.create_array(
                root / f"{name}-2", zarr_format=2, compressors=Blosc(cname, 5, code), filters=None, **options
            )
            three = zarr.create_array(
                root / f"{name}-3", zarr_format=3, compressors=BloscCodec(cname=cname, clevel=5, shuffle=shuffle), **options
            )
            for version, store in [(2, two), (3, three)]:
                store[...] = array
                digests[f"{name}-{version}"] = digest
json.dump(digests, sys.stdout)
