"""W3 rechunk: slabs to cubes, Zarr to Zarr."""
import common


def main():
    p = common.parser(__doc__)
    p.add_argument("--peer", choices=["tensorstore", "dask"], default="tensorstore")
    p.add_argument("--store", default="slabs.zarr")
    p.add_argument("--chunks", type=int, nargs=3, default=[64, 128, 128])
    a = p.parse_args()
    import dask.array as da
    import tensorstore as ts
    import zarr
    src, ch = f"{a.data}/{a.store}", tuple(a.chunks)
    z = zarr.open_array(src, mode="r")
    with common.dask_mode("threads", a.workers):
        with common.Run("w3_rechunk", vars(a), z.nbytes) as r:
            if a.peer == "dask":
                da.store(da.from_zarr(z).rechunk(ch), common.zcreate(a.out, z.shape, ch, z.dtype), lock=False)
            else:
                common.zcreate(a.out, z.shape, ch, z.dtype)
                ctx = ts.Context({"data_copy_concurrency": {"limit": a.workers}})
                s = ts.open({"driver": "zarr3", "kvstore": {"driver": "file", "path": src}}, context=ctx).result()
                d = ts.open({"driver": "zarr3", "kvstore": {"driver": "file", "path": a.out}}, context=ctx).result()
                for y in range(0, z.shape[0], ch[0]):
                    d[y:y + ch[0]].write(s[y:y + ch[0]]).result()
            r.stop()


if __name__ == "__main__":
    main()
