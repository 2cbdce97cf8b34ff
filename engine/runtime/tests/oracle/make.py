"""Writes the small images beside this file and `expected.json`: what Pillow and tifffile find in them and in `examples/data`.

Needs numpy, pillow, tifffile and imagecodecs; run it from any directory. The images are cut from the astronaut of
`examples/data`, a photograph by NASA in the public domain. Nothing of `engine` takes part.
"""

import hashlib
import json
import pathlib

import numpy
import tifffile
from PIL import Image

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[3]
SHIPPED = ROOT / "examples" / "data"

cut = numpy.asarray(Image.open(SHIPPED / "astronaut" / "image-01.png"))[20:101, 30:127]
wide = cut[..., 0].astype(numpy.uint16) * 251 + cut[..., 1]
Image.fromarray(cut).save(HERE / "rgb.jpg", quality=92)
Image.fromarray(wide).save(HERE / "uint16.png")
Image.fromarray(cut).quantize(13).save(HERE / "palette.png")
tifffile.imwrite(HERE / "rgb-lzw.tif", cut, rowsperstrip=20, compression="lzw", photometric="rgb")
tifffile.imwrite(HERE / "rgb-lzw-tiles.tif", cut, tile=(32, 48), compression="lzw", photometric="rgb")
tifffile.imwrite(HERE / "uint16-lzw-tiles.tif", wide, tile=(48, 32), compression="lzw", predictor=True, byteorder=">")
tifffile.imwrite(HERE / "rgb-deflate-tiles.tif", cut, tile=(32, 64), compression="zlib", photometric="rgb")
tifffile.imwrite(HERE / "float32-zstd-big.tif", wide / numpy.float32(7), compression="zstd", bigtiff=True)
pages = numpy.moveaxis(cut, 2, 0).astype(numpy.int16) - 100
tifffile.imwrite(HERE / "int16-pages.tif", pages, compression="zlib", predictor=True, byteorder=">", photometric="minisblack")

expected = {}
for path in sorted([*SHIPPED.glob("*/*.png"), *(p for p in HERE.iterdir() if p.suffix in {".png", ".jpg", ".tif"})]):
    if path.suffix == ".tif":
        pixels = tifffile.imread(path)
    else:
        image = Image.open(path)
        pixels = numpy.asarray(image.convert("RGB") if image.mode == "P" else image)
    little = numpy.ascontiguousarray(pixels.astype(pixels.dtype.newbyteorder("<")))
    expected[path.relative_to(ROOT).as_posix()] = {
        "shape": list(pixels.shape),
        "dtype": pixels.dtype.name,
        "mean": float(pixels.mean()),
        "sha256_le_c_order": hashlib.sha256(little.tobytes()).hexdigest(),
    }
(HERE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
