"""The jobs of `large.py`: what is read, by which programs, and which ratios are to hold."""
import os
import sys
from dataclasses import dataclass

from measure import Contender, Target, cpu, wall

HERE = os.path.dirname(os.path.abspath(__file__))


@dataclass
class Place:
    """Where everything is."""
    engine: str
    bare: str
    data: str
    out: str
    threads: int
    small: bool
    slow_rounds: int


@dataclass
class Job:
    about: str
    store: str
    contenders: dict
    targets: list
    #: How results are made comparable before they are digested: see `same.py`.
    same: str = "values"
    crop: tuple = None


def engine(at, name, store, steps, outputs, result):
    """A workflow of one input, written to the folder of outputs."""
    os.makedirs(f"{at.out}/workflows", exist_ok=True)
    path = f"{at.out}/workflows/{name}.yaml"
    with open(path, "w") as f:
        f.write(f"version: 1\ninputs: {{a: {{path: '{at.data}/{store}'}}}}\n")
        f.write("".join(["steps:\n", *(f"  {k}: {v}\n" for k, v in steps.items())] if steps else []))
        f.write("".join(["outputs:\n", *(f"  {k}: {v}\n" for k, v in outputs.items())]))
    command = [at.engine, "run", path, "--out", "OUT", "--json", "--progress", "none", "--threads", str(at.threads),
               "--memory", "2GiB"]
    return Contender(command, [f"Results/{r}" for r in result])


def peer(at, script, store, *options, **more):
    command = [sys.executable, f"{HERE}/peers/{script}.py", "--data", at.data, "--store", store, "--out", "OUT"]
    return Contender([*command, "--workers", str(at.threads), *options], inner=True, **{"result": ["."], **more})


def bare(at, kind, store, *options):
    out = [] if kind == "decode" else ["OUT"]
    return Contender([at.bare, kind, *options, f"{at.data}/{store}", *out, str(at.threads)], ["."] if out else [])


def zarr(source, chunks):
    return f"{{from: {source}, format: zarr, codec: zstd, chunks: {list(chunks)}}}"


def kernel(engine, other):
    """CPU seconds of the other's kernel for each voxel, by those of the whole job of the engine."""
    return other["cpu"] / other["told"]["voxels"] / (engine["cpu"] / engine["voxels"])


def alone(bare, other):
    """The same for our kernel alone."""
    return kernel({"cpu": bare["told"]["kernel_cpu_s"], "voxels": bare["voxels"]}, other)


def call(engine, other):
    return other["told"]["call_cpu_s"] / engine["cpu"]


