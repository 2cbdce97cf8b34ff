"""Counts the voxels of STORE that are not scipy's distance in the mask of another: MASK STORE."""
import sys

import numpy as np
import scipy.ndimage
import zarr

mask, store = (zarr.open_array(path, mode="r")[:] for path in sys.argv[1:])
print(mask.size, np.count_nonzero(scipy.ndimage.distance_transform_edt(mask) != store))
