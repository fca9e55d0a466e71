"""The operations listener: alive, ready, and metrics; the log of requests and the audit of log-ins."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics import parser

import wire
from bench import Bench
from cases import pbkdf2
from clients import ALICE, KEY, SECRET, ask, login_bytes, until
from databases import User
from postgres import Cluster
from readme import README
from services import Pair, Service, start_binary

pytestmark = [pytest.mark.usefixtures("binary"), pytest.mark.newest_only]
SQLITE = pytest.mark.parametrize("kind", ["sqlite"])
POSTGRES = pytest.mark.parametrize("kind", ["postgres"])

SETTINGS = {"PBKDF2_ITERATIONS": 1000, "OPERATIONS_BIND": "127.0.0.1:0", "FORWARD_AUTH": True}
INACTIVE = User("ines", "garden", pbkdf2("sha256", 1000, "abc", "garden"), active=False)
NEW = User("nora", "doll", pbkdf2("sha256", 1000, "abc", "doll"))
PROMISE = 1
# What a busy machine may add.
SLACK = 1.5


def parse(text: str) -> list[Metric]:
    """By Prometheus' own parser, which is strict."""
    return list(parser.text_string_to_metric_families(text))  # type: ignore[no-untyped-call]


@dataclass
class Watched:
    """Our service, with its operations listener."""

    main: Service
    operations: Service

    def get(self, path: str) -> wire.Response:
        """From the operations listener."""
        found = ask(self.operations, f"GET {path} HTTP/1.1\r\nHost: t\r\n\r\n".encode())
        assert found.seconds < PROMISE + SLACK
        return found.answer

    def metrics(self) -> dict[tuple[str, tuple[str, ...]], float]:
        """Every sample by its name and the values of its labels."""
        text = self.get("/metrics").body.decode()
        samples = [sample for family in parse(text) for sample in family.samples]
        found = {(s.name, tuple(v for _, v in sorted(s.labels.items()))): s.value for s in samples}
        assert len(found) == len(samples)
        return found


def watched(service: Service) -> Watched:
    """With the address that it logs."""
    return Watched(service, service.operations())


@pytest.fixture
def site(bench: Bench, pair: Pair, kind: str) -> Iterator[Watched]:
    """With alice and her token, an inactive user, and one without a token."""
    with closing(bench.database(pair, kind)) as database:
        database.reset([ALICE, INACTIVE, NEW])
        with start_binary(pair, database.url, SETTINGS, bench.log("ours")) as service:
            yield watched(service)


@SQLITE
def test_each_listener_has_its_own_paths(site: Watched) -> None:
    for path, body in (("/livez", b"alive\n"), ("/readyz", b"ready\n")):
        answer = site.get(path)
        assert (answer.status, answer.body) == (200, body)
        assert answer.header("cache-control") == "no-store"
    for path in ("/secret/", "/", "/livez/"):
        assert site.get(path).status == 404
    for own in (b"/livez", b"/readyz", b"/metrics"):
        assert ask(site.main, SECRET.replace(b"/secret/", own)).status == 404


@pytest.fixture
def cluster(bench: Bench) -> Iterator[Cluster]:
    """A PostgreSQL server that may be stopped."""
    folder = bench.folder / bench.name("cluster")
    folder.mkdir()
    folder.chmod(0o711)
    cluster = Cluster(folder)
    yield cluster
    cluster.stop()


@POSTGRES
@pytest.mark.usefixtures("kind")
def test_it_is_ready_while_the_database_is_there(bench: Bench, pair: Pair, cluster: Cluster) -> None:
    """Each question is answered within a second, whether the database is dead, frozen or back."""
    url = cluster.create("site")
    pair.migrate(url)
    with start_binary(pair, url, SETTINGS, bench.log("ours")) as service:
        site = watched(service)
        for freeze in (False, True, False):
            assert site.get("/readyz").status == 200
            if freeze:
                # The server and all of its children stand still and close nothing.
                signal_all(cluster, signal.SIGSTOP)
            else:
                cluster.stop()
            assert site.get("/readyz").status == 503
            assert site.get("/livez").status == 200
            if freeze:
                signal_all(cluster, signal.SIGCONT)
            else:
                cluster.start()
            until(site.operations, b"GET /readyz HTTP/1.1\r\nHost: t\r\n\r\n", 200, PROMISE + SLACK)


def signal_all(cluster: Cluster, by: signal.Signals) -> None:
    """To the server and its children."""
    parent = cluster.process.child.pid
    with open(f"/proc/{parent}/task/{parent}/children") as children:
        for pid in [parent, *map(int, children.read().split())]:
            os.kill(pid, by)


