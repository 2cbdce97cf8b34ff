"""Counts components of a labelled volume slab by slab, by scipy, and checks that each has one number.

usage: label_count.py ARRAY [SLAB]

ARRAY is a Zarr array of labels (z, y, x); what is not 0 is foreground, connectivity 1. Slabs are labelled by
scipy.ndimage.label one after the other and joined where the last plane of one touches the first of the next. Prints the
number of components, the largest label, and how many components have more than one number or share one.
"""

import sys

import numpy
import zarr
from scipy import ndimage


def find(parent, i):
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


def main():
    array = zarr.open_array(sys.argv[1], mode="r")
    slab = int(sys.argv[2]) if len(sys.argv) > 2 else array.chunks[0]
    # The label of each component, by its root; components of a slab are numbered after those before it.
    parent, label_of, wrong = [], [], 0
    before = None
    for z in range(0, array.shape[0], slab):
        labels = array[z : z + slab]
        found, count = ndimage.label(labels > 0)
        first = len(parent)
        parent.extend(range(first, first + count))
        inside = numpy.flatnonzero(found)
        flat, own = found.reshape(-1)[inside], labels.reshape(-1)[inside]
        low = numpy.full(count + 1, numpy.iinfo(own.dtype).max, own.dtype)
        high = numpy.zeros(count + 1, own.dtype)
        numpy.minimum.at(low, flat, own)
        numpy.maximum.at(high, flat, own)
        wrong += int((low[1:] != high[1:]).sum())
        label_of.extend(high[1:].tolist())
        if before is not None:
            both = (before > 0) & (found[0] > 0)
            pairs = numpy.unique(numpy.stack([before[both], found[0][both] + first]), axis=1)
            for a, b in pairs.T:
                a, b = find(parent, int(a) - 1), find(parent, int(b) - 1)
                parent[max(a, b)] = min(a, b)
        before = numpy.where(found[-1] > 0, found[-1] + first, 0)
    roots = [find(parent, i) for i in range(len(parent))]
    count = sum(1 for i, root in enumerate(roots) if i == root)
    # Every piece of a component has its number, and no two components share one.
    wrong += sum(1 for i, root in enumerate(roots) if label_of[i] != label_of[root])
    wrong += count - len({label_of[root] for root in roots})
    print(count, max(label_of, default=0), wrong)


if __name__ == "__main__":
    main()
