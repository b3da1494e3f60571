"""What a client sends: its bytes, its JSON, its numbers."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any, NoReturn

from tfcnn.serving.limits import MEGABYTE, Limits, Refusal

if TYPE_CHECKING:
    import numpy as np
    from starlette.requests import Request

# curl -d sends its JSON as a form, as in TensorFlow Serving's documentation.
JSON_TYPES = ("", "application/json", "application/x-www-form-urlencoded")


def is_image(request: Request) -> bool:
    """Whether the body is an image file. Raises Refusal for what is neither that nor JSON."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind.startswith("image/"):
        return True
    if kind not in JSON_TYPES:
        raise Refusal(415, f"Content-Type {kind}; send application/json, or an image file as image/jpeg, image/png ...")
    return False


async def read_body(request: Request, limits: Limits) -> bytes:
    """The body of a request. Raises Refusal for a larger one than allowed, before it is read whole."""
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced[:19]) > limits.body:
        raise _too_large(f"{int(announced[:19]) / MEGABYTE:,.1f} MiB", limits)
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > limits.body:
            raise _too_large(f"more than {limits.body / MEGABYTE:g} MiB", limits)
    return bytes(content)


def _too_large(size: str, limits: Limits) -> Refusal:
    return Refusal(413, f"a body of {size}; at most {limits.body / MEGABYTE:g} MiB are allowed (--max-body)")


def parse_json(body: bytes) -> dict[str, Any]:
    """The object of a body in JSON. Raises Refusal, also for NaN and Infinity, which JSON lacks."""
    try:
        document = json.loads(body, parse_constant=_refuse_constant)
    except RecursionError:
        raise Refusal(400, "the body is no JSON that can be read: it is nested too deeply") from None
    except ValueError as error:  # also of bytes that are no text, and of numbers of thousands of digits
        raise Refusal(400, f"the body is no JSON: {error}") from None
    if not isinstance(document, dict):
        raise Refusal(400, f"the body is a JSON {_kind(document)}; send an object")
    return document


def _refuse_constant(name: str) -> NoReturn:
    raise Refusal(400, f"{name} in the body; send finite numbers")


def _kind(value: Any) -> str:
    """
    >>> _kind([1]), _kind("a"), _kind(None)
    ('list', 'string', 'null')
    """
    names = {list: "list", str: "string", bool: "truth value", int: "number", float: "number", dict: "object"}
    return names.get(type(value), "null")


def read_numbers(value: Any) -> np.ndarray:
    """The array of nested lists of JSON. Raises Refusal for uneven lists, and what is no finite number."""
    import numpy as np

    try:
        array = np.asarray(value)
    except ValueError:
        raise Refusal(400, "lists of unequal length in an example; its rows have one length") from None
    if array.dtype.kind not in "iuf" and array.size:
        raise Refusal(400, 'an example is a nested list of numbers, or an image file as {"b64": "..."}')
    if not np.isfinite(array).all():
        raise Refusal(400, "a number beyond the range of floating point in an example; send finite numbers")
    return array


def decode_base64(text: Any) -> bytes:
    """The bytes of base64. Raises Refusal."""
    if not isinstance(text, str):
        raise Refusal(400, f"b64 holds a {_kind(text)}; send the bytes of an image file in base64")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refusal(400, f"b64 is no base64: {error}") from None


def text_of(value: Any) -> tuple[str, bool]:
    """An output of bytes as text, and whether it is base64: bytes that are no UTF-8, a PNG, for instance.

    >>> text_of(b"cat"), text_of(bytes([0x89, 0x50]))
    (('cat', False), ('iVA=', True))
    """
    if isinstance(value, str):
        return value, False
    try:
        return value.decode(), False
    except UnicodeDecodeError:
        return base64.b64encode(value).decode(), True
