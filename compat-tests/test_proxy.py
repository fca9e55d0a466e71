"""The recipes of `scripts/proxy/`, run by real proxies in front of our service and Django under gunicorn."""

from __future__ import annotations

import json
import os
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import wire
from bench import Bench
from clients import ALICE, KEY, SECRET, ask, login_bytes
from databases import Database
from load import Load, during
from processes import Process, free_port
from services import PROJECT, Orm, Pair, Service, program, start_binary, start_django

pytestmark = [
    pytest.mark.usefixtures("binary"),
    pytest.mark.newest_only,
    pytest.mark.parametrize("kind", ["sqlite"]),
]

RECIPES = PROJECT / "scripts/proxy"
# Who answered is seen at a header that the two are told to send differently.
OURS, DJANGO = "SAMEORIGIN", "DENY"
SITE = {"PBKDF2_ITERATIONS": 1000, "ALLOWED_HOSTS": ["*"]}
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
FORGED = ["X-Auth-User", "x-auth-user", "X-AUTH-USER-ID", "X_Auth_User", "X-Auth_User", "X_Auth-User-Id"]


@dataclass
class Proxy:
    """How a proxy is started, and how its recipe gives a share of the token paths to us."""

    recipe: str
    argv: Callable[[Path], list[str]]
    share: Callable[[str, int], str]
    further: tuple[str, ...] = ()


def nginx_share(text: str, percent: int) -> str:
    line = "        100%  drf_authtoken;\n"
    assert line in text
    return text.replace(line, line.replace("100", str(percent)) if percent else "")


def caddy_share(text: str, percent: int) -> str:
    whole = "reverse_proxy 127.0.0.1:8000 {"
    assert whole in text
    ours, both = "127.0.0.1:8000", {0: 0, 20: 1, 100: 1}
    django = {0: 1, 20: 4, 100: 0}[percent]
    upstreams = [ours] * both[percent] + ["127.0.0.1:8001"] * django
    return text.replace(whole, f"reverse_proxy {' '.join(upstreams)} {{")


def haproxy_share(text: str, percent: int) -> str:
    assert "lt 100 }" in text
    return text.replace("lt 100 }", f"lt {percent} }}")


PROXIES = {
    "nginx": Proxy(
        "nginx.conf",
        lambda file: [
            *(program("nginx"), "-p", str(file.parent), "-c", str(file), "-e", "stderr"),
            *("-g", f"daemon off; pid {file.parent}/nginx.pid;"),
        ],
        nginx_share,
    ),
    "caddy": Proxy(
        "Caddyfile",
        lambda file: [program("caddy"), "run", "--config", str(file), "--adapter", "caddyfile"],
        caddy_share,
    ),
    "haproxy": Proxy(
        "haproxy.cfg",
        lambda file: [program("haproxy"), "-W", "-db", "-f", str(file)],
        haproxy_share,
        ("haproxy-forward-auth.lua",),
    ),
}


