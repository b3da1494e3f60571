"""The way of a request: body, preparation in a pool of threads, batch, answer. See `tfcnn.serving`."""

from __future__ import annotations

import asyncio
import functools
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tfcnn.serving.batching import Batch, Batcher, Outputs
from tfcnn.serving.bodies import is_image, parse_json, read_body
from tfcnn.serving.limits import Limits, Refusal
from tfcnn.serving.metrics import Metrics
from tfcnn.serving.network import VERSION, ServedNetwork, describe_failure

LEFT = 499  # nginx's status of a request whose client left; nobody reads it
LONGEST = 500  # characters of a message


class Call(NamedTuple):
    """A request that a protocol has read.

    Attributes:
        batch: what is computed for it.
        encode: from the outputs to the document of the answer.
    """

    batch: Batch
    encode: Callable[[Outputs], dict[str, Any]]


class Protocol(NamedTuple):
    """A form of requests and answers.

    Attributes:
        name: in the metrics.
        read: (network, document of JSON) -> the call.
        read_image: (network, the content of an image file) -> the call.
    """

    name: str
    read: Callable[[ServedNetwork, dict[str, Any]], Call]
    read_image: Callable[[ServedNetwork, bytes], Call]


class Service:
    """The networks of a server, and what they have in common.

    Args:
        networks: with different names.
        limits: of a request.
        largest: the examples of a batch.
        delay: seconds that a batch waits for more examples.

    Attributes:
        networks: by name.
        metrics: of all requests.
        draining: whether new requests are refused, because the server is shutting down.
        answering: requests that are being answered.
    """

    def __init__(
        self, networks: Sequence[ServedNetwork], limits: Limits, largest: int = 32, delay: float = 0.002
    ) -> None:
        self.networks = {network.name: network for network in networks}
        self.draining = False
        self.answering = 0
        gauges = {
            "tfcnn_requests_waiting": ("Requests that wait for their batch.", self._count_waiting),
            "tfcnn_requests_answering": ("Requests that are being answered.", lambda: self.answering),
        }
        self.metrics = Metrics(gauges)
        self._limits = limits
        self._pool = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="preparation")
        self._batchers = {
            network.name: Batcher(
                network.respond, largest, delay, functools.partial(self.metrics.note_batch, network.name)
            )
            for network in networks
        }

    def _count_waiting(self) -> int:
        return sum(batcher.waiting for batcher in self._batchers.values())

    def close(self) -> None:
        """Compute what waits, and end the threads."""
        self.draining = True
        for batcher in self._batchers.values():
            batcher.close()
        self._pool.shutdown()

    def network_of(self, request: Request) -> ServedNetwork:
        """The network that a request names. Raises Refusal."""
        name = request.path_params["name"]
        version = request.path_params.get("version", VERSION)
        if name not in self.networks:
            raise Refusal(404, f"no model '{name}'; this server has {', '.join(self.networks)}")
        if version != VERSION:
            raise Refusal(404, f"no version {version} of model '{name}'; it has version {VERSION}")
        return self.networks[name]

    async def infer(self, request: Request, protocol: Protocol) -> Response:
        """Answer a request for a prediction."""
        start = time.monotonic()
        name = ""
        self.answering += 1
        try:
            if self.draining:
                raise Refusal(503, "the server is shutting down")
            if self.answering > self._limits.requests:
                raise Refusal(503, f"{self._limits.requests} requests are being answered already; try again")
            network = self.network_of(request)
            name = network.name
            async with asyncio.timeout(self._limits.seconds):
                image = is_image(request)
                body = await read_body(request, self._limits)
                response = await self._unless_left(request, self._answer(network, protocol, body, image, request))
        except TimeoutError:
            response = refuse(504, f"no answer within {self._limits.seconds:g} seconds (--timeout)")
        except Refusal as refusal:
            response = refuse(refusal.status, str(refusal))
        finally:
            self.answering -= 1
        self.metrics.note_request(name, protocol.name, response.status_code, time.monotonic() - start)
        return response

    async def _unless_left(self, request: Request, answer: Any) -> Response:
        """The response of a coroutine, which is cancelled where the client leaves before."""
        work = asyncio.create_task(answer)
        leave = asyncio.create_task(_wait_until_left(request))
        try:
            await asyncio.wait({work, leave}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            self.metrics.note_left()
            return Response(status_code=LEFT)
        finally:
            leave.cancel()
            work.cancel()

    async def _answer(
        self, network: ServedNetwork, protocol: Protocol, body: bytes, image: bool, request: Request
    ) -> Response:
        loop = asyncio.get_running_loop()
        wanted = wanted_outputs(request, network)

        def read() -> Call:
            return protocol.read_image(network, body) if image else protocol.read(network, parse_json(body))

        def encode(outputs: Outputs) -> Response:
            if wanted:
                outputs = {name: outputs[name] for name in wanted}
            try:
                return JSONResponse(call.encode(outputs))
            except ValueError:  # JSON has no NaN
                raise Refusal(500, "the network's output is not finite") from None

        call = await loop.run_in_executor(self._pool, read)
        future = self._batchers[network.name].submit(call.batch)
        try:
            outputs = await asyncio.wrap_future(future)
        except Refusal:
            raise
        except Exception as error:  # whatever TensorFlow raises
            raise Refusal(500, describe_failure(error)) from error
        return await loop.run_in_executor(self._pool, encode, outputs)


async def _wait_until_left(request: Request) -> None:
    """Wait until the client has left; its body is read already."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def wanted_outputs(request: Request, network: ServedNetwork) -> list[str]:
    """The outputs that the address asks for, "?outputs=class,class_name"; none: all. Raises Refusal."""
    names = [name for name in request.query_params.get("outputs", "").split(",") if name]
    check_outputs(names, network)
    return names


def check_outputs(names: Sequence[str], network: ServedNetwork) -> None:
    """Raises Refusal for an output that the network lacks."""
    allowed = [spec.name for spec in network.outputs]
    for name in names:
        if name not in allowed:
            raise Refusal(400, f"no output '{name}'; model '{network.name}' has {', '.join(allowed)}")


def refuse(status: int, message: str) -> JSONResponse:
    """The answer to a request that is refused: {"error": one line}. After 503 the client is to connect again."""
    headers = {"Connection": "close"} if status == 503 else None
    return JSONResponse({"error": " ".join(message.split())[:LONGEST]}, status, headers)
