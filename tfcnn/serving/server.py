"""The server of HTTP: a socket, and an end that answers what has begun."""

from __future__ import annotations

import os
import socket
import time
from types import FrameType

import uvicorn
from starlette.applications import Starlette

from tfcnn.errors import BadInput
from tfcnn.serving.service import Service

LEAVING = 0.5  # seconds in which clients on open connections are told to leave
SIGNALLED = 128  # a shell's exit code of a process that a signal ended, less the signal's number


def bind(host: str, port: int) -> socket.socket:
    """A socket at an address. Raises BadInput."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise BadInput(
            f"no server can listen on {host}, port {port}: {error.strerror or error}; change --host or --port"
        ) from None
    return listener


class DrainingServer(uvicorn.Server):
    """A server that answers what has begun when SIGTERM or Ctrl-C comes, and new requests with 503 until then.

    A second signal ends the process at once. `run` raises the signal again at its end.

    Args:
        app: of the service.
        service: what it answers with.
        grace: seconds for clients to read what is answered.
        notice: text to print when the server listens.
    """

    def __init__(self, app: Starlette, service: Service, grace: int, notice: str) -> None:
        super().__init__(
            uvicorn.Config(
                app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=grace
            )
        )
        self._service = service
        self._notice = notice
        self._drained_from = 0.0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        print(self._notice, flush=True)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal has come."""
        if self._service.draining:
            os._exit(SIGNALLED + sig)  # uvicorn's forced exit waits for the network and prints tracebacks
        self._drained_from = time.monotonic() + LEAVING
        self._service.draining = True
        super().handle_exit(sig, frame)
        self.should_exit = False  # until `on_tick` says so

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second; True ends the server."""
        over = time.monotonic() > self._drained_from
        if self._service.draining and over and not self._service.answering:
            self.should_exit = True
        return await super().on_tick(counter)