@SQLITE
def test_it_is_not_ready_without_the_columns_that_it_reads(bench: Bench, pair: Pair, kind: str) -> None:
    with closing(bench.database(pair, kind)) as database:
        database.reset([ALICE])
        with start_binary(pair, database.url, SETTINGS, bench.log("ours")) as service:
            site = watched(service)
            with closing(sqlite3.connect(database.url.removeprefix("sqlite:///"))) as file:
                file.execute("ALTER TABLE authtoken_token RENAME COLUMN user_id TO other")
                assert site.get("/readyz").status == 503
                file.execute("ALTER TABLE authtoken_token RENAME COLUMN other TO user_id")
            assert site.get("/readyz").status == 200


@SQLITE
def test_it_is_not_ready_before_its_port_closes(bench: Bench, pair: Pair, kind: str) -> None:
    """With SHUTDOWN_DELAY: SIGTERM, 503 for the balancer, requests are served, and then it ends."""
    with closing(bench.database(pair, kind)) as database:
        database.reset([ALICE])
        settings = SETTINGS | {"SHUTDOWN_DELAY": 4}
        service = start_binary(pair, database.url, settings, bench.log("ours"))
        site = watched(service)
        assert site.get("/readyz").status == 200
        service.process.child.send_signal(signal.SIGTERM)
        until(site.operations, b"GET /readyz HTTP/1.1\r\nHost: t\r\n\r\n", 503, PROMISE + SLACK)
        assert site.get("/readyz").body == b"draining\n"
        assert site.get("/livez").status == 200
        answer = ask(service, SECRET).answer
        assert (answer.status, answer.header("connection")) == (200, "close")
        assert service.process.child.wait(20) == 0
        service.stop()


@SQLITE
def test_what_happens_is_counted(site: Watched) -> None:
    for request, times in (
        (SECRET, 3),
        (SECRET.replace(KEY.encode(), b"x"), 2),
        (SECRET.replace(b"Authorization", b"X-Nothing"), 1),
        (SECRET.replace(b"/secret/", b"/forward-auth/"), 4),
        (SECRET.replace(b"/secret/", b"/nothing/"), 2),
        (SECRET.replace(b"GET", b"POST"), 1),
        (login_bytes(ALICE), 2),
        (login_bytes(NEW), 2),
        (login_bytes(INACTIVE), 1),
        (login_bytes(User("nobody", "x", "")), 1),
        (login_bytes(User("alice", "x", "")), 3),
        (login_bytes(User("", "", "")), 1),
    ):
        for _ in range(times):
            ask(site.main, request)
    found = site.metrics()

    def requests(view: str, status: int, reason: str = "") -> float:
        return found["drf_authtoken_requests_total", (reason, str(status), view)]

    login = "Obtain Auth Token"
    assert requests("Secret", 200) == 3
    assert requests("Secret", 401, "authentication_failed") == 2
    assert requests("Secret", 401, "not_authenticated") == 1
    assert requests("Secret", 405, "method_not_allowed") == 1
    assert requests("Forward Auth", 200) == 4
    assert requests("none", 404) == 2
    assert (requests(login, 200), requests(login, 400, "invalid")) == (4, 6)
    for result, times in (("succeeded", 4), ("inactive", 1), ("no_such_user", 1), ("wrong_password", 3)):
        assert found["drf_authtoken_logins_total", (result,)] == times
    assert found["drf_authtoken_tokens_made_total", ()] == 1
    assert found["drf_authtoken_request_duration_seconds_count", ("Secret",)] == 7
    assert 0 < found["drf_authtoken_request_duration_seconds_sum", (login,)] < 60
    assert found["drf_authtoken_lookup_keys_sum", ()] == 10
    assert found["drf_authtoken_hashing_queue", ()] == 0
    assert found["drf_authtoken_hashing_lanes", ()] >= 4
    assert found["drf_authtoken_database_connections", ("idle",)] >= 1


@SQLITE
def test_no_client_can_make_a_series(site: Watched) -> None:
    """Whatever paths, methods, hosts and keys are sent: there are as many series as before."""

    def odd(number: int) -> None:
        for path in (f"/a{number}/", f"/secret/?format=f{number}", f"/forward-auth/{number}"):
            lines = [f"MAD{number} {path} HTTP/1.1", f"Host: h{number}", f"Authorization: Token k{number}"]
            ask(site.main, "\r\n".join([*lines, f"Accept: a/b{number}", "", ""]).encode())
        ask(site.main, login_bytes(User(f"user{number}", f"p{number}", "")))

    odd(0)
    before = set(site.metrics())
    for number in range(1, 30):
        odd(number)
    assert set(site.metrics()) == before


