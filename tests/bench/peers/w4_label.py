"""W4 label: connected components (faces) of a big binary Zarr, labels stored.

peer=dask-image  dask_image.ndmeasure.label across chunks
peer=scipy       scipy.ndimage.label on the whole array in memory; `call_cpu_s` is the call alone
"""
import time

import common
import numpy as np


def main():
    p = common.parser(__doc__)
    p.add_argument("--peer", choices=["dask-image", "scipy"], default="dask-image")
    p.add_argument("--store", default="blobs.zarr")
    a = p.parse_args()
    import dask
    import dask.array as da
    import zarr
    from dask_image import ndmeasure
    from scipy import ndimage as ndi
    z = zarr.open_array(f"{a.data}/{a.store}", mode="r")
    with common.dask_mode("threads", a.workers):
        with common.Run("w4_label", vars(a), z.nbytes) as r:
            if a.peer == "dask-image":
                lab, n = ndmeasure.label(da.from_zarr(z))
                r.note(tasks=len(lab.__dask_graph__()))
                o = common.zcreate(a.out, z.shape, z.chunks, np.uint32)
                n = dask.compute(n, da.store(lab.astype(np.uint32), o, lock=False, compute=False))[0]
            else:
                x = z[:]
                start = time.process_time()
                lab, n = ndi.label(x)
                r.note(call_cpu_s=round(time.process_time() - start, 3))
                o = common.zcreate(a.out, z.shape, z.chunks, np.uint32)
                for y in range(0, z.shape[0], z.chunks[0]):
                    o[y:y + z.chunks[0]] = lab[y:y + z.chunks[0]]
            r.stop()
            r.note(labels=int(n))


if __name__ == "__main__":
    main()
