"""A peer for `scripts/bench check`: the protected view by hand in FastAPI, one prepared look-up a request."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

LOOKUP = (
    "SELECT u.id, u.username, u.is_active FROM authtoken_token t"
    " JOIN auth_user u ON t.user_id = u.id WHERE t.key = $1"
)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """The pool lives as long as the worker."""
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=4, max_size=4) as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


def refused(detail: str) -> JSONResponse:
    return JSONResponse({"detail": detail}, 401, {"WWW-Authenticate": "Token"})


@app.get("/secret/")
async def secret(request: Request) -> JSONResponse:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "token":
        return refused("Authentication credentials were not provided.")
    row = await request.app.state.pool.fetchrow(LOOKUP, key)
    if row is None:
        return refused("Invalid token.")
    if not row["is_active"]:
        return refused("User inactive or deleted.")
    return JSONResponse({"message": "This is a secret message."})
