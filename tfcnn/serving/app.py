"""The application: the addresses of both protocols, the page, and the metrics."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tfcnn.serving import kserve, rest
from tfcnn.serving.limits import Refusal
from tfcnn.serving.metrics import CONTENT_TYPE
from tfcnn.serving.service import Service, refuse

PAGE = Path(__file__).with_name("page.html")
# The page loads nothing from elsewhere, and no other page may show it.
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def build_app(service: Service) -> Starlette:
    """The application of a service, which it closes at its end."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        service.close()

    async def page(request: Request) -> Response:
        return HTMLResponse(PAGE.read_text("utf-8"), headers={"Content-Security-Policy": POLICY})

    async def models(request: Request) -> Response:
        rows = [
            network.facts | {"name": network.name, "outputs": [spec.name for spec in network.outputs]}
            for network in service.networks.values()
        ]
        return JSONResponse({"models": rows})

    async def metrics(request: Request) -> Response:
        return PlainTextResponse(service.metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    return Starlette(
        routes=[
            Route("/", page),
            Route("/models", models),
            Route("/metrics", metrics),
            *rest.routes(service),
            *kserve.routes(service),
        ],
        exception_handlers={Refusal: answer_refusal, HTTPException: answer_http_error},
        lifespan=lifespan,
    )


async def answer_refusal(request: Request, error: Exception) -> Response:
    """The answer to a request that a handler refuses."""
    assert isinstance(error, Refusal)
    return refuse(error.status, str(error))


async def answer_http_error(request: Request, error: Exception) -> Response:
    """The answer to an address that is not there, or another method than it takes."""
    assert isinstance(error, HTTPException)
    return refuse(error.status_code, f"{error.detail}: {request.method} {request.url.path}")
