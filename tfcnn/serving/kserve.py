"""KServe's protocol of version 2, also "open inference": https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol

Tensors are in JSON, flat or nested; a tensor of BYTES holds image files in base64. The body of infer may also be one
image file.
"""

from __future__ import annotations

import functools
import math
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import tfcnn
from tfcnn.serving.batching import Outputs
from tfcnn.serving.bodies import decode_base64, read_numbers, text_of
from tfcnn.serving.limits import EMPTY, Refusal
from tfcnn.serving.network import VERSION, ServedNetwork, Spec
from tfcnn.serving.rest import FILES
from tfcnn.serving.service import Call, Protocol, Service, check_outputs, refuse

TYPES = {
    "uint8": "UINT8",
    "uint16": "UINT16",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float32": "FP32",
    "float64": "FP64",
    "bytes": "BYTES",
}
NUMBERS = ("UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64")
PLATFORM = "tensorflow_keras"
MOST_AXES = 8
LONGEST_AXIS = 2**31 - 1


def read(network: ServedNetwork, document: dict[str, Any]) -> Call:
    """The body of infer. Raises Refusal."""
    tensors = document.get("inputs")
    if not isinstance(tensors, list) or len(tensors) != 1 or not isinstance(tensors[0], dict):
        raise Refusal(400, f'"inputs" is a list of one tensor, {network.input.name} or {FILES}')
    tensor = tensors[0]
    shape = _read_shape(tensor.get("shape"))
    kind = tensor.get("datatype")
    if kind != "BYTES" and kind not in NUMBERS:
        raise Refusal(400, f"no datatype {kind}; choose from {', '.join(NUMBERS)}, BYTES")
    name = FILES if kind == "BYTES" else network.input.name
    if tensor.get("name") != name:
        raise Refusal(400, f"an input {tensor.get('name')} of {kind}; this model takes {name} of that datatype")
    if not isinstance(tensor.get("data"), list):
        raise Refusal(400, '"data" of a tensor is a list')
    if kind == "BYTES":
        if len(tensor["data"]) != math.prod(shape):
            raise Refusal(400, f"data of {len(tensor['data']):,} files for a shape of {math.prod(shape):,}")
        batch = network.from_files([decode_base64(text) for text in tensor["data"]])
    else:
        batch = network.from_arrays(list(_read_tensor(tensor["data"], shape)))
    return Call(batch, _encoder(network, document))


def _read_shape(value: Any) -> list[int]:
    """The shape of a tensor. Raises Refusal."""
    if not isinstance(value, list) or not 0 < len(value) <= MOST_AXES or not all(map(_is_side, value)):
        raise Refusal(400, '"shape" of a tensor is a list of whole numbers, the batch first')
    if 0 in value:
        raise Refusal(400, EMPTY)
    return value


def _is_side(value: Any) -> bool:
    return type(value) is int and 0 <= value <= LONGEST_AXIS


def _read_tensor(data: list[Any], shape: list[int]) -> Any:
    """The array of a tensor. Raises Refusal."""
    array = read_numbers(data)
    if array.size != math.prod(shape):
        raise Refusal(400, f"data of {array.size:,} numbers for a shape of {math.prod(shape):,}")
    return array.reshape(shape)


def _encoder(network: ServedNetwork, document: dict[str, Any]) -> Any:
    """What makes the answer to a request: with its id, and the outputs that it asks for."""
    asked = document.get("outputs") or []
    if not isinstance(asked, list) or not all(
        isinstance(row, dict) and isinstance(row.get("name"), str) for row in asked
    ):
        raise Refusal(400, '"outputs" is a list of objects with a name')
    names = [row["name"] for row in asked]
    check_outputs(names, network)
    return functools.partial(encode, network, names, document.get("id"))


def read_image(network: ServedNetwork, content: bytes) -> Call:
    """A body that is an image file. Raises Refusal."""
    return Call(network.from_files([content]), functools.partial(encode, network, [], None))


def encode(network: ServedNetwork, names: list[str], number: Any, outputs: Outputs) -> dict[str, Any]:
    """The answer to infer.

    Args:
        network: that answers.
        names: of the outputs to send; none: all.
        number: the id of the request, or None.
        outputs: arrays by name.
    """
    answer = {"model_name": network.name, "model_version": VERSION}
    if isinstance(number, str):
        answer["id"] = number
    tensors = [_encode_tensor(name, array) for name, array in outputs.items() if not names or name in names]
    return answer | {"outputs": tensors}


def _encode_tensor(name: str, array: Any) -> dict[str, Any]:
    head: dict[str, Any] = {"name": name, "shape": list(array.shape)}
    if array.dtype.kind not in "OSU":
        return head | {"datatype": TYPES[array.dtype.name], "data": array.ravel().tolist()}
    pairs = [text_of(value) for value in array.ravel().tolist()]
    if any(encoded for _, encoded in pairs):
        head["parameters"] = {"content_type": "base64"}
    return head | {"datatype": "BYTES", "data": [text for text, _ in pairs]}


def describe(network: ServedNetwork) -> dict[str, Any]:
    """The metadata of a model."""
    inputs = [network.input]
    if network.facts.get("images"):
        inputs.append(Spec(FILES, "bytes", ()))
    return {
        "name": network.name,
        "versions": [VERSION],
        "platform": PLATFORM,
        "inputs": [_describe_tensor(spec) for spec in inputs],
        "outputs": [_describe_tensor(spec) for spec in network.outputs],
    }


def _describe_tensor(spec: Spec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": TYPES[spec.dtype], "shape": [-1, *spec.shape]}


PROTOCOL = Protocol("kserve", read, read_image)


def routes(service: Service) -> list[Route]:
    """The addresses of the protocol."""

    async def server(request: Request) -> Response:
        return JSONResponse({"name": "tfcnn", "version": tfcnn.__version__, "extensions": []})

    async def live(request: Request) -> Response:
        return JSONResponse({"live": True})

    async def ready(request: Request) -> Response:
        if service.draining:
            return refuse(503, "the server is shutting down")
        return JSONResponse({"ready": True})

    async def model(request: Request) -> Response:
        return JSONResponse(describe(service.network_of(request)))

    async def model_ready(request: Request) -> Response:
        network = service.network_of(request)
        if service.draining:
            return refuse(503, "the server is shutting down")
        return JSONResponse({"name": network.name, "ready": True})

    async def infer(request: Request) -> Response:
        return await service.infer(request, PROTOCOL)

    rows = [Route("/v2", server), Route("/v2/health/live", live), Route("/v2/health/ready", ready)]
    for place in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        rows += [
            Route(f"{place}/infer", infer, methods=["POST"]),
            Route(f"{place}/ready", model_ready),
            Route(place, model),
        ]
    return rows
