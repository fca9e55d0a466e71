"""What one client may take: over a bound it is told so at once, and the others go on."""

from __future__ import annotations

import json
import re
import select
from contextlib import closing
from dataclasses import replace

import pytest

import wire
from bench import Bench
from cases import SALT, pbkdf2
from clients import ALICE, KEY, Timed, ask, ask_all, basic_bytes, begin_hashing, login_bytes, until
from databases import User
from services import Pair, Service, start_binary
from sites import BASIC_AND_TOKEN

pytestmark = [
    pytest.mark.usefixtures("binary"),
    pytest.mark.newest_only,
    pytest.mark.parametrize("kind", ["sqlite"]),
]

UNAVAILABLE = b'{"detail":"Service temporarily unavailable, try again later."}'
QUICK = {"PBKDF2_ITERATIONS": 1000}
# Nothing waits that would have to wait.
NO_WAIT = {"HASHING_QUEUE_SECONDS": 0.001}
SLOW_KEY = "5" * 40
SLOW_ITERATIONS = 5_000_000
SLOW = User("slow", "tortoise", pbkdf2("sha256", SLOW_ITERATIONS, SALT, "tortoise"), SLOW_KEY)
LOGIN = login_bytes(ALICE)
ANSWER = b'{"token":"%s"}' % KEY.encode()
HEAD = b"POST /api-token-auth/ HTTP/1.1\r\nHost: t\r\nConnection: close\r\n"
JSON = HEAD + b"Content-Type: application/json\r\n"
MULTIPART = HEAD + b"Content-Type: multipart/form-data; boundary=B\r\n"


@pytest.fixture
def url(bench: Bench, pair: Pair, kind: str) -> str:
    """A database with alice and one whose hash takes its time."""
    with closing(bench.database(pair, kind)) as database:
        database.reset([ALICE, SLOW])
        return database.url


def is_unavailable(found: Timed) -> bool:
    retry = found.answer.header("retry-after") or ""
    return (found.status, found.answer.body) == (503, UNAVAILABLE) and bool(
        re.fullmatch("[1-9][0-9]*", retry)
    )


def test_passwords_beyond_the_hashing_queue_are_503_at_once(bench: Bench, pair: Pair, url: str) -> None:
    settings = {"PBKDF2_ITERATIONS": SLOW_ITERATIONS, "HASHING_THREADS": 1} | NO_WAIT | BASIC_AND_TOKEN
    login, wrong = login_bytes(SLOW), login_bytes(replace(SLOW, password="wrong"))
    requests = [login, wrong, basic_bytes(SLOW), basic_bytes(replace(SLOW, password="wrong"))] * 8
    with (
        start_binary(pair, url, settings, bench.log("ours")) as service,
        wire.Connection(service.address) as busy,
    ):
        begin_hashing(service, busy, login)
        found = ask_all(service, requests)
        refused = [one for one in found if is_unavailable(one)]
        assert {sent for sent, one in zip(requests, found, strict=True) if one in refused} == set(requests)
        # A thread takes up to four at once, and where nothing waits one more may.
        served = [one for one in found if one not in refused]
        assert {one.status for one in served} <= {200, 400, 401}
        assert len(refused) > len(served)
        assert max(one.seconds for one in refused) < max(one.seconds for one in served) / 2
        assert busy.receive().body == b'{"token":"%s"}' % SLOW_KEY.encode()
        assert ask(service, login).status == 200
        assert ask(service, wrong).status == 400


def test_a_full_queue_does_not_refuse_a_login_whose_password_was_verified(
    bench: Bench, pair: Pair, kind: str
) -> None:
    """Its hash is renewed by a second hash, which may find the queue full. Chance decides, so it has ten."""
    olga = User("olga", "outdated", pbkdf2("sha256", 1_500_000, SALT, "outdated"), SLOW_KEY)
    settings = {"PBKDF2_ITERATIONS": 1000, "HASHING_THREADS": 1} | NO_WAIT
    with (
        closing(bench.database(pair, kind)) as database,
        start_binary(pair, database.url, settings, bench.log("ours")) as service,
    ):
        for _ in range(10):
            database.reset([ALICE, olga])
            with wire.Connection(service.address) as busy:
                begin_hashing(service, busy, login_bytes(olga))
                ask_all(service, [LOGIN] * 32)
                assert busy.receive().body == b'{"token":"%s"}' % SLOW_KEY.encode()