def jobs(at):
    chunk = 256 if at.small else 1024
    cube, cubes = ((32, 64, 64), (16, 32, 32)) if at.small else ((64, 256, 256), (64, 128, 128))
    needles = (64, 8, 8) if at.small else (256, 32, 32)
    crop = [32, 128, 128] if at.small else [64, 512, 512]
    plane, levels = [chunk, chunk], 3 if at.small else 6
    smooth = '{"sigma": 1.0, "dtype": "input"}'
    pyramid = f"{{from: a, format: ome-zarr, codec: zstd, chunks: {plane}, pyramid: {{levels: {levels}}}}}"
    return {
        "copy": Job("image.zarr to the same chunks and codec", "image.zarr", {
            "engine": engine(at, "copy", "image.zarr", {}, {"Copy": zarr("a", plane)}, ["Copy.zarr"]),
            "bare decode-encode loop": bare(at, "copy", "image.zarr"),
            "zarrs": peer(at, "w6_copy", "image.zarr", "--peer", "zarrs"),
            "tensorstore": peer(at, "w6_copy", "image.zarr", "--peer", "tensorstore"),
            "dask": peer(at, "w6_copy", "image.zarr", "--peer", "dask", rounds=at.slow_rounds),
        }, [
            Target("bare decode-encode loop", 1 / 1.15, wall, "speed of the bare loop"),
            Target("zarrs", 1.3, wall, "times as fast as zarrs"),
            Target("tensorstore", 1.3, wall, "times as fast as tensorstore"),
        ]),
        "statistics": Job("minimum, maximum, mean, deviation of image.zarr", "image.zarr", {
            "engine": engine(at, "statistics", "image.zarr", {"s": "{op: statistics, input: a}"},
                             {"Table": "{from: s, format: csv}"}, ["Table.csv"]),
            "bare decode loop": bare(at, "decode", "image.zarr"),
            "tensorstore and numpy": peer(at, "w4_reduce", "image.zarr", "--peer", "tensorstore", result=[]),
            "dask": peer(at, "w4_reduce", "image.zarr", "--peer", "dask", rounds=at.slow_rounds, result=[]),
        }, [Target("bare decode loop", 0.9, wall, "speed of the decode loop")], same="table"),
        "gaussian": Job("volume.zarr smoothed, sigma 1, halo 4", "volume.zarr", {
            "engine": engine(at, "gaussian", "volume.zarr", {"g": "{op: gaussian, input: a, with: " + smooth + "}"},
                             {"G": zarr("g", cube)}, ["G.zarr"]),
            "codec and kernel in memory": bare(at, "map", "volume.zarr", "gaussian", smooth),
            "dask": peer(at, "w2_denoise", "volume.zarr", "--op", "gaussian"),
        }, [
            Target("codec and kernel in memory", 1 / 1.2, wall, "speed of codec and kernel in memory"),
            Target("dask", 2, wall, "times as fast as dask"),
        ]),
        "median": Job("volume.zarr, median of 3x3x3", "volume.zarr", {
            "engine": engine(at, "median", "volume.zarr", {"m": "{op: median, input: a, with: {size: 3}}"},
                             {"M": zarr("m", cube)}, ["M.zarr"]),
            "codec and kernel in memory": bare(at, "map", "volume.zarr", "median", '{"size": 3}'),
            "scipy's kernel on a part": peer(at, "w2_denoise", "volume.zarr", "--op", "median", "--peer", "scipy",
                                             "--crop", *map(str, crop)),
        }, [
            Target("scipy's kernel on a part", 40, alone, "times scipy by CPU, kernels alone",
                   "codec and kernel in memory"),
            Target("scipy's kernel on a part", None, kernel, "times scipy's kernel by CPU, ours with codec"),
        ], crop=tuple(crop)),
        "label": Job("half/blobs.zarr, faces", "half/blobs.zarr", {
            "engine": engine(at, "label", "half/blobs.zarr", {"l": "{op: label, input: a}"}, {"L": zarr("l", plane)},
                             ["L.zarr"]),
            "scipy on the whole array": peer(at, "w4_label", "half/blobs.zarr", "--peer", "scipy"),
            "dask-image": peer(at, "w4_label", "half/blobs.zarr", "--peer", "dask-image", rounds=at.slow_rounds),
        }, [
            Target("dask-image", 50, wall, "times as fast as dask-image"),
            Target("scipy on the whole array", 2, cpu, "times scipy by CPU, both with codec"),
            Target("scipy on the whole array", None, call, "times scipy's call alone by CPU, ours with codec"),
        ], same="labels"),
        "label x4": Job("blobs.zarr, faces", "blobs.zarr", {
            "engine": engine(at, "label4", "blobs.zarr", {"l": "{op: label, input: a}"}, {"L": zarr("l", plane)},
                             ["L.zarr"]),
        }, [Target("engine", 1, lambda e, _: 300 / e["rss"], "of 300 MiB by its memory")], same="labels"),
        "pyramid": Job(f"image.zarr and {levels - 1} levels by means", "image.zarr", {
            "engine": engine(at, "pyramid", "image.zarr", {}, {"P": pyramid},
                             [f"P.ome.zarr/{i}" for i in range(levels)]),
            "tensorstore": peer(at, "w3_pyramid", "image.zarr", "--levels", str(levels),
                                result=[str(i) for i in range(levels)]),
            "dask": peer(at, "w3_pyramid", "image.zarr", "--levels", str(levels), "--peer", "dask",
                         rounds=at.slow_rounds, result=[str(i) for i in range(levels)]),
        }, [Target("tensorstore", 1, wall, "times as fast as tensorstore")]),
        "rechunk": Job(f"slabs.zarr to {'x'.join(map(str, cubes))}", "slabs.zarr", {
            "engine": engine(at, "rechunk", "slabs.zarr", {}, {"R": zarr("a", cubes)}, ["R.zarr"]),
            "tensorstore": peer(at, "w3_rechunk", "slabs.zarr", "--chunks", *map(str, cubes)),
            "dask": peer(at, "w3_rechunk", "slabs.zarr", "--peer", "dask", "--chunks", *map(str, cubes),
                         rounds=at.slow_rounds),
        }, [Target("tensorstore", 1, wall, "times as fast as tensorstore")]),
        "gather": Job(f"slabs.zarr to {'x'.join(map(str, needles))}", "slabs.zarr", {
            "engine": engine(at, "gather", "slabs.zarr", {}, {"R": zarr("a", needles)}, ["R.zarr"]),
            "tensorstore": peer(at, "w3_rechunk", "slabs.zarr", "--chunks", *map(str, needles)),
            "dask": peer(at, "w3_rechunk", "slabs.zarr", "--peer", "dask", "--chunks", *map(str, needles),
                         rounds=at.slow_rounds),
        }, [Target("tensorstore", None, wall, "times as fast as tensorstore, which holds the whole array")]),
    }
