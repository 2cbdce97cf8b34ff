"""What an independent client finds in stores behind S3, as JSON: `python s3.py ENDPOINT URL...`.

Arrays are opened by zarr-python through s3fs, and by tensorstore, which have to agree; credentials come from the environment. An array is told
by its shape, dtype and the SHA-256 of its elements in C order, little endian.
"""

import hashlib
import json
import sys

import numpy
import s3fs
import tensorstore
import zarr


def one(endpoint, url):
    bucket, key = url.removeprefix("s3://").split("/", 1)
    files = s3fs.S3FileSystem(endpoint_url=endpoint, asynchronous=True)
    store = zarr.storage.FsspecStore(files, path=f"{bucket}/{key}", read_only=True)
    opened = zarr.open_array(store, mode="r")
    values = numpy.asarray(opened[...])
    driver = "zarr3" if opened.metadata.zarr_format == 3 else "zarr"
    kvstore = {"driver": "s3", "bucket": bucket, "path": f"{key}/", "endpoint": endpoint, "aws_region": "us-east-1"}
    theirs = tensorstore.open({"driver": driver, "kvstore": kvstore}, read=True).result().read().result()
    assert theirs.dtype == values.dtype and theirs.tobytes() == values.tobytes(), f"readers disagree: {url}"
    little = numpy.ascontiguousarray(values.astype(values.dtype.newbyteorder("<")))
    digest = hashlib.sha256(little.tobytes()).hexdigest()
    return {"shape": list(values.shape), "dtype": values.dtype.name, "sha256": digest}


json.dump({url: one(sys.argv[1], url) for url in sys.argv[2:]}, sys.stdout)
