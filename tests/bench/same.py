"""Whether contenders have the same results: prints a digest of decoded values.

  python same.py values|labels CROP PATH...     CROP as 64,512,512, or - for all
"""
import hashlib
import sys

import numpy as np
import zarr


def values(paths, crop=None):
    """Digest of the elements of arrays, in order, as int64."""
    total = hashlib.sha256()
    for path in paths:
        z = zarr.open_array(path, mode="r")
        part = tuple(slice(0, n) for n in crop or z.shape)
        shape = tuple(s.stop for s in part)
        total.update(repr(shape).encode())
        for y in range(0, shape[0], z.chunks[0]):
            band = z[(slice(y, min(y + z.chunks[0], shape[0])), *part[1:])]
            total.update(np.ascontiguousarray(band, np.int64).data)
    return total.hexdigest()


def labels(paths, crop=None):
    """Digest of components, whatever their numbers: each is told by its first voxel."""
    total = hashlib.sha256()
    for path in paths:
        z = np.asarray(zarr.open_array(path, mode="r")[:]).ravel()
        first = np.zeros(int(z.max()) + 1, np.int64)
        at = np.arange(z.size - 1, -1, -1, dtype=np.int64)
        first[z[::-1]] = at                            # the last that is written stays
        first[0] = -1
        for lo in range(0, z.size, 1 << 24):
            total.update(first[z[lo:lo + (1 << 24)]].data)
    return total.hexdigest()


if __name__ == "__main__":
    kind, part, *arrays = sys.argv[1:]
    corner = None if part == "-" else tuple(map(int, part.split(",")))
    print({"values": values, "labels": labels}[kind](arrays, corner))
