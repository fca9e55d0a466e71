"""Thousands of requests that nobody meant to send: no 5xx, no panic, no growth."""

from __future__ import annotations

import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import chain
from pathlib import Path

import pytest

import wire
from bench import Bench
from clients import ALICE, SECRET, ask
from services import Pair, Service, start_binary
from sweep import requests

pytestmark = [pytest.mark.usefixtures("binary"), pytest.mark.newest_only]

SEED = 20261124
REQUESTS, WARMING = 6000, 1500
# What a client leaves unsaid is not waited for long.
SETTINGS = {"PBKDF2_ITERATIONS": 10, "HEADER_TIMEOUT": 0.2, "KEEP_ALIVE_TIMEOUT": 0.2, "BODY_TIMEOUT": 0.2}
MAX_GROWTH = 32 * 1024
STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3}) ")
DOORS = (200, 301, 400, 401, 404, 405, 406, 408, 415)


def statuses(service: Service, request: bytes) -> list[int]:
    """Of all answers to these bytes, which may be several requests, or none."""
    with wire.Connection(service.address) as connection:
        connection.send(request)
        return [int(status) for status in STATUS.findall(connection.receive_all())]


def memory(service: Service) -> int:
    """VmRSS in KiB."""
    text = Path(f"/proc/{service.process.child.pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+) kB", text)[0])


def test_no_bytes_of_a_request_make_a_server_error(bench: Bench, pair: Pair, kind: str) -> None:
    # Each database has its own part of the sweep.
    sent = requests(SEED + len(kind), REQUESTS)
    with (
        closing(bench.database(pair, kind)) as database,
        start_binary(pair, database.url, SETTINGS, bench.log("ours")) as service,
        ThreadPoolExecutor(16) as pool,
    ):
        database.reset([ALICE])
        # What is kept for threads, connections and buffers is there after the first ones.
        answers = list(pool.map(lambda request: statuses(service, request), sent[:WARMING]))
        before = memory(service)
        answers += pool.map(lambda request: statuses(service, request), sent[WARMING:])
        growth = memory(service) - before
        assert service.is_alive()
        assert ask(service, SECRET).status == 200
        assert "panic" not in service.process.log_text()
    broken = [row for row in zip(sent, answers, strict=True) if any(status >= 500 for status in row[1])]
    assert not broken, (len(broken), broken[:3])
    assert growth < MAX_GROWTH
    counted = Counter(chain.from_iterable(answers))
    assert all(counted[door] >= 10 for door in DOORS), f"this was no sweep: {counted}"
