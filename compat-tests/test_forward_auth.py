"""Forward auth: what a proxy is told about a request that goes elsewhere."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import unquote

import pytest

import cases
import wire
from bench import Bench
from clients import ALICE, KEY, ask
from databases import Database
from services import Orm, Pair, Service, start_binary, start_django

pytestmark = [pytest.mark.usefixtures("binary"), pytest.mark.newest_only]

PATH = "/forward-auth/"
IDENTITY = ["X-Auth-User", "X-Auth-User-Id", "X-Auth-Email", "X-Auth-Staff", "X-Auth-Groups"]
SETTINGS: dict[str, Any] = {
    "PBKDF2_ITERATIONS": 1000,
    # Proxies ask by whatever name they know us by.
    "ALLOWED_HOSTS": ["www.example.com"],
    "FORWARD_AUTH": True,
    "FORWARD_AUTH_EMAIL_HEADER": "X-Auth-Email",
    "FORWARD_AUTH_STAFF_HEADER": "X-Auth-Staff",
    "FORWARD_AUTH_GROUPS_HEADER": "X-Auth-Groups",
}
SITE = {"PBKDF2_ITERATIONS": 1000}
REFUSED = [
    case
    for case in cases.load()
    if case.id.startswith(("authorization-", "secret-anonymous")) and case.expected.status == 401
    if b" /secret/ " in case.request.split(b"\r\n")[0] and not case.request.startswith(b"HEAD")
]


class Rig:
    """Our service and Django on one database."""

    def __init__(self, bench: Bench, pair: Pair, kind: str, stack: ExitStack) -> None:
        self.database: Database = bench.database(pair, kind)
        stack.callback(self.database.close)
        url = self.database.url
        if kind == "postgres":
            bench.cluster.log_statements(url.rsplit("/", 1)[1])
        self.ours = stack.enter_context(start_binary(pair, url, SETTINGS, bench.log("ours")))
        self.django = stack.enter_context(start_django(pair, url, SITE, bench.log("django")))
        self.orm = Orm(pair, url, SITE)
        stack.callback(self.orm.stop)


@pytest.fixture(scope="module")
def rigs(bench: Bench) -> Iterator[dict[str, Rig]]:
    """By kind of database."""
    yield {}


@pytest.fixture
def rig(bench: Bench, pair: Pair, kind: str, rigs: dict[str, Rig], stack: ExitStack) -> Rig:
    """With alice and her token, and nobody else."""
    if kind not in rigs:
        rigs[kind] = Rig(bench, pair, kind, stack)
    rigs[kind].database.reset([ALICE])
    return rigs[kind]


@pytest.fixture(scope="module")
def stack() -> Iterator[ExitStack]:
    """Ends what was started."""
    with ExitStack() as stack:
        yield stack


def asked(path: str = PATH, *headers: str, method: str = "GET", key: str = KEY) -> bytes:
    """A question about a request with that token."""
    lines = [f"{method} {path} HTTP/1.1", "Host: drf_authtoken", f"Authorization: Token {key}", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def identity(answer: wire.Response) -> list[str | None]:
    """The values of all identity headers."""
    return [answer.header(name) for name in IDENTITY]


def allows(answer: wire.Response) -> bool:
    """A whole yes: its status, no body, not to be stored."""
    assert answer.header("cache-control") == "no-store"
    assert None not in identity(answer), "an identity header that is missing lets a forged one through"
    assert answer.header("transfer-encoding") is None
    return (answer.status, answer.body) == (200, b"")


def test_a_good_token_is_200_with_the_identity(rig: Rig) -> None:
    rig.orm.ask("update_user", username="alice", email="alice@example.com", is_staff=True)
    rig.orm.ask("join_groups", username="alice", names=["writers", "Content Editors", "a,b"])
    answer = ask(rig.ours, asked()).answer
    assert allows(answer)
    assert identity(answer) == ["alice", "1", "alice@example.com", "true", "Content%20Editors,a%2Cb,writers"]
    rig.orm.ask("update_user", username="alice", email="", is_staff=False)
    rig.orm.ask("join_groups", username="alice", names=[])
    assert identity(ask(rig.ours, asked()).answer) == ["alice", "1", "", "false", ""]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.id)
def test_a_refusal_is_djangos_own(rig: Rig, case: cases.Case) -> None:
    """Status, body, type and challenge are those of a DRF view with IsAuthenticated; nobody is named."""
    rig.database.reset(case.users)
    expected = ask(rig.django, case.request).answer
    answer = ask(rig.ours, case.request.replace(b" /secret/ ", f" {PATH} ".encode(), 1)).answer
    assert expected.status == 401
    assert (answer.status, answer.body) == (expected.status, expected.body)
    for name in ("content-type", "www-authenticate"):
        assert answer.header(name) == expected.header(name), name
    assert answer.header("cache-control") == "no-store"
    assert identity(answer) == [""] * len(IDENTITY)


def test_there_are_refusals_to_compare() -> None:
    assert len(REFUSED) > 20


@pytest.mark.parametrize("kind", ["sqlite"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
@pytest.mark.parametrize("path", [PATH, "/forward-auth", "/forward-auth/api/items/%2e%2e/7?format=x&a=%ff"])
def test_any_method_and_path_is_asked_about(rig: Rig, method: str, path: str) -> None:
    answer = ask(rig.ours, asked(path, "Accept: image/png", "Content-Type: nonsense", method=method)).answer
    assert allows(answer)
    assert ask(rig.ours, asked(path, method=method, key="x")).status == 401


@pytest.mark.parametrize("kind", ["sqlite"])
@pytest.mark.parametrize("path", ["/forward-authors/", "/forward", "/x/forward-auth/", "/Forward-Auth/"])
def test_other_paths_are_not_it(rig: Rig, path: str) -> None:
    assert ask(rig.ours, asked(path)).status == 400, "the host check comes first on Django's paths"
    assert ask(rig.ours, asked(path).replace(b"drf_authtoken", b"www.example.com")).status == 404


@pytest.mark.parametrize("kind", ["sqlite"])
def test_it_is_off_by_default(bench: Bench, pair: Pair, rig: Rig) -> None:
    with start_binary(pair, rig.database.url, SITE, bench.log("ours")) as off:
        assert ask(off, asked().replace(b"drf_authtoken", b"t")).status == 404


@pytest.mark.parametrize("kind", ["sqlite"])
def test_a_body_that_is_announced_is_not_waited_for(rig: Rig) -> None:
    """A proxy that keeps Content-Length but sends no body gets its answer all the same."""
    length = f"Content-Length: {10**12}"
    with wire.Connection(rig.ours.address) as connection:
        connection.send(asked(PATH, length, "Content-Type: application/json", method="POST"))
        assert allows(connection.receive())


def test_staff_can_be_required(rig: Rig) -> None:
    """The answers are those of a Django view with IsAdminUser."""
    path = PATH + "?require=staff"
    ask_django = asked("/staff/")
    for is_staff, status in ((False, 403), (True, 200)):
        rig.orm.ask("update_user", username="alice", is_staff=is_staff)
        expected, answer = ask(rig.django, ask_django.replace(b"drf_authtoken", b"t")).answer, None
        answer = ask(rig.ours, asked(path)).answer
        assert (expected.status, answer.status) == (status, status)
        if status == 403:
            assert answer.body == expected.body
            assert answer.header("www-authenticate") is expected.header("www-authenticate") is None
            assert identity(answer) == [""] * len(IDENTITY)
        else:
            assert allows(answer)
    assert ask(rig.ours, asked(path, key="x")).status == 401


@pytest.mark.parametrize("kind", ["sqlite"])
@pytest.mark.parametrize("query", ["require=Staff", "require=", "require=staff&require=superuser"])
def test_a_requirement_that_is_not_known_lets_nobody_in(rig: Rig, query: str) -> None:
    rig.orm.ask("update_user", username="alice", is_staff=True)
    assert ask(rig.ours, asked(f"{PATH}?{query}")).status == 400


def test_who_asks_for_a_refusal_gets_no_yes(rig: Rig) -> None:
    answer = ask(rig.ours, asked(PATH + "?refusal")).answer
    assert (answer.status, answer.header("retry-after")) == (503, "1")
    assert identity(answer) == [""] * len(IDENTITY)
    assert ask(rig.ours, asked(PATH + "?refusal", key="x")).status == 401


@pytest.mark.parametrize(
    "name", ["josé", "名前", "a b", "100%", "x,y", "%41", "a\tb", "a\r\nX-Auth-User: evil", "\u202e", "'\"\\"]
)
def test_every_name_comes_through_and_none_breaks_out(rig: Rig, name: str) -> None:
    rig.orm.ask("update_user", username="alice", new_name=name)
    answer = ask(rig.ours, asked()).answer
    assert allows(answer)
    assert [key.lower() for key, _ in answer.headers].count("x-auth-user") == 1
    told = answer.header("x-auth-user") or ""
    assert told.isascii() and told.isprintable() and unquote(told) == name


@pytest.mark.parametrize("kind", ["sqlite"])
@pytest.mark.parametrize("name", ["alice", "Alice.B-c_d+e@example.com"])
def test_a_plain_name_needs_no_decoding(rig: Rig, name: str) -> None:
    rig.orm.ask("update_user", username="alice", new_name=name)
    assert ask(rig.ours, asked()).answer.header("x-auth-user") == name


@pytest.mark.parametrize("kind", ["sqlite"])
def test_identity_that_the_client_sends_is_not_believed(rig: Rig) -> None:
    forged = [f"{name}: evil" for name in IDENTITY]
    answer = ask(rig.ours, asked(PATH, *forged)).answer
    assert allows(answer) and "evil" not in str(answer.headers)
    assert ask(rig.ours, asked(PATH, *forged, key="x")).status == 401


def test_a_revoked_token_is_refused_on_the_next_question(rig: Rig) -> None:
    assert ask(rig.ours, asked()).status == 200
    rig.orm.ask("delete_token", username="alice")
    answer = ask(rig.ours, asked()).answer
    assert (answer.status, answer.body) == (401, b'{"detail":"Invalid token."}')


@pytest.mark.parametrize("kind", ["postgres"])
def test_it_costs_one_statement(bench: Bench, rig: Rig) -> None:
    """As the protected view does: the identity comes with the token."""
    name = rig.database.url.rsplit("/", 1)[1]

    def statements() -> list[str]:
        log = bench.cluster.process.log_text()
        return re.findall(rf"<{name}> LOG:  (?:statement|execute [^:]*): (.*)", log)

    ask(rig.ours, asked())
    before = statements()
    assert allows(ask(rig.ours, asked()).answer)
    assert [line.split()[0].upper() for line in statements()[len(before) :]] == ["SELECT"]


@pytest.mark.parametrize("kind", ["sqlite"])
@pytest.mark.parametrize("nginx", [False, True], ids=["others", "nginx"])
def test_a_database_that_is_away_is_never_a_yes(bench: Bench, pair: Pair, nginx: bool, kind: str) -> None:
    """503 for those who pass it; 403 with the status beside it for nginx, which would make it a 500."""
    database = bench.database(pair, kind)
    database.reset([ALICE])
    settings = SETTINGS | {"FORWARD_AUTH_NGINX": nginx, "DATABASE_TIMEOUT": 0.3}
    service: Service
    with start_binary(pair, database.url, settings, bench.log("ours")) as service:
        with sqlite3.connect(database.url.removeprefix("sqlite:///")) as lock:
            lock.execute("BEGIN EXCLUSIVE")
            answer = ask(service, asked()).answer
            lock.rollback()
        assert answer.status == (403 if nginx else 503)
        assert answer.header("x-auth-error") == ("503" if nginx else None)
        assert answer.header("retry-after") == "1"
        assert identity(answer) == [""] * len(IDENTITY)
        assert ask(service, asked()).status == 200
    database.close()


@pytest.mark.parametrize("kind", ["sqlite"])
def test_names_of_headers_come_from_the_settings(bench: Bench, pair: Pair, rig: Rig) -> None:
    settings = SITE | {"FORWARD_AUTH": True, "FORWARD_AUTH_USER_HEADER": "Remote-User"}
    settings |= {"FORWARD_AUTH_USER_ID_HEADER": "None", "FORWARD_AUTH_PATH": "/auth/ask/"}
    with start_binary(pair, rig.database.url, settings, bench.log("ours")) as service:
        answer = ask(service, asked("/auth/ask/")).answer
        assert answer.header("remote-user") == "alice"
        assert [name for name, _ in answer.headers if name.startswith("x-auth")] == []
