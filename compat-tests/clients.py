"""Clients that are not about bytes: alice with her token, a login, a service that is seen at work."""

from __future__ import annotations

import base64
import json
import select
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import wire
from cases import SALT, pbkdf2
from databases import User
from services import Service

KEY = "0123456789abcdef0123456789abcdef01234567"
ALICE = User("alice", "wonderland", pbkdf2("sha256", 1000, SALT, "wonderland"), KEY)
SECRET = b"GET /secret/ HTTP/1.1\r\nHost: t\r\nAuthorization: Token " + KEY.encode() + b"\r\n\r\n"


def login_bytes(user: User, *headers: str) -> bytes:
    """A login with JSON."""
    body = json.dumps({"username": user.name, "password": user.password}).encode()
    lines = ["POST /api-token-auth/ HTTP/1.1", "Host: t", "Content-Type: application/json", *headers]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def basic_bytes(user: User) -> bytes:
    """The secret by name and password."""
    told = base64.b64encode(f"{user.name}:{user.password}".encode())
    return b"GET /secret/ HTTP/1.1\r\nHost: t\r\nAuthorization: Basic " + told + b"\r\n\r\n"


def begin_hashing(service: Service, connection: wire.Connection, request: bytes) -> None:
    """Sends a login and waits until the service is seen at work."""
    stat = Path(f"/proc/{service.process.child.pid}/stat")

    def ticks() -> int:
        fields = stat.read_text().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    before = ticks()
    connection.send(request)
    while ticks() < before + 5:
        assert not select.select([connection.socket], [], [], 0)[0], "hashing was too quick"
        time.sleep(0.005)


@dataclass(frozen=True)
class Timed:
    """An answer, and how many seconds it took."""

    answer: wire.Response
    seconds: float

    @property
    def status(self) -> int:
        """The answer's."""
        return self.answer.status


def ask(service: Service, request: bytes) -> Timed:
    """One request on a connection of its own."""
    started = time.monotonic()
    answer = wire.exchange(service.address, request)
    return Timed(answer, time.monotonic() - started)


def ask_all(
    service: Service, requests: Sequence[bytes], meanwhile: Callable[[], object] = bool
) -> list[Timed]:
    """All at the same time; `meanwhile` is done when they are on their way."""
    with ThreadPoolExecutor(len(requests)) as pool:
        found = pool.map(lambda request: ask(service, request), requests)
        meanwhile()
        return list(found)


def until(service: Service, request: bytes, status: int, within: float) -> list[Timed]:
    """Asks again and again until the status comes; what came before it is the answer."""
    before: list[Timed] = []
    end = time.monotonic() + within
    while (found := ask(service, request)).status != status:
        assert time.monotonic() < end, (found, before)
        before.append(found)
        time.sleep(0.01)
    return before
