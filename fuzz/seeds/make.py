#!/usr/bin/env python3
"""Makes the seeds of the image and Zarr targets: tiny images of every layout the readers know, and stores that ship.

    python fuzz/seeds/make.py [ENGINE]

Given the program, journals of small runs too. Needs numpy, Pillow, tifffile and imagecodecs. The files are kept, since other versions of these write other bytes.
"""

import io
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

HERE = Path(__file__).parent
RNG = np.random.default_rng(1)


def pixels(shape, dtype=np.uint8):
    ramp = np.arange(np.prod(shape)).reshape(shape)
    return (ramp * 3 + RNG.integers(0, 9, shape)).astype(dtype)


def png(name, mode, array=None, **options):
    image = Image.fromarray(array if array is not None else pixels((7, 9)))
    if mode == "I;16":
        image = Image.fromarray(pixels((7, 9), np.uint16) * 257)
    elif mode != image.mode:
        image = image.convert(mode)
    image.save(HERE / "png" / f"{name}.png", **options)


def pngs():
    png("grey8", "L")
    png("grey16", "I;16")
    png("bits1", "1")
    png("colour", "RGB", pixels((7, 9, 3)))
    png("alpha", "RGBA", pixels((7, 9, 4)))
    png("grey-alpha", "LA", pixels((7, 9, 2)))
    png("palette8", "P", pixels((7, 9, 3)))
    png("transparent", "L", transparency=3)
    for bits in (1, 2, 4):
        image = Image.fromarray(pixels((7, 9)) % (1 << bits), "P")
        image.putpalette([int(v) for v in pixels((3 << bits,))])
        image.save(HERE / "png" / f"palette{bits}.png", bits=bits)
    image.save(HERE / "png" / "palette-transparent.png", bits=4, transparency=bytes([0, 9, 255]))
    image = pixels((20, 300))
    png("long-rows", "L", image, dpi=(72, 72))


def jpegs():
    def jpeg(name, array, **options):
        Image.fromarray(array).save(HERE / "jpeg" / f"{name}.jpg", **options)

    grey, colour = pixels((19, 25)), pixels((19, 25, 3))
    jpeg("grey", grey, quality=80)
    jpeg("colour", colour, quality=80, subsampling=0)
    jpeg("colour422", colour, quality=60, subsampling=1)
    jpeg("colour420", colour, quality=30, subsampling=2)
    jpeg("progressive", colour, quality=50, progressive=True)
    jpeg("progressive-grey", grey, quality=90, progressive=True)
    jpeg("restarts", colour, quality=50, restart_marker_blocks=1)
    jpeg("optimised", grey, quality=10, optimize=True, comment=b"note")
    Image.fromarray(colour).convert("CMYK").save(HERE / "jpeg" / "cmyk.jpg", quality=20)


def tiffs():
    def tiff(name, array, **options):
        path = HERE / "tiff" / f"{name}.tif"
        tifffile.imwrite(path, array, metadata=None, software="", **options)

    grey, wide, colour = pixels((20, 33)), pixels((20, 33), np.uint16), pixels((20, 33, 3))
    tiff("strips", wide, rowsperstrip=6)
    tiff("big-endian", wide, byteorder=">", rowsperstrip=7)
    tiff("bigtiff", grey, bigtiff=True)
    tiff("pages", pixels((3, 6, 7), np.uint16))
    tiff("float", pixels((6, 7), np.float32))
    tiff("double", pixels((6, 7), np.float64), compression="zlib", predictor=True)
    tiff("signed", pixels((6, 7), np.int32))
    tiff("bands", pixels((6, 7, 5)), photometric="minisblack", planarconfig="contig")
    tiff("planes", pixels((3, 6, 7)), photometric="rgb", planarconfig="separate")
    tiff("white-is-zero", grey, photometric="miniswhite")
    for codec in ("lzw", "zlib", "zstd", "packbits"):
        tiff(f"{codec}-tiles", colour, compression=codec, tile=(16, 16), photometric="rgb")
        tiff(f"{codec}-strips", wide if codec != "packbits" else grey, compression=codec, rowsperstrip=8)
    tiff("lzw-predictor", wide, compression="lzw", predictor=True, tile=(16, 32))
    tiff("float-predictor", pixels((9, 17), np.float32), compression="zlib", predictor=True)
    tiff("jpeg-tiles", colour, compression="jpeg", tile=(16, 16), photometric="rgb")
    tiff("jpeg-ycbcr", colour, compression="jpeg", tile=(16, 16), photometric="ycbcr", subsampling=(1, 1))
    tiff("jpeg-strips", grey, compression="jpeg", rowsperstrip=8)
    # The first page of a slide beside a page of another kind.
    with tifffile.TiffWriter(HERE / "tiff" / "slide.tif") as out:
        out.write(colour, tile=(16, 16), photometric="rgb", metadata=None)
        out.write(grey, metadata=None)
    # Fax, bilevel.
    out = io.BytesIO()
    Image.fromarray(pixels((9, 17)) > 90).save(out, "tiff", compression="group4")
    (HERE / "tiff" / "fax.tif").write_bytes(out.getvalue())


