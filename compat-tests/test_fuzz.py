"""A short run of the fuzzer; and that it would see what is wrong."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

import wire
from bench import Bench
from clients import ALICE, SECRET, ask
from fuzz import BATCH, Fuzzer, fuzzer, stop
from fuzz_requests import garbled, requests
from services import Pair, Service, start_binary
from wire import Response

pytestmark = [pytest.mark.usefixtures("binary"), pytest.mark.newest_only]

SEED = 20261124
REQUESTS = {"plain": 6000, "proxy": 3000}


@pytest.fixture(scope="module")
def short_run(bench: Bench, pair: Pair, kind: str) -> Iterator[Fuzzer]:
    # Each database has one of the sites.
    site = "plain" if kind == "postgres" else "proxy"
    run = fuzzer(bench, pair, kind, site)
    for start in range(0, REQUESTS[site], BATCH):
        run.run(requests(SEED, start, BATCH))
    print(run.report())
    yield run
    stop(run)


def test_what_nobody_meant_to_send_is_answered_as_django_answers_it(short_run: Fuzzer) -> None:
    assert not short_run.findings, short_run.report()


def test_the_requests_reach_every_check_of_djangos(short_run: Fuzzer) -> None:
    assert not short_run.missed(), short_run.report()


def test_a_seed_is_the_same_requests_for_ever() -> None:
    whole = requests(SEED, 0, 50)
    assert whole == requests(SEED, 0, 25) + requests(SEED, 25, 25)
    assert whole != requests(SEED + 1, 0, 50)


# Settings that make of our service one that is wrong in one point, and how that must be seen.
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"APPEND_SLASH": False}, "Django: 301"),
    ({"X_FRAME_OPTIONS": "SAMEORIGIN"}, "header:x-frame-options"),
    ({"ALLOWED_HOSTS": ["t"]}, "ours:   400"),
    ({"DATA_UPLOAD_MAX_NUMBER_FIELDS": 1001}, "Django: text/html; charset=utf-8"),
    ({"PBKDF2_ITERATIONS": 6}, "user alice.password"),
    (
        {"PASSWORD_HASHERS": ["django.contrib.auth.hashers.MD5PasswordHasher"]},
        'ours:   {"non_field_errors":["Unable to log in',
    ),
]


@pytest.mark.parametrize("kind", ["sqlite"])
@pytest.mark.parametrize(
    ("changed", "told"), WRONG, ids=lambda value: next(iter(value)) if isinstance(value, dict) else ""
)
def test_a_service_that_is_wrong_in_one_point_is_found(
    bench: Bench, pair: Pair, kind: str, changed: dict[str, Any], told: str
) -> None:
    run = fuzzer(bench, pair, kind, **changed)
    start = 0
    while told not in run.report() and start < 5000:
        run.run(requests(SEED, start, BATCH))
        start += BATCH
    stop(run)
    assert told in run.report()


def without(name: str) -> Callable[[Response], Response]:
    """Answers that lack one header."""
    return lambda answer: replace(
        answer, headers=tuple(pair for pair in answer.headers if pair[0].lower() != name)
    )


def exchanged(there: bytes, instead: bytes) -> Callable[[Response], Response]:
    """Answers with another text in their body, of the same length."""
    assert len(there) == len(instead)
    return lambda answer: replace(answer, body=answer.body.replace(there, instead))


@pytest.mark.parametrize("kind", ["sqlite"])
@pytest.mark.parametrize(
    "tamper",
    [
        without("www-authenticate"),
        without("vary"),
        exchanged(b"(char 1", b"(char 2"),
        exchanged(b"U+D83D", b"U+DE00"),
    ],
    ids=["WWW-Authenticate", "Vary", "a position", "a surrogate"],
)
def test_an_answer_that_is_wrong_in_one_place_is_found(
    bench: Bench, pair: Pair, kind: str, tamper: Callable[[Response], Response]
) -> None:
    run = fuzzer(bench, pair, kind)
    run.tamper = tamper
    start = 0
    while not run.findings and start < 5000:
        run.run(requests(SEED, start, BATCH))
        start += BATCH
    stop(run)
    assert run.findings


# What a client leaves unsaid is not waited for long.
SETTINGS = {"PBKDF2_ITERATIONS": 10, "HEADER_TIMEOUT": 0.2, "KEEP_ALIVE_TIMEOUT": 0.2, "BODY_TIMEOUT": 0.2}
GARBLED, WARMING = 6000, 1500
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


def test_no_bytes_whatever_make_a_server_error_or_a_panic_or_memory_grow(
    bench: Bench, pair: Pair, kind: str
) -> None:
    sent = garbled(SEED + len(kind), GARBLED)
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
    assert all(counted[door] >= 10 for door in DOORS), f"nothing came far: {counted}"
