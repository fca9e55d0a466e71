"""The server itself: how it ends, what a request costs, the demo."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

import wire
from bench import Bench
from cases import SALT, pbkdf2
from clients import ALICE, KEY, SECRET, begin_hashing, login_bytes
from databases import User
from processes import Process
from services import BINARY, Pair, start_binary

pytestmark = [pytest.mark.usefixtures("binary"), pytest.mark.newest_only]

SETTINGS = {"PBKDF2_ITERATIONS": 1000, "GRACEFUL_TIMEOUT": 10}


@pytest.fixture
def url(bench: Bench, pair: Pair, kind: str) -> str:
    """A database with alice and her token."""
    database = bench.database(pair, kind)
    database.reset([ALICE])
    database.close()
    return database.url


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_ends_it_after_the_requests_in_flight(
    bench: Bench, pair: Pair, kind: str, by: signal.Signals
) -> None:
    """A login that is hashing is answered; a client stuck in its headers does not hold it up."""
    database = bench.database(pair, kind)
    slow = User("slow", "tortoise", pbkdf2("sha256", 4_000_000, SALT, "tortoise"))
    database.reset([ALICE, slow])
    service = start_binary(pair, database.url, SETTINGS, bench.log("ours"))
    with (
        wire.Connection(service.address) as stuck,
        wire.Connection(service.address) as idle,
        wire.Connection(service.address) as busy,
    ):
        stuck.send(b"GET /secret/ HTTP/1.1\r\nHost: t\r\nAuthoriz")
        idle.send(SECRET)
        assert idle.receive().status == 200
        begin_hashing(service, busy, login_bytes(slow))
        started = time.monotonic()
        service.process.child.send_signal(by)
        answer = busy.receive(to_the_end=True)
        assert (answer.status, answer.surplus) == (200, b"")
        assert service.process.child.wait(SETTINGS["GRACEFUL_TIMEOUT"] + 5) == 0
        assert time.monotonic() - started < SETTINGS["GRACEFUL_TIMEOUT"]
    service.stop()
    (row,) = (row for row in database.snapshot().tokens.values() if row["key"] != KEY)
    assert json.loads(answer.body) == {"token": row["key"]}
    database.close()


@pytest.mark.parametrize("kind", ["sqlite"])
def test_a_client_that_half_closes_its_connection_counts_as_gone(bench: Bench, pair: Pair, kind: str) -> None:
    """The login that it waits for is given up, and its token is not made."""
    database = bench.database(pair, kind)
    slow = User("slow", "tortoise", pbkdf2("sha256", 4_000_000, SALT, "tortoise"))
    database.reset([ALICE, slow])
    service = start_binary(pair, database.url, SETTINGS, bench.log("ours"))
    try:
        with wire.Connection(service.address) as leaving:
            begin_hashing(service, leaving, login_bytes(slow))
            leaving.half_close()
            assert leaving.receive_all() == b""
        # Its hash, if it still runs, is over before this one.
        wire.exchange(service.address, login_bytes(User("slow", "wrong", "")))
        assert list(database.snapshot().tokens) == [KEY]
    finally:
        service.stop()
        database.close()


def test_a_connection_is_kept_and_requests_may_be_pipelined(bench: Bench, pair: Pair, url: str) -> None:
    service = start_binary(pair, url, SETTINGS, bench.log("ours"))
    try:
        with wire.Connection(service.address) as connection:
            for _ in range(3):
                connection.send(SECRET)
                assert connection.receive().status == 200
            connection.send(SECRET + login_bytes(ALICE) + SECRET)
            answers = [connection.receive() for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 200]
        assert answers[1].body == b'{"token":"%s"}' % KEY.encode()
    finally:
        service.stop()


@pytest.mark.parametrize("kind", ["postgres"])
def test_what_a_request_costs_in_statements(bench: Bench, pair: Pair, kind: str, url: str) -> None:
    """A good token is one SELECT, an anonymous or malformed one none; a login as in Django."""
    name = url.rsplit("/", 1)[1]
    bench.cluster.log_statements(name)
    service = start_binary(pair, url, SETTINGS, bench.log("ours"))

    def cost(request: bytes) -> list[str]:
        wire.exchange(service.address, request)
        before = statements()
        answer = wire.exchange(service.address, request)
        assert answer.status < 500
        return statements()[len(before) :]

    def statements() -> list[str]:
        log = bench.cluster.process.log_text()
        found = re.findall(rf"<{name}> LOG:  (?:statement|execute [^:]*): (.*)", log)
        return [line.split()[0].upper() for line in found]

    try:
        assert cost(SECRET) == ["SELECT"]
        assert cost(SECRET.replace(KEY.encode(), b"nonsense")) == ["SELECT"]
        assert cost(SECRET.replace(b"Authorization", b"X-Nothing")) == []
        assert cost(SECRET.replace(KEY.encode(), b"a b")) == []
        assert cost(SECRET.replace(KEY.encode(), b"\xff")) == []
        assert cost(SECRET.replace(b"Host: t", b"Host: t\r\nAccept: image/png")) == []
        assert cost(SECRET.replace(b"/secret/", b"/secret/?format=x")) == []
        assert cost(SECRET.replace(b"/secret/", b"/nothing/")) == []
        assert cost(login_bytes(User("", "", ""))) == []
        assert cost(login_bytes(User("nobody", "x", ""))) == ["SELECT"]
        assert cost(login_bytes(User("alice", "x", ""))) == ["SELECT"]
        assert set(cost(login_bytes(ALICE))) == {"SELECT"}
    finally:
        service.stop()


@pytest.mark.parametrize("kind", ["sqlite"])
def test_the_demo_prints_curl_lines_that_work(bench: Bench, kind: str) -> None:
    folder = bench.folder / bench.name("demo")
    folder.mkdir()
    argv: list[str | Path] = [BINARY, "demo", "--bind", "127.0.0.1:0"]
    for found in (False, True):
        log = bench.log("demo")
        demo = Process(argv, log=log, env={"PATH": os.environ["PATH"]}, cwd=folder)
        try:
            demo.wait_for("Ctrl-C")
            assert ("Found" in demo.log_text()) == found
            answers = [run_curl(line) for line in re.findall(r"^ *(curl .+)$", demo.log_text(), re.M)]
        finally:
            assert demo.stop() == 0
        assert len(answers) == (2 if found else 3)
        if not found:
            assert re.fullmatch(r'\{"token":"[0-9a-f]{40}"\}', answers[0])
        assert answers[-2] == '{"message":"This is a secret message."}'
        assert "/api-token-auth/" in yaml.safe_load(answers[-1])["paths"]
    assert [path.name for path in folder.iterdir()] == ["demo.sqlite3"]


def run_curl(line: str) -> str:
    """Pastes the line into a shell, as its reader would."""
    env = {"PATH": os.environ["PATH"], "no_proxy": "*"}
    done = subprocess.run(["sh", "-c", f"{line} -sS"], capture_output=True, text=True, env=env, timeout=60)
    assert done.returncode == 0, (line, done.stderr)
    return done.stdout
