"""W2 denoise: a filter of a 3-D Zarr, Zarr out, in uint16, reflected at the edges.

peer=dask   dask.array.map_overlap of scipy's filter over the chunks
peer=scipy  scipy's filter on one part of the volume in memory, on one thread, nothing stored but for --out: the kernel alone
"""
import common
import numpy as np
from scipy import ndimage as ndi

DEPTH = {"gaussian": 4, "median": 1}


def kernel(block, op):
    if op == "median":
        return ndi.median_filter(block, size=3)
    # The same arithmetic as ours: float64 throughout, rounded half to even once.
    return np.rint(ndi.gaussian_filter(block, 1.0, output=np.float64)).astype(np.uint16)


def main():
    p = common.parser(__doc__)
    p.add_argument("--op", choices=list(DEPTH), default="gaussian")
    p.add_argument("--peer", choices=["dask", "scipy"], default="dask")
    p.add_argument("--store", default="volume.zarr")
    p.add_argument("--crop", type=int, nargs=3, help="only this corner of the volume")
    a = p.parse_args()
    import dask.array as da
    import zarr
    z = zarr.open_array(f"{a.data}/{a.store}", mode="r")
    shape = tuple(min(c, s) for c, s in zip(a.crop or z.shape, z.shape))
    voxels = int(np.prod(shape))
    if a.peer == "scipy":
        # What lies around the part is read too, so that its result is that of the whole.
        block = z[tuple(slice(0, min(n + DEPTH[a.op], s)) for n, s in zip(shape, z.shape))]
        with common.Run("w2_denoise", vars(a), 2 * voxels) as r:
            result = kernel(block, a.op)
            r.stop()
            # Per voxel that was computed, what lies around the part included.
            r.note(voxels=block.size)
            common.zcreate(a.out, shape, z.chunks, np.uint16)[:] = result[tuple(slice(0, n) for n in shape)]
        return
    with common.dask_mode("threads", a.workers):
        with common.Run("w2_denoise", vars(a), 2 * voxels) as r:
            x = da.from_zarr(z)[tuple(slice(0, s) for s in shape)]
            y = da.map_overlap(kernel, x, depth=DEPTH[a.op], boundary="reflect", dtype=np.uint16,
                               meta=np.empty((0, 0, 0), np.uint16), op=a.op)
            o = common.zcreate(a.out, shape, z.chunks, np.uint16)
            r.note(tasks=len(y.__dask_graph__()), voxels=voxels)
            da.store(y, o, lock=False)


if __name__ == "__main__":
    main()
