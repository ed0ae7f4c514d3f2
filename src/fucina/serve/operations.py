"""/health, /ready, /metrics, /reload, and the page to try the models."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, JSONResponse, Response

from fucina.serve.schemas import Json

if TYPE_CHECKING:
    from fucina.serve.hall import Hall

__all__ = ["paths"]

PAGE = Path(__file__).parent / "page.html"
# The page asks this server alone, and nothing that is answered can run in it.
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def paths(hall: "Hall") -> APIRouter:
    """The paths, for the models of a hall."""
    router = APIRouter(tags=["operation"])

    @router.get("/", include_in_schema=False)
    async def page() -> HTMLResponse:
        return HTMLResponse(
            PAGE.read_text(encoding="utf-8"),
            headers={"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff"},
        )

    @router.get("/health", response_model=Json, summary="The server is up")
    async def health() -> JSONResponse:
        return JSONResponse({"status": "ok"})

    @router.get(
        "/ready", response_model=Json, summary="It takes requests",
        responses={503: {"description": "It is ending."}},
    )  # fmt: skip
    async def ready() -> JSONResponse:
        names = [station.served.name for station in hall.catalog.stations]
        if not hall.catalog.open:
            return JSONResponse({"status": "ending", "models": names}, 503)
        return JSONResponse({"status": "ready", "models": names})

    @router.get(
        "/metrics", summary="Counts, as Prometheus reads them",
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
        response_class=Response,
    )  # fmt: skip
    async def metrics() -> Response:
        return Response(hall.counts.shown(hall.catalog), media_type="text/plain; version=0.0.4")

    @router.post("/reload", response_model=Json, summary="Take up newer runs now")
    async def reload() -> JSONResponse:
        taken = await asyncio.to_thread(hall.reload)
        return JSONResponse({"taken": list(taken)})

    return router
