"""TensorFlow Serving's REST: https://www.tensorflow.org/tfx/serving/api_rest

Of its addresses those for status, metadata and predict. A row or a column holds examples as nested lists of numbers, or
image files as {"b64": "..."}, of any size in one request; the body may also be one image file. Outputs of bytes are
{"b64": "..."}; a name that ends in "_bytes" is not asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tfcnn.serving.batching import Batch, Outputs
from tfcnn.serving.bodies import decode_base64, read_numbers, text_of
from tfcnn.serving.limits import Refusal
from tfcnn.serving.network import VERSION, ServedNetwork, Spec
from tfcnn.serving.service import Call, Protocol, Service

FILES = "files"  # the input of image files, as in the SavedModel
SIGNATURES = ("serving_default", "serve", "serve_files")  # the form of the examples decides which is meant
TYPES = {
    "uint8": "DT_UINT8",
    "uint16": "DT_UINT16",
    "int16": "DT_INT16",
    "int32": "DT_INT32",
    "int64": "DT_INT64",
    "float32": "DT_FLOAT",
    "float64": "DT_DOUBLE",
    "bytes": "DT_STRING",
}


def read(network: ServedNetwork, document: dict[str, Any]) -> Call:
    """A body with "instances", the row format, or "inputs", the column format. Raises Refusal."""
    signature = document.get("signature_name", SIGNATURES[0])
    if signature not in SIGNATURES:
        raise Refusal(400, f"no signature '{signature}'; leave signature_name out")
    if ("instances" in document) == ("inputs" in document):
        raise Refusal(400, 'a body holds either "instances" or "inputs"')
    if "instances" in document:
        rows = document["instances"]
        encode: Callable[[Outputs], dict[str, Any]] = encode_rows
        if isinstance(rows, list):
            rows = [_unwrap(network, row) for row in rows]
    else:
        rows = _unwrap(network, document["inputs"])
        encode = encode_columns
    if not isinstance(rows, list):
        raise Refusal(400, "examples are a list")
    return Call(prepare(network, rows), encode)


def _unwrap(network: ServedNetwork, value: Any) -> Any:
    """The value of the only input, with its name or without."""
    if not isinstance(value, dict) or set(value) == {"b64"}:
        return value
    names = (network.input.name, FILES)
    if len(value) != 1 or not set(value) & set(names):
        raise Refusal(
            400, f"inputs {', '.join(map(str, value)) or 'without a name'}; there is one, {' or '.join(names)}"
        )
    return next(iter(value.values()))


def prepare(network: ServedNetwork, values: Sequence[Any]) -> Batch:
    """What the network computes for examples of JSON. Raises Refusal."""
    if values and all(isinstance(value, dict) and set(value) == {"b64"} for value in values):
        return network.from_files([decode_base64(value["b64"]) for value in values])
    return network.from_arrays([read_numbers(value) for value in values])


def read_image(network: ServedNetwork, content: bytes) -> Call:
    """A body that is an image file. Raises Refusal."""
    return Call(network.from_files([content]), encode_rows)


def encode_rows(outputs: Outputs) -> dict[str, Any]:
    """The answer to rows: of one output its values alone, otherwise an object for each example."""
    columns = {name: values_of(array) for name, array in outputs.items()}
    if len(columns) == 1:
        return {"predictions": next(iter(columns.values()))}
    rows = zip(*columns.values(), strict=True)
    return {"predictions": [dict(zip(columns, row, strict=True)) for row in rows]}


def encode_columns(outputs: Outputs) -> dict[str, Any]:
    """The answer to columns: of one output its values alone."""
    columns = {name: values_of(array) for name, array in outputs.items()}
    return {"outputs": next(iter(columns.values())) if len(columns) == 1 else columns}


def values_of(array: Any) -> list[Any]:
    """The values of an output (batch, ...) in JSON."""
    if array.dtype.kind not in "OSU":
        return array.tolist()
    return [_value_of(value) for value in array.tolist()]


def _value_of(value: Any) -> Any:
    """Text or bytes, or nested lists of them, in JSON."""
    if isinstance(value, list):
        return [_value_of(inner) for inner in value]
    text, encoded = text_of(value)
    return {"b64": text} if encoded else text


def describe_status() -> dict[str, Any]:
    """The answer to GET /v1/models/NAME."""
    status = {"error_code": "OK", "error_message": ""}
    return {"model_version_status": [{"version": VERSION, "state": "AVAILABLE", "status": status}]}


def describe_metadata(network: ServedNetwork) -> dict[str, Any]:
    """The answer to GET /v1/models/NAME/metadata."""
    files = Spec(FILES, "bytes", ())
    signatures = {"serving_default": _describe_signature(network.input, network.outputs)}
    if network.facts.get("images"):
        signatures["serve_files"] = _describe_signature(files, network.outputs)
    return {
        "model_spec": {"name": network.name, "signature_name": "", "version": VERSION},
        "metadata": {"signature_def": {"signature_def": signatures}},
    }


def _describe_signature(given: Spec, outputs: Sequence[Spec]) -> dict[str, Any]:
    return {
        "inputs": {given.name: _describe_tensor(given)},
        "outputs": {spec.name: _describe_tensor(spec) for spec in outputs},
        "method_name": "tensorflow/serving/predict",
    }


def _describe_tensor(spec: Spec) -> dict[str, Any]:
    sides = [{"size": str(side), "name": ""} for side in (-1, *spec.shape)]
    return {
        "dtype": TYPES[spec.dtype],
        "tensor_shape": {"dim": sides, "unknown_rank": False},
        "name": f"{spec.name}:0",
    }


PROTOCOL = Protocol("rest", read, read_image)


def routes(service: Service) -> list[Route]:
    """The addresses of the protocol."""

    async def status(request: Request) -> Response:
        service.network_of(request)
        return JSONResponse(describe_status())

    async def metadata(request: Request) -> Response:
        return JSONResponse(describe_metadata(service.network_of(request)))

    async def predict(request: Request) -> Response:
        return await service.infer(request, PROTOCOL)

    rows = []
    for place in ("/v1/models/{name}/versions/{version}", "/v1/models/{name}"):
        rows += [
            Route(f"{place}:predict", predict, methods=["POST"]),
            Route(f"{place}/metadata", metadata),
            Route(place, status),
        ]
    return rows