def zarrs():
    """A store as its files, one after the other, each after a line with its name."""
    data = HERE.parent.parent / "examples/data/zarr"
    stores = {p.parent for p in data.rglob("*") if p.name in (".zarray", "zarr.json", ".zattrs")}
    for store in sorted(stores):
        files = sorted(p for p in store.rglob("*") if p.is_file())
        if sum(p.stat().st_size for p in files) > 6000:
            continue
        packed = b"".join(b"\n%% " + str(p.relative_to(store)).encode() + b"\n" + p.read_bytes() for p in files)
        (HERE / "zarr" / str(store.relative_to(data)).replace("/", "-")).write_bytes(packed)


JOURNALS = {
    "array": "outputs:\n  A: {from: a, format: zarr, chunks: [4, 4]}\n",
    "levels": "outputs:\n  A: {from: a, format: ome-zarr, chunks: [8, 8], pyramid: {levels: 3}}\n",
    "labels": "steps:\n  l: {op: label, input: a}\noutputs:\n  L: {from: l, format: zarr, chunks: [8, 8]}\n",
    "values": "steps:\n  s: {op: statistics, input: a, with: {quantiles: [0.5]}}\noutputs:\n  S: {from: s, format: csv}\n",
    "picture": "steps:\n  n: {op: normalize, input: a}\noutputs:\n  N: {from: n, format: tiff}\n",
}


def journals(engine):
    def run(name, source, rest, block="32"):
        with tempfile.TemporaryDirectory() as place:
            (Path(place) / "w.yaml").write_text(f"version: 1\ninputs:\n  a: {source}\n{rest}")
            command = [engine, "run", "w.yaml", "--out", "run", "--progress", "none", "--block", block, "--threads", "1"]
            subprocess.run(command, cwd=place, check=True, stdout=subprocess.DEVNULL)
            shutil.copy(Path(place) / "run/Reports/journal", HERE / "journal" / name)

    data = HERE.parent.parent / "examples/data/zarr"
    for name, rest in JOURNALS.items():
        run(name, "{generate: {shape: [40, 50], dtype: uint8, pattern: noise, seed: 1}}", rest)
    run("chunks", f"{{path: '{data}/zarrs/v2/array_none_C.zarr'}}", JOURNALS["array"], "4")
    run("files", f"{{foreach: '{HERE}/png/palette[1-8].png'}}", "outputs:\n  P: {from: a, format: png}\n")
    whole = (HERE / "journal" / "array").read_bytes()
    (HERE / "journal" / "torn").write_bytes(whole[: len(whole) * 2 // 3])
    (HERE / "journal" / "none").write_bytes(b"engine jour")


for kind in ("png", "jpeg", "tiff", "zarr", "journal"):
    (HERE / kind).mkdir(exist_ok=True)
pngs()
jpegs()
tiffs()
zarrs()
if len(sys.argv) > 1:
    journals(str(Path(sys.argv[1]).resolve()))
