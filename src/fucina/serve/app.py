"""The application: the paths behind one door, and what runs beside them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from fucina import __version__
from fucina.endpoint import is_loopback
from fucina.serve import openai, operations, predicting
from fucina.serve.catalog import Catalog
from fucina.serve.counting import Counts
from fucina.serve.door import Door, refusal
from fucina.serve.hall import Documents, Hall
from fucina.serve.interface import BusyError, Served
from fucina.serve.keys import Keys
from fucina.serve.problems import Problem, ProblemBody
from fucina.serve.streaming import overloaded

if TYPE_CHECKING:
    from fucina.config import ServeConfig

__all__ = ["create_app"]

LOCAL = ("localhost", "127.0.0.1", "::1")
FORMS = {"str", "int", "float", "bool"}  # which pydantic adds to a place
Look = Callable[[Catalog, Counts], Sequence[str]]
PROBLEMS = {
    400: "The request is wrong.", 401: "No key, or an unknown one.", 404: "No such model.",
    405: "Another method is meant.", 408: "The request came too slowly.",
    413: "The request is too large.", 429: "Too much is waiting; see Retry-After.",
    503: "The model failed, and nobody else answers.",
}  # fmt: skip


def create_app(
    served: Sequence[Served],
    config: "ServeConfig",
    *,
    keys: Keys | None = None,
    documents: Documents | None = None,
    look: Look = lambda *_: (),
) -> FastAPI:
    """Make the application that serves models.

    Args:
        served: The models; a request that names none means the first.
        config: How much it takes on.
        keys: Who may ask; None for everybody.
        documents: That can be asked.
        look: Looks for newer runs and takes them up in a catalog; gives their names.
    """
    counts = Counts()
    catalog = Catalog(served, config, counts)

    def reload() -> Sequence[str]:
        return look(catalog, counts)

    hall = Hall(config, catalog, counts, documents, reload)

    @asynccontextmanager
    async def living(app: FastAPI) -> AsyncIterator[None]:
        del app
        watching = asyncio.create_task(_watch(config.reload_s, reload))
        yield
        watching.cancel()
        catalog.close()

    app = _application(lifespan=living)
    for part in (predicting, openai, operations):
        app.include_router(
            part.paths(hall),
            responses={code: {"model": ProblemBody, "description": text}
                       for code, text in PROBLEMS.items()},
        )  # fmt: skip
    _tell_problems(app)
    host = f"[{config.host}]" if ":" in config.host else config.host
    hosts = {*LOCAL, config.host.lower()} if is_loopback(f"http://{host}") else None
    most = config.max_body_kib * 1024
    app.add_middleware(Door, counts=counts, keys=keys, hosts=hosts, max_body=most)
    if config.cors:  # around the door, as pages are to read what it refuses too
        app.add_middleware(
            CORSMiddleware, allow_origins=list(config.cors), allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type"],
        )  # fmt: skip
    app.state.hall = hall
    return app


def _application(lifespan: Any) -> FastAPI:
    """An application whose page of documentation needs no other server."""
    from fastapi_offline import FastAPIOffline

    app = FastAPIOffline(
        title="Fucina", version=__version__, lifespan=lifespan, redoc_url=None,
        description="Models with rules in their place where they do not answer.",
    )  # fmt: skip
    plain = app.openapi

    def described() -> dict[str, Any]:
        """Without the form of problems that FastAPI has by itself, and nobody gets here."""
        found = plain()
        for methods in found["paths"].values():
            for method in methods.values():
                method["responses"].pop("422", None)
        for name in ("HTTPValidationError", "ValidationError"):
            found.get("components", {}).get("schemas", {}).pop(name, None)
        return found

    app.openapi = described
    return app


def _tell_problems(app: FastAPI) -> None:
    """Whatever goes wrong is told in one form."""

    async def of_problem(_: Request, error: Any) -> JSONResponse:
        return refusal(error)

    async def of_form(_: Request, error: Any) -> JSONResponse:
        return refusal(_wrong_form(error))

    async def of_busy(_: Request, error: Any) -> JSONResponse:
        return refusal(overloaded(error))

    async def of_http(_: Request, error: Any) -> JSONResponse:
        fixes = {404: "See the paths: /docs.", 405: "See the methods: /docs."}
        response = refusal(
            Problem(error.status_code, f"{str(error.detail).rstrip('.')}.",
                    fixes.get(error.status_code, "Send JSON in UTF-8."))
        )  # fmt: skip
        response.headers.update(error.headers or {})
        return response

    async def of_defect(_: Request, __: Exception) -> JSONResponse:
        return refusal(
            Problem(500, "a defect of this server.", "Tell its maintainers.", code="defect")
        )

    handlers: dict[Any, Callable[[Request, Any], Awaitable[JSONResponse]]] = {
        Problem: of_problem, RequestValidationError: of_form, BusyError: of_busy,
        HTTPException: of_http, Exception: of_defect,
    }  # fmt: skip
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


def _wrong_form(error: RequestValidationError) -> Problem:
    """The first field that is wrong, in words."""
    # What may be of several forms is wrong once for each; the deepest says most.
    first = max(error.errors(), key=lambda one: len(one["loc"]))
    places = [str(part) for part in first["loc"] if part not in {"body", "query", "path"}]
    places = [part for part in places if part.replace("_", "").isalnum() and part not in FORMS]
    name = ".".join(places)
    message = str(first["msg"]).removeprefix("Value error, ")
    if first["type"] == "json_invalid":
        return Problem(400, f"the body is no JSON: {first.get('ctx', {}).get('error', '')}.",
                       "Send JSON in UTF-8.", code="invalid_json")  # fmt: skip
    fix = "See /docs for what a request may hold."
    if not places:
        if first["type"] != "value_error":  # else the body could be read
            fix = "Send a JSON object, with Content-Type: application/json."
        return Problem(400, f"{message}.", fix)
    return Problem(400, f"{name}: {message}.", fix, param=name)


async def _watch(pause_s: float, reload: Callable[[], Sequence[str]]) -> None:
    """Look for newer runs now and then."""
    while pause_s:
        await asyncio.sleep(pause_s)
        await asyncio.to_thread(reload)
