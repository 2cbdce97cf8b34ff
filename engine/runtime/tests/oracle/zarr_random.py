"""Random Zarr stores by zarr-python, and slices of them by numpy.

    python zarr_random.py OUT SEED COUNT

writes OUT/N (a store) and OUT/N-K.raw (a slice, C order, little endian), and OUT/cases.json, which describes both.
"""

import json
import pathlib
import random
import sys

import numcodecs
import numpy as np
import zarr
from zarr import codecs

DTYPES = ["bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float32", "float64"]
LETTERS = {1: "x", 2: "yx", 3: "zyx", 4: "tzyx"}


def codec2(r):
    return r.choice([
        None, numcodecs.Blosc("lz4", 5, numcodecs.Blosc.SHUFFLE), numcodecs.Blosc("zstd", 3, numcodecs.Blosc.BITSHUFFLE),
        numcodecs.Blosc("zlib", 3, numcodecs.Blosc.NOSHUFFLE), numcodecs.Blosc("blosclz", 5, numcodecs.Blosc.SHUFFLE),
        numcodecs.Zstd(3), numcodecs.GZip(4), numcodecs.Zlib(4), numcodecs.LZ4(), numcodecs.BZ2(3)])


def codec3(r, size):
    blosc = lambda c, s: codecs.BloscCodec(typesize=size, cname=c, clevel=5, shuffle=s)
    chain = r.choice([
        [], [blosc("lz4", "shuffle")], [blosc("zstd", "bitshuffle")], [blosc("lz4hc", "noshuffle")],
        [codecs.ZstdCodec(level=1)], [codecs.ZstdCodec(level=3, checksum=True)], [codecs.GzipCodec(level=2)]])
    return chain + ([codecs.Crc32cCodec()] if r.random() < 0.3 else [])


def make(r, rng, path):
    dtype = np.dtype(r.choice(DTYPES))
    rank = r.choice([1, 2, 2, 3, 3, 4])
    shape = [r.randint(1, 24) for _ in range(rank)]
    chunk = [r.randint(1, n + 2) for n in shape]
    fill = r.choice([0, 1]) if dtype.kind == "b" else r.choice([0, 0, 3, 77])
    if dtype.kind == "f" and r.random() < 0.3:
        fill = float("nan")
    kind = {"shape": shape, "fill_value": dtype.type(fill)}
    separator = r.choice([".", "/"])
    version = r.choice([2, 3])
    if version == 2:
        stored = dtype.newbyteorder(r.choice("<>"))
        kind |= {"zarr_format": 2, "dtype": stored, "chunks": chunk, "compressors": codec2(r), "order": r.choice("CF"),
                 "filters": None, "chunk_key_encoding": {"name": "v2", "separator": separator}}
        if dtype.kind in "iu" and r.random() < 0.2:
            kind["filters"] = [numcodecs.Shuffle(dtype.itemsize)]
    else:
        if r.random() < 0.5:
            kind["shards"] = [c * r.randint(1, 4) for c in chunk]
        transpose = r.random() < 0.3 and rank > 1
        order = r.sample(range(rank), rank)
        kind |= {"zarr_format": 3, "dtype": dtype, "chunks": chunk, "compressors": codec3(r, dtype.itemsize),
                 "serializer": codecs.BytesCodec(endian=r.choice(["little", "big"])),
                 "filters": [codecs.TransposeCodec(order=order)] if transpose else [],
                 "dimension_names": list(LETTERS[rank]) if r.random() < 0.5 else None,
                 "chunk_key_encoding": {"name": r.choice(["default", "v2"]), "separator": separator}}
    array = zarr.create_array(str(path), **kind)
    data = np.full(shape, fill, dtype)
    for _ in range(r.randint(0, 3)):
        box = tuple(slice(*sorted(r.sample(range(n + 1), 2))) for n in shape)
        part = data[box].shape
        value = rng.integers(0, 2 if dtype.kind == "b" else 120, part)
        data[box] = np.sort(value.ravel()).reshape(part) if r.random() < 0.5 else value
    if r.random() < 0.9:
        array[...] = data
    else:
        data[...] = fill
    return array, data, json.dumps({k: str(v) for k, v in kind.items()})


def main():
    out, seed, count = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    r, rng = random.Random(seed), np.random.default_rng(seed)
    cases = []
    for n in range(count):
        _, data, about = make(r, rng, out / str(n))
        slices = []
        for k in range(4):
            lo, hi = zip(*(sorted(r.sample(range(s + 1), 2)) for s in data.shape))
            if k == 0:
                lo, hi = [0] * data.ndim, list(data.shape)
            part = data[tuple(slice(a, b) for a, b in zip(lo, hi))]
            part.astype(part.dtype.newbyteorder("<")).tofile(out / f"{n}-{k}.raw")
            slices.append({"lo": list(lo), "hi": list(hi)})
        cases.append({"store": str(n), "axes": LETTERS[data.ndim], "dtype": data.dtype.name, "about": about,
                      "shape": list(data.shape), "slices": slices})
    (out / "cases.json").write_text(json.dumps(cases))
    print(zarr.__version__)


main()