@SQLITE
def test_each_metric_is_explained(site: Watched) -> None:
    """The README's table has all of them and no other."""
    ask(site.main, login_bytes(ALICE))
    table = README.read_text().split("<!-- metrics -->")[1].split("<!-- /metrics -->")[0]
    told = re.findall(r"^\| `drf_authtoken_(\w+)", table, re.M)
    text = site.get("/metrics").body.decode()
    there = [family.name.removeprefix("drf_authtoken_") for family in parse(text)]
    assert sorted(told) == sorted(there)


@SQLITE
def test_a_request_is_one_line_of_json(bench: Bench, pair: Pair, kind: str) -> None:
    """Who, what, how it ended and how long it took; nothing that the client wrote."""
    log = bench.log("ours")
    settings = SETTINGS | {"LOG_JSON": True, "LOG_REQUESTS": True, "REQUEST_ID_HEADER": "X-Request-ID"}
    settings |= {"TRUSTED_PROXIES": ["127.0.0.0/8"]}
    with closing(bench.database(pair, kind)) as database:
        database.reset([ALICE])
        with start_binary(pair, database.url, settings, log) as service:

            def lines(request: bytes) -> tuple[wire.Response, list[dict[str, object]]]:
                before = len(log.read_text())
                answer = ask(service, request).answer
                added = log.read_text()[before:].splitlines()
                return answer, [json.loads(line) for line in added]

            extra = b"X-Request-ID: 5f8b-1\r\nX-Forwarded-For: 6.6.6.6, 203.0.113.9\r\n\r\n"
            answer, (line,) = lines(SECRET[:-2] + extra)
            assert answer.header("x-request-id") == "5f8b-1"
            seconds = line.pop("milliseconds")
            assert isinstance(seconds, float) and 0 < seconds < 60_000
            assert line.pop("timestamp")
            told = {"method": "GET", "view": "Secret", "status": 200, "reason": "", "request_id": "5f8b-1"}
            told |= {"client": "203.0.113.9", "message": "answered", "level": "INFO"}
            assert line == told | {"target": "drf_authtoken::request"}

            odd = b"X-Request-ID: a\tb\r\nUser-Agent: \xff\tx\r\nX-Forwarded-For: \x85[1m\r\n\r\n"
            answer, (line,) = lines(SECRET.replace(b"/secret/", b"/%1b%5b31m%0aevil?q=%ff"))
            assert (line["view"], line["status"], line["reason"]) == ("none", 404, "")
            answer, (line,) = lines(SECRET.replace(b"GET", b"EVIL")[:-2] + odd)
            given = answer.header("x-request-id") or ""
            assert re.fullmatch("[0-9a-f]{32}", given)
            assert (line["method"], line["request_id"], line["client"]) == ("other", given, "127.0.0.1")
            assert line["reason"] == "method_not_allowed"

            wrong = login_bytes(User("alice", "wrong", ""), "X-Request-ID: 77")
            for request, result, user in (
                (wrong, "wrong_password", "1"),
                (login_bytes(ALICE, "X-Request-ID: 77"), "succeeded", "1"),
                (login_bytes(User("nobody", "x", ""), "X-Request-ID: 77"), "no_such_user", None),
            ):
                _, (audit, line) = lines(request)
                assert audit["target"] == "drf_authtoken::audit"
                assert (audit["result"], audit.get("user_id")) == (result, user)
                assert (audit["address"], audit["request_id"]) == ("127.0.0.1", "77")
                assert line["view"] == "Obtain Auth Token"


@SQLITE
def test_probes_are_not_logged_and_a_stranger_is_not_believed(bench: Bench, pair: Pair, kind: str) -> None:
    log = bench.log("ours")
    with closing(bench.database(pair, kind)) as database:
        database.reset([ALICE])
        settings = SETTINGS | {"LOG_REQUESTS": True}
        with start_binary(pair, database.url, settings, log) as service:
            site = watched(service)
            before = len(log.read_text())
            for path in ("/livez", "/readyz", "/metrics"):
                assert site.get(path).status == 200
            assert log.read_text()[before:] == ""
            answer = ask(service, SECRET[:-2] + b"X-Forwarded-For: 6.6.6.6\r\n\r\n").answer
            (line,) = log.read_text()[before:].splitlines()
            assert "127.0.0.1" in line and "6.6.6.6" not in line
            assert answer.header("x-request-id") is None

        with start_binary(
            pair, database.url, settings | {"REQUEST_ID_HEADER": "X-Id"}, bench.log("ours")
        ) as service:
            ids = {ask(service, SECRET[:-2] + b"X-Id: mine\r\n\r\n").answer.header("x-id") for _ in range(3)}
            assert len(ids) == 3 and "mine" not in ids
