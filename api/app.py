"""The application: doors in order, wired to one runtime."""

import importlib
import pkgutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

import api.routes
from api import auth, errors, openapi, uploads
from api.compression import Compressed
from api.middleware import Doorway
from api.routes import ats
from api.runtime import Runtime


def create_app(runtime: Runtime) -> FastAPI:
    """Build the app. A module in `api/routes` with a `router` is a door; nothing else is."""

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        yield
        await runtime.database.close()

    app = FastAPI(
        title="Career Relay",
        version="1",
        summary="Tell every interviewee in time, and relay those who wish to partner agencies.",
        docs_url=None,
        redoc_url=None,
        lifespan=life,
        redirect_slashes=False,  # it would lead to whatever host the request names
        generate_unique_id_function=openapi.operation_id,
    )
    app.state.runtime = runtime
    auth.issuer(runtime.settings)  # without a signing key no process starts
    uploads.stay_in_memory()
    openapi.install(app)
    errors.install(app)
    app.router.routes += [ats.HOT, ats.PASTED]
    for module in _routers():
        app.include_router(module.router)
    if runtime.settings.mode == "demo":
        app.include_router(importlib.import_module("api.demo.doors").router)
    app.add_middleware(Compressed)
    app.add_middleware(Doorway, runtime=runtime)
    return app


def _routers() -> list[Any]:
    names = sorted(found.name for found in pkgutil.iter_modules(api.routes.__path__))
    modules = [importlib.import_module(f"api.routes.{name}") for name in names]
    return [module for module in modules if hasattr(module, "router")]
