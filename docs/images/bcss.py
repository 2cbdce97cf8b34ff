"""Makes bcss.png: what a run of workflows/bcss.yaml read and wrote for one of the images that ship.

    engine run workflows/bcss.yaml --out run
    python docs/images/bcss.py run docs/images/bcss.png

Left the input, then the mask (Results/Threshold), then the labels (Results/Labeled), each label in a colour of its own.
A part of 300 x 300 pixels, as stored, not scaled. Needs Pillow and numpy.
"""

import colorsys
import pathlib
import sys

import numpy as np
from PIL import Image

NAME = "tissue-level2-4640-4649-8736-8746.png"
TOP, LEFT, SIZE, GAP = 100, 100, 300, 6
GOLDEN = 0.618033988749895  # Hues this far apart keep neighbouring numbers distinct.

run, target = map(pathlib.Path, sys.argv[1:])
repository = pathlib.Path(__file__).resolve().parents[2]
part = (slice(TOP, TOP + SIZE), slice(LEFT, LEFT + SIZE))

image = np.asarray(Image.open(repository / "examples/data/histology" / NAME).convert("RGB"))[part]
mask = np.asarray(Image.open(run / "Results/Threshold" / NAME).convert("RGB"))[part]
labels = np.asarray(Image.open(run / "Results/Labeled" / NAME)).astype(np.int64)
colours = np.zeros((labels.max() + 1, 3), np.uint8)
for label in range(1, len(colours)):
    colours[label] = [round(255 * v) for v in colorsys.hsv_to_rgb(label * GOLDEN % 1, 0.65, 0.95)]

gap = np.full((SIZE, GAP, 3), 255, np.uint8)
Image.fromarray(np.hstack([image, gap, mask, gap, colours[labels[part]]])).save(target, optimize=True)
