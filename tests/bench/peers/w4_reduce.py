"""W4 reduce: minimum, maximum, mean and deviation of a big Zarr."""
import common
import numpy as np


def main():
    p = common.parser(__doc__)
    p.add_argument("--peer", choices=["tensorstore", "dask"], default="tensorstore")
    p.add_argument("--store", default="image.zarr")
    a = p.parse_args()
    from concurrent.futures import ThreadPoolExecutor

    import dask
    import dask.array as da
    import tensorstore as ts
    import zarr
    src = f"{a.data}/{a.store}"
    z = zarr.open_array(src, mode="r")

    def part(b):
        f = b.astype(np.float64)
        return int(b.min()), int(b.max()), f.sum(), (f * f).sum()

    with common.dask_mode("threads", a.workers):
        with common.Run("w4_reduce", vars(a), z.nbytes) as r:
            if a.peer == "dask":
                x = da.from_zarr(z)
                lo, hi, mean, std = dask.compute(x.min(), x.max(), x.mean(), x.std())
            else:
                ctx = ts.Context({"data_copy_concurrency": {"limit": a.workers}})
                t = ts.open({"driver": "zarr3", "kvstore": {"driver": "file", "path": src}}, context=ctx).result()
                c = z.chunks
                idx = [(i, j) for i in range(0, z.shape[0], c[0]) for j in range(0, z.shape[1], c[1])]
                with ThreadPoolExecutor(a.workers) as ex:
                    ps = list(ex.map(lambda k: part(t[k[0]:k[0] + c[0], k[1]:k[1] + c[1]].read().result()), idx))
                lo, hi = min(p[0] for p in ps), max(p[1] for p in ps)
                mean = sum(p[2] for p in ps) / z.size
                std = np.sqrt(sum(p[3] for p in ps) / z.size - mean * mean)
            r.stop()
            r.note(min=float(lo), max=float(hi), mean=float(mean), std=float(std))


if __name__ == "__main__":
    main()
