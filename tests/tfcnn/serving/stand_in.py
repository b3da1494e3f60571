"""half_plus_two of TensorFlow Serving's documentation in the place of a network, and its server."""

import contextlib

import numpy as np
from starlette.testclient import TestClient

from tfcnn.serving.app import build_app
from tfcnn.serving.batching import Batch
from tfcnn.serving.limits import Limits, check_examples
from tfcnn.serving.network import ServedNetwork, Spec
from tfcnn.serving.service import Service

LIMITS = Limits()


def half_plus_two(respond=None, limits=LIMITS, name="half_plus_two"):
    """A network of any shape; files are the numbers of their bytes."""

    def from_arrays(arrays):
        check_examples(len(arrays), limits)
        return Batch([np.float32(array) for array in arrays], np.ones((len(arrays), 2), np.int32))

    def from_files(files):
        check_examples(len(files), limits)
        return from_arrays([float(len(content)) for content in files])

    return ServedNetwork(
        name=name,
        facts={"task": "classification", "images": True},
        input=Spec("x", "float32", ()),
        outputs=[Spec("y", "float32", ())],
        from_arrays=from_arrays,
        from_files=from_files,
        respond=respond or (lambda inputs, sizes: {"y": np.array(inputs) * np.float32(0.5) + 2}),
    )


def three_outputs(inputs, sizes):
    """Numbers, text and bytes."""
    names = np.array([b"cat", b"dog"], object)
    files = np.array([b"\x89PNG", b"\x89PNG2"], object)
    classes = np.array(inputs, np.int64) % 2
    return {"class": classes, "class_name": names[classes], "mask": files[classes]}


def with_three_outputs():
    specs = [Spec("class", "int64", ()), Spec("class_name", "bytes", ()), Spec("mask", "bytes", ())]
    return half_plus_two(three_outputs)._replace(outputs=specs)


@contextlib.contextmanager
def client_of(*networks, limits=LIMITS, **settings):
    """A client of a server with networks."""
    service = Service(networks, limits, **settings)
    with TestClient(build_app(service), raise_server_exceptions=False) as client:
        client.service = service
        yield client