class Rig:
    """Our service on a socket that stays, Django, and proxies in front."""

    def __init__(self, bench: Bench, pair: Pair, kind: str, stack: ExitStack) -> None:
        self.bench, self.pair, self.stack = bench, pair, stack
        self.database: Database = bench.database(pair, kind)
        stack.callback(self.database.close)
        self.port = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=512))
        self.ours = self.start()
        stack.callback(lambda: self.ours.stop())
        url = self.database.url
        settings = SITE | {"X_FRAME_OPTIONS": DJANGO}
        self.django = stack.enter_context(start_django(pair, url, settings, bench.log("django")))
        self.orm = Orm(pair, url, SITE)
        stack.callback(self.orm.stop)
        self.running: dict[str, Service] = {}

    def start(self, **settings: Any) -> Service:
        """Our service, on the socket that outlives it."""
        told = SITE | {"FORWARD_AUTH": True, "X_FRAME_OPTIONS": OURS} | settings
        return start_binary(self.pair, self.database.url, told, self.bench.log("ours"), listen=self.port)

    def restart(self) -> None:
        """A new process takes over while the old one drains."""
        old, self.ours = self.ours, self.start()
        assert old.stop() == 0

    def front(self, name: str, percent: int = 100) -> Service:
        """That proxy with its recipe, at this run's addresses; `percent` of the token paths are ours."""
        proxy = PROXIES[name]
        folder = self.bench.folder / self.bench.name(name)
        folder.mkdir()
        folder.chmod(0o755)
        text = proxy.share((RECIPES / proxy.recipe).read_text(), percent)
        port = free_port()
        for file in (proxy.recipe, *proxy.further):
            text = text if file == proxy.recipe else (RECIPES / file).read_text()
            (folder / file).write_text(self.placed(text, port, folder))
        log = self.bench.log(name)
        env = {"PATH": os.environ["PATH"], "HOME": str(folder), "XDG_DATA_HOME": str(folder)}
        process = Process(proxy.argv(folder / proxy.recipe), log=log, cwd=folder, env=env)
        process.wait_for_port(("127.0.0.1", port))
        return Service(process, ("127.0.0.1", port))

    def placed(self, text: str, port: int, folder: Path) -> str:
        """The text with this run's addresses, and nginx's own files in this folder."""
        for written, real in (
            ("127.0.0.1:8000", f"127.0.0.1:{self.port.getsockname()[1]}"),
            ("127.0.0.1:8001", f"127.0.0.1:{self.django.address[1]}"),
            ("127.0.0.1:8080", f"127.0.0.1:{port}"),
            ("http://:8080", f"http://:{port}"),
        ):
            text = text.replace(written, real)
        own = [f"{name}_temp_path {folder}/{name};" for name in TEMPORARY]
        return text.replace("\nhttp {", "\nhttp {\n access_log off;\n" + "\n".join(own), 1)


@pytest.fixture(scope="module")
def rigs() -> Iterator[dict[str, Rig]]:
    """The one rig of this file, when it is started."""
    yield {}


