"""W3 pyramid: a large 2-D image and its levels by means of 2 x 2, each stored and the next read from it."""
import common
import numpy as np


def main():
    p = common.parser(__doc__)
    p.add_argument("--peer", choices=["tensorstore", "dask"], default="tensorstore")
    p.add_argument("--store", default="image.zarr")
    p.add_argument("--levels", type=int, default=6, help="the full one among them")
    a = p.parse_args()
    import dask.array as da
    import tensorstore as ts
    import zarr
    src = f"{a.data}/{a.store}"
    z = zarr.open_array(src, mode="r")
    c = z.chunks

    def mk(level):
        s = tuple(-(-d // 2**level) for d in z.shape)
        return common.zcreate(f"{a.out}/{level}", s, tuple(min(x, y) for x, y in zip(c, s)), z.dtype)

    def mean(b, axis=None):
        # Rounded half to even, as tensorstore and we do.
        return np.rint(np.mean(b, axis, dtype=np.float64))

    with common.dask_mode("threads", a.workers):
        with common.Run("w3_pyramid", vars(a), z.nbytes) as r:
            if a.peer == "tensorstore":
                ctx = ts.Context({"data_copy_concurrency": {"limit": a.workers},
                                  "file_io_concurrency": {"limit": a.workers}})
                base = src
                for lv in range(a.levels):
                    mk(lv)
                    sp = {"driver": "zarr3", "kvstore": {"driver": "file", "path": base}}
                    if lv:
                        sp = {"driver": "downsample", "downsample_factors": [2, 2], "downsample_method": "mean", "base": sp}
                    s = ts.open(sp, context=ctx, read=True).result()
                    base = f"{a.out}/{lv}"
                    d = ts.open({"driver": "zarr3", "kvstore": {"driver": "file", "path": base}},
                                context=ctx, open=True, write=True).result()
                    # Bands keep the memory bounded.
                    step = d.chunk_layout.write_chunk.shape[0] * 2
                    for y in range(0, d.shape[0], step):
                        sl = slice(y, min(y + step, d.shape[0]))
                        d[sl].write(s[sl]).result()
            else:
                x, stores = da.from_zarr(z), []
                for lv in range(a.levels):
                    x = da.coarsen(mean, x, {0: 2, 1: 2}).astype(z.dtype).rechunk(c) if lv else x
                    stores.append(da.store(x, mk(lv), lock=False, compute=False))
                da.compute(*stores)


if __name__ == "__main__":
    main()
