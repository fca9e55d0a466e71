"""The document is true: one and the same wherever it is had, valid, and what the running service answers."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml
from openapi_schema_validator import OAS30Validator
from openapi_spec_validator import validate

import wire
from bench import Bench
from cases import SALT, pbkdf2
from clients import ALICE, KEY
from databases import User
from services import PROJECT, Pair, Service, run_binary, start_binary

pytestmark = [
    pytest.mark.usefixtures("binary"),
    pytest.mark.newest_only,
    pytest.mark.parametrize("kind", ["sqlite"]),
]

DIALECTS = {"drf-authtoken": "openapi", "drf-spectacular": "drf-spectacular"}
BODY_TIMEOUT, DATABASE_TIMEOUT = 0.5, 1
INACTIVE_KEY = "1" * 40
INACTIVE = User("inga", "x", pbkdf2("sha256", 1000, SALT, "x"), INACTIVE_KEY, active=False)
SETTINGS = {"PBKDF2_ITERATIONS": 1000, "BODY_TIMEOUT": BODY_TIMEOUT, "DATABASE_TIMEOUT": DATABASE_TIMEOUT}
TOKEN = f"Token {KEY}".encode()
OWN = json.loads((PROJECT / "openapi/openapi.json").read_text())


@pytest.fixture
def database(bench: Bench, pair: Pair, kind: str) -> Iterator[str]:
    """The file of a database with alice, and one who may not log in."""
    with closing(bench.database(pair, kind)) as database:
        database.reset([ALICE, INACTIVE])
        yield database.url.removeprefix("sqlite:///")


@pytest.fixture
def service(bench: Bench, pair: Pair, database: str) -> Iterator[Service]:
    with start_binary(pair, f"sqlite:///{database}", SETTINGS, bench.log("ours")) as service:
        yield service


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_document_is_the_same_from_the_command_the_service_and_the_folder(
    service: Service, dialect: str
) -> None:
    stem = PROJECT / "openapi" / DIALECTS[dialect]
    document = json.loads(stem.with_suffix(".json").read_text())
    validate(document)
    for form in ("json", "yaml"):
        printed = run_binary("openapi", "--dialect", dialect, "--format", form, url="sqlite:///none")
        assert printed.returncode == 0, printed.stderr
        assert printed.stdout == stem.with_suffix(f".{form}").read_text()
        assert yaml.safe_load(printed.stdout) == document
        served = wire.simple(service.address, "GET", f"/api/schema/?dialect={dialect}&format={form}")
        told = yaml.safe_load(served.body)
        if dialect == "drf-authtoken":
            # Where it is had from is known only then.
            assert told.pop("servers") == [{"url": "http://testserver"}]
            told["servers"] = [{"url": "/"}]
        assert told == document


def test_the_server_in_the_document_is_the_one_that_the_proxy_names(
    bench: Bench, pair: Pair, kind: str, database: str
) -> None:
    settings = SETTINGS | {
        "USE_X_FORWARDED_HOST": True,
        "SECURE_PROXY_SSL_HEADER": ["HTTP_X_FORWARDED_PROTO", "https"],
    }
    with start_binary(pair, f"sqlite:///{database}", settings, bench.log("ours")) as service:
        request = (
            b"GET /api/schema/ HTTP/1.1\r\nHost: inner:8000\r\nX-Forwarded-Host: api.example.com\r\n"
            b"X-Forwarded-Proto: https\r\n\r\n"
        )
        document = yaml.safe_load(wire.exchange(service.address, request).body)
    assert document["servers"] == [{"url": "https://api.example.com"}]


@dataclass(frozen=True)
class Provocation:
    """A request that differs from a good one in this."""

    query: bytes = b""
    method: bytes = b""
    body: bytes | None = None
    headers: dict[bytes, bytes] = field(default_factory=dict)
    # As many bytes more as the length announces.
    missing: int = 0
    locked: bool = False


GOOD = b'{"username":"alice","password":"wonderland"}'
# By the name of the example that must be the answer.
PROVOCATIONS = {
    "format": Provocation(query=b"format=xml"),
    "accept": Provocation(headers={b"Accept": b"image/png"}),
    "token_unknown": Provocation(headers={b"Authorization": b"Token x"}),
    "token_inactive": Provocation(headers={b"Authorization": b"Token " + INACTIVE_KEY.encode()}),
    "token_empty": Provocation(headers={b"Authorization": b"Token"}),
    "token_spaces": Provocation(headers={b"Authorization": b"Token a b"}),
    "token_characters": Provocation(headers={b"Authorization": b"Token \xff"}),
    "anonymous": Provocation(headers={b"Authorization": b""}),
    "method": Provocation(method=b"other"),
    "parse": Provocation(body=b"no JSON"),
    "required": Provocation(body=b"{}"),
    "credentials": Provocation(body=b'{"username":"alice","password":"no"}'),
    "slow": Provocation(missing=1),
    "large": Provocation(headers={b"Content-Type": b"multipart/form-data; boundary=B"}, missing=1 << 30),
    "media_type": Provocation(headers={b"Content-Type": b"text/plain"}),
    "unavailable": Provocation(headers={b"Authorization": TOKEN}, locked=True),
    "dialect": Provocation(query=b"dialect=unknown"),
    "text/html": Provocation(headers={b"Host": b"under_score"}),
}


def request_bytes(method: str, path: str, how: Provocation, accept: str) -> bytes:
    """A good request for the operation, changed."""
    verb = method.upper().encode()
    if how.method:
        verb = {b"GET": b"PUT", b"POST": b"GET"}[verb]
    headers = {b"Host": b"testserver", b"Connection": b"close", b"Accept": accept.encode()}
    body = b""
    if method == "post":
        body = GOOD if how.body is None else how.body
        headers[b"Content-Type"] = b"application/json"
    else:
        headers[b"Authorization"] = TOKEN
    headers |= {b"Content-Length": b"%d" % (len(body) + how.missing)} | how.headers
    lines = [b"%s: %s" % line for line in headers.items()]
    target = b"%s?%s" % (path.encode(), how.query) if how.query else path.encode()
    return b"\r\n".join([b"%s %s HTTP/1.1" % (verb, target), *lines, b"", b""]) + body


OPERATIONS = [(method, path) for path, item in OWN["paths"].items() for method in item]


@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=[f"{m} {p}" for m, p in OPERATIONS])
def test_every_answer_in_the_document_is_one_of_the_running_service(
    service: Service, database: str, method: str, path: str
) -> None:
    operation = OWN["paths"][path][method]
    for status, response in operation["responses"].items():
        for media_type, described in response["content"].items():
            names = described.get("examples") or [media_type if media_type == "text/html" else None]
            for name in names:
                how = PROVOCATIONS[name] if name else Provocation()
                if not name and status != "200":
                    # The same answers in another type: one of them is enough.
                    first = next(iter(response["content"].values()))
                    how = PROVOCATIONS[next(iter(first["examples"]))]
                answer = ask(service, database, request_bytes(method, path, how, media_type), how)
                where = (method, path, status, media_type, name)
                check(answer, int(status), media_type, described, response, where)
                if name:
                    examples = described.get("examples", {})
                    wanted = examples[name]["value"] if examples else described["example"]
                    assert parsed(answer, media_type) == wanted, where


def ask(service: Service, database: str, request: bytes, how: Provocation) -> wire.Response:
    """The answer; while somebody else keeps the database, where that is the provocation."""
    if not how.locked:
        return wire.exchange(service.address, request)
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        return wire.exchange(service.address, request)


def parsed(answer: wire.Response, media_type: str) -> Any:
    """The body as its type is read; a page is its text."""
    return answer.body.decode() if media_type == "text/html" else yaml.safe_load(answer.body)


def check(
    answer: wire.Response,
    status: int,
    media_type: str,
    described: dict[str, Any],
    response: dict[str, Any],
    where: object,
) -> None:
    """Status, type, headers and shape are those of the document."""
    assert answer.status == status, (where, answer)
    assert (answer.header("content-type") or "").split(";")[0] == media_type, where
    schema = {"allOf": [described["schema"]], "components": OWN["components"]}
    OAS30Validator(schema).validate(parsed(answer, media_type))
    for name, header in response.get("headers", {}).items():
        value = answer.header(name.lower())
        assert value is not None, (where, name)
        typed = int(value) if header["schema"]["type"] == "integer" else value
        OAS30Validator(header["schema"]).validate(typed)
    # And none that the document does not tell of.
    for name in ("WWW-Authenticate", "Retry-After"):
        assert (answer.header(name.lower()) is not None) == (name in response.get("headers", {})), where


@pytest.mark.parametrize("nginx", [False, True], ids=["any-proxy", "nginx"])
def test_forward_auth_is_in_the_document_where_it_is_on(
    bench: Bench, pair: Pair, kind: str, database: str, nginx: bool
) -> None:
    settings = SETTINGS | {"FORWARD_AUTH": True, "FORWARD_AUTH_NGINX": nginx}
    with start_binary(pair, f"sqlite:///{database}", settings, bench.log("ours")) as service:
        document = json.loads(wire.simple(service.address, "GET", "/api/schema/?format=json").body)
        validate(document)
        (path,) = set(document["paths"]) - set(OWN["paths"])
        operation = document["paths"][path]["get"]
        assert path == "/forward-auth/"
        assert set(operation["responses"]) == ({"200", "401", "403"} if nginx else STATUSES)
        for status, response in operation["responses"].items():
            examples = response.get("content", {}).get("application/json", {}).get("examples", {None: None})
            for name in examples:
                how = (PROVOCATIONS | ASKED)[name] if name else Provocation()
                answer = ask(service, database, request_bytes("get", path, how, "*/*"), how)
                assert answer.status == int(status), (name, answer)
                if name:
                    assert json.loads(answer.body) == examples[name]["value"], name
                else:
                    assert answer.body == b""
                told = {header for header in response["headers"] if answer.header(header.lower()) is not None}
                optional = {"X-Auth-Error", "Retry-After"}
                assert told | optional == set(response["headers"]) | optional, (name, answer)


STATUSES = {"200", "400", "401", "403", "503"}
ASKED = {
    "require": Provocation(query=b"require=unknown"),
    "denied": Provocation(query=b"require=staff"),
}


def test_every_provocation_is_in_the_document(kind: str) -> None:
    named = {
        name
        for method, path in OPERATIONS
        for response in OWN["paths"][path][method]["responses"].values()
        for described in response["content"].values()
        for name in described.get("examples", {})
    }
    assert named | {"text/html"} == set(PROVOCATIONS)
