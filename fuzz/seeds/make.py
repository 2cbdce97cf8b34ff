#!/usr/bin/env python3
"""Makes the seeds of the image targets: tiny images of every layout the readers know.

    python fuzz/seeds/make.py

Needs numpy, Pillow, tifffile and imagecodecs. The files are kept, since other versions of these write other bytes.
"""

import io
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


for kind in ("png", "jpeg", "tiff"):
    (HERE / kind).mkdir(exist_ok=True)
pngs()
jpegs()
tiffs()