def detail(answer: wire.Response) -> str:
    """The text of an error that is JSON of DRF's shape."""
    assert answer.header("content-type") == "application/json"
    (told,) = json.loads(answer.body).items()
    assert told[0] == "detail"
    return str(told[1])


@pytest.mark.parametrize(
    "request_bytes",
    [
        JSON + b'Content-Length: 100\r\n\r\n{"username":',
        JSON + b"Content-Length: 100\r\n\r\n",
        JSON + b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"use\r\n',
    ],
    ids=["part", "nothing", "chunked"],
)
def test_a_body_that_does_not_arrive_is_408(bench: Bench, pair: Pair, url: str, request_bytes: bytes) -> None:
    settings = QUICK | {"BODY_TIMEOUT": 1}
    with start_binary(pair, url, settings, bench.log("ours")) as service:
        found = ask(service, request_bytes)
        assert found.status == 408
        assert detail(found.answer) == "The request body did not arrive in time."
        assert 0.9 < found.seconds < 2.5


def multipart(size: int) -> bytes:
    """A body with a file of that size."""
    return b'--B\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n%s\r\n--B--\r\n' % (
        b"x" * size
    )


def test_a_body_over_the_bound_is_413(bench: Bench, pair: Pair, url: str) -> None:
    settings = QUICK | {"MAX_BODY_SIZE": 100_000}
    body = multipart(100_000)
    chunks = b"".join(
        b"%x\r\n%s\r\n" % (len(body[at : at + 999]), body[at : at + 999]) for at in range(0, len(body), 999)
    )
    with start_binary(pair, url, settings, bench.log("ours")) as service:
        for request_bytes in (
            MULTIPART + b"Content-Length: %d\r\n\r\n" % len(body) + body,
            # The length alone is enough, however long.
            MULTIPART + b"Content-Length: 999999999999999999\r\n\r\n",
            MULTIPART + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n",
        ):
            found = ask(service, request_bytes)
            assert found.status == 413
            assert detail(found.answer) == "The request body is too large."
        small = multipart(99_000)
        found = ask(service, MULTIPART + b"Content-Length: %d\r\n\r\n" % len(small) + small)
        assert found.status == 400
        assert b'"This field is required."' in found.answer.body


LARGE_BODY = b'{"username":"alice","password":"wonderland"}'.ljust(190_000)
LARGE = JSON + b"Content-Length: %d\r\n\r\n" % len(LARGE_BODY) + LARGE_BODY


def stalled(service: Service) -> wire.Connection:
    """A client whose large body lacks a byte, and whose place in the memory has been seen."""
    while True:
        connection = wire.Connection(service.address)
        connection.send(LARGE[:-1])
        # The probe may come first; then it is the client that is refused.
        while not select.select([connection.socket], [], [], 0)[0]:
            if ask(service, LARGE).status == 503:
                return connection
        connection.socket.close()


def test_large_bodies_share_a_memory_and_small_ones_do_not_need_it(
    bench: Bench, pair: Pair, url: str
) -> None:
    settings = QUICK | {"MAX_BODY_SIZE": 200_000, "BODY_MEMORY": 300_000}
    with start_binary(pair, url, settings, bench.log("ours")) as service:
        assert ask(service, LARGE).answer.body == ANSWER
        with stalled(service) as one:
            assert is_unavailable(ask(service, LARGE))
            assert ask(service, LOGIN).answer.body == ANSWER
            one.send(LARGE[-1:])
            assert one.receive().body == ANSWER
        assert ask(service, LARGE).answer.body == ANSWER
        stalled(service).socket.close()
        until(service, LARGE, 200, within=5)