@pytest.fixture(scope="module")
def stack() -> Iterator[ExitStack]:
    """Ends what was started."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def rig(bench: Bench, pair: Pair, kind: str, rigs: dict[str, Rig], stack: ExitStack) -> Rig:
    """With alice and her token."""
    if kind not in rigs:
        rigs[kind] = Rig(bench, pair, kind, stack)
    rigs[kind].database.reset([ALICE])
    return rigs[kind]


@pytest.fixture(params=PROXIES)
def proxy(request: pytest.FixtureRequest) -> str:
    """The name of a proxy."""
    name: str = request.param
    return name


@pytest.fixture
def front(rig: Rig, proxy: str, stack: ExitStack) -> Service:
    """A proxy in front of both, for all tests that leave it as it is."""
    if proxy not in rig.running:
        rig.running[proxy] = stack.enter_context(rig.front(proxy))
    return rig.running[proxy]


def asks(path: str, *headers: str, method: str = "GET", key: str | None = KEY, body: bytes = b"") -> bytes:
    """A client's request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: www.example.com", *headers]
    lines += [f"Authorization: Token {key}"] if key else []
    lines += [f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join([*lines, "", ""]).encode() + body


def told(answer: wire.Response) -> dict[str, str]:
    """What Django was told of the user; an empty header is as good as none."""
    assert answer.status == 200, answer
    return {name: value for name, value in json.loads(answer.body)["told"].items() if value}


ALICE_IS = {"HTTP_X_AUTH_USER": "alice", "HTTP_X_AUTH_USER_ID": "1"}


def test_the_two_paths_are_ours_and_all_others_djangos(rig: Rig, front: Service) -> None:
    for request in (SECRET, login_bytes(ALICE), SECRET.replace(KEY.encode(), b"x")):
        through, direct = ask(front, request).answer, ask(rig.ours, request).answer
        assert (through.status, through.body) == (direct.status, direct.body)
        for name in ("content-type", "www-authenticate", "allow", "vary", "x-frame-options"):
            assert through.header(name) == direct.header(name), name
        assert through.header("x-frame-options") == OURS
    for path in ("/secret", "/api-token-auth"):
        direct = ask(rig.django, asks(path)).answer
        through = ask(front, asks(path)).answer
        assert (through.status, through.header("location")) == (301, direct.header("location"))
    for path in ("/public/", "/nothing/", "/secret/x", "/api-token-auth/x/"):
        assert ask(front, asks(path)).answer.header("x-frame-options") == DJANGO, path


def test_a_share_of_the_two_paths_can_be_given_and_taken_back(rig: Rig, proxy: str) -> None:
    """Nobody sees who answers: each token is good at both."""
    for percent, least, most in ((20, 40, 130), (100, 400, 400), (0, 0, 0)):
        with rig.front(proxy, percent) as front, wire.Connection(front.address) as connection:
            counted: Counter[str | None] = Counter()
            for number in range(400):
                connection.send(login_bytes(ALICE) if number % 10 == 0 else SECRET)
                answer = connection.receive()
                assert answer.status == 200
                counted[answer.header("x-frame-options")] += 1
        assert least <= counted[OURS] <= most, counted
        assert counted[OURS] + counted[DJANGO] == 400


def test_a_view_of_djangos_is_told_who_it_is(rig: Rig, front: Service) -> None:
    for method, body in (("GET", b""), ("POST", b"precious"), ("PUT", b"x" * 100_000), ("DELETE", b"")):
        answer = ask(
            front, asks("/whoami/?a=b&require=x", "Accept: image/png", method=method, body=body)
        ).answer
        assert told(answer) == ALICE_IS
        seen = json.loads(answer.body)
        assert (seen["method"], seen["body"]) == (method, body.decode()), "the body goes to Django whole"


def test_a_refusal_reaches_the_client_as_drf_words_it(rig: Rig, front: Service) -> None:
    for key, authorization in ((None, []), ("wrong", []), (None, ["Authorization: Token a b"])):
        request = asks("/whoami/", *authorization, key=key, method="POST", body=b"a=b")
        expected = ask(rig.django, asks("/secret/", *authorization, key=key)).answer
        answer = ask(front, request).answer
        assert (answer.status, answer.body) == (401, expected.body)
        assert answer.header("content-type") == "application/json"
        challenges = [value for name, value in answer.headers if name.lower() == "www-authenticate"]
        assert challenges == ["Token"]


def test_an_encoded_path_is_the_same_path(front: Service) -> None:
    for path in ("/%77hoami/", "/whoam%69/staff/", "/whoami/%73taff/"):
        assert ask(front, asks(path, key=None)).status == 401, path
    assert ask(front, asks("/whoami/%73taff/")).status == 403
    for path in ("/whoami/%zz", "/whoami/staff/%zz", "/whoami/%"):
        assert ask(front, asks(path, key=None)).status in {400, 401}, path


@pytest.mark.parametrize("proxy", ["nginx"], indirect=True)
@pytest.mark.parametrize("path", ["/whoami/staff/../../public/", "/public/%2E%2e/whoami/", "/whoami/."])
def test_dots_do_not_lead_round_the_question(front: Service, path: str) -> None:
    """nginx chooses by the path without them, and Django is given the path with them."""
    assert ask(front, asks(path)).status == 400


def test_staff_can_be_required(rig: Rig, front: Service) -> None:
    refused = ask(front, asks("/whoami/staff/")).answer
    expected = ask(rig.django, asks("/staff/")).answer
    assert (refused.status, refused.body) == (403, expected.body)
    assert ask(front, asks("/whoami/staff/", key="x")).status == 401
    assert ask(front, asks("/whoami/staff/below/")).status == 403
    rig.orm.ask("update_user", username="alice", is_staff=True)
    assert told(ask(front, asks("/whoami/staff/")).answer) == ALICE_IS


@pytest.mark.parametrize("path", ["/whoami/", "/public/"])
@pytest.mark.parametrize("hop", ["", "Connection: X-Auth-User, X-Auth-User-Id"], ids=["plain", "hop-by-hop"])
def test_a_forged_identity_never_reaches_django(rig: Rig, front: Service, path: str, hop: str) -> None:
    """In whatever spelling; nor can a client have the true one taken away and be let in as somebody else."""
    headers = [f"{name}: evil" for name in FORGED] + ([hop] if hop else [])
    answer = ask(front, asks(path, *headers)).answer
    seen = told(answer)
    assert "evil" not in str(seen)
    if path == "/public/":
        assert seen == {}
    elif not hop:
        assert seen == ALICE_IS


def test_the_check_for_forged_headers_would_see_one(rig: Rig) -> None:
    """Straight to Django, past the proxy."""
    assert told(ask(rig.django, asks("/public/", "X-Auth-User: evil")).answer) == {"HTTP_X_AUTH_USER": "evil"}


def test_a_name_outside_ascii_comes_through(rig: Rig, front: Service) -> None:
    rig.orm.ask("update_user", username="alice", new_name="josé名")
    seen = told(ask(front, asks("/whoami/")).answer)
    assert seen["HTTP_X_AUTH_USER"] == "jos%C3%A9%E5%90%8D"


def test_a_revoked_token_is_refused_on_the_next_request(rig: Rig, front: Service) -> None:
    for path in ("/secret/", "/whoami/"):
        assert ask(front, asks(path)).status == 200
    rig.orm.ask("delete_token", username="alice")
    for path in ("/secret/", "/whoami/"):
        answer = ask(front, asks(path)).answer
        assert (answer.status, answer.body) == (401, b'{"detail":"Invalid token."}')


def test_no_request_fails_while_it_restarts_twice(rig: Rig, front: Service) -> None:
    """10,000 requests: the protected view, log-ins, and questions for a view of Django's."""
    secret, login, question = asks("/secret/"), login_bytes(ALICE), asks("/whoami/")
    load = Load(front.address, [*[secret] * 10, login, *[secret] * 8, question])
    during(load, [rig.restart, rig.restart], 3400)
    assert load.all_are(200, at_least=10_000)


def test_a_service_that_is_gone_lets_nobody_in(rig: Rig, proxy: str) -> None:
    """A proxy that gets no answer refuses."""
    stays = rig.port
    with socket.socket() as rig.port:
        # Bound, so that it is nobody else's, and not listening.
        rig.port.bind(("127.0.0.1", 0))
        try:
            with rig.front(proxy) as front:
                assert ask(front, asks("/whoami/")).status in (500, 502, 503, 504)
                assert ask(front, asks("/public/")).status == 200
        finally:
            rig.port = stays


def test_a_question_of_caddys_keeps_no_connection(rig: Rig) -> None:
    """Another one, opened beside the question, might go to Django."""
    stays = rig.port
    with socket.create_server(("127.0.0.1", 0)) as rig.port:
        try:
            with rig.front("caddy") as front:
                for path in ("/whoami/", "/whoami/staff/"):
                    with wire.Connection(front.address) as client:
                        client.send(asks(path))
                        rig.port.settimeout(10)
                        question, _ = rig.port.accept()
                        with question:
                            question.settimeout(10)
                            head = question.recv(65536)
                            assert b"/forward-auth/" in head and b"\r\nConnection: close\r\n" in head
                            question.sendall(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
                        assert client.receive().status == 401
        finally:
            rig.port = stays


def test_what_traefik_sends_is_understood(rig: Rig) -> None:
    """Its ForwardAuth asks with GET, whatever the method was, and says in headers what it is about."""
    forwarded = ["X-Forwarded-Method: POST", "X-Forwarded-Proto: https", "X-Forwarded-Host: www.example.com"]
    forwarded += ["X-Forwarded-Uri: /whoami/?require=x", "X-Forwarded-For: 203.0.113.7", "Accept: image/png"]
    forged = [f"{name}: evil" for name in FORGED]
    answer = ask(rig.ours, asks("/forward-auth/", *forwarded, *forged)).answer
    assert (answer.status, answer.header("x-auth-user"), answer.header("x-auth-user-id")) == (
        200,
        "alice",
        "1",
    )
    assert ask(rig.ours, asks("/forward-auth/?require=staff", *forwarded)).status == 403
    refused = ask(rig.ours, asks("/forward-auth/", *forwarded, key="x")).answer
    assert (refused.status, refused.header("www-authenticate")) == (401, "Token")
    assert json.loads(refused.body) == {"detail": "Invalid token."}


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
def test_what_envoy_sends_is_understood(rig: Rig, method: str) -> None:
    """Its ext_authz asks with the method and the path of the request, behind the prefix, and with no body."""
    sent = ["Content-Length: 0", "X-Forwarded-Proto: https", "X-Request-Id: 5f8b", "X-Envoy-Internal: true"]
    path = "/forward-auth/whoami/%7Ea/?a=b&format=x"
    answer = ask(rig.ours, asks(path, *sent, method=method)).answer
    assert (answer.status, answer.body, answer.header("x-auth-user")) == (200, b"", "alice")
    refused = ask(rig.ours, asks(path, *sent, method=method, key=None)).answer
    assert (refused.status, refused.header("www-authenticate")) == (401, "Token")
