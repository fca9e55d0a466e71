"""The log: it says which user's hash is corrupt, and holds no password, key or hash at any level."""

from __future__ import annotations

import base64
import json
import os
import re
import resource
import signal
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from bench import Bench
from cases import pbkdf2
from clients import ALICE, KEY, SECRET, ask, basic_bytes, login_bytes
from databases import User
from services import Pair, start_binary
from sites import BASIC_AND_TOKEN

pytestmark = [pytest.mark.usefixtures("binary"), pytest.mark.newest_only]

SETTINGS = {"PBKDF2_ITERATIONS": 1000}
OUTDATED = User("olga", "PasswordOfOlga", pbkdf2("sha256", 500, "SaltOfOlga", "PasswordOfOlga"))
CORRUPT = User("carl", "PasswordOfCarl", "pbkdf2_sha256$many$SaltOfCarl$HashOfCarl")
UNKNOWN = User("uwe", "PasswordOfUwe", "enigma$1$SaltOfUwe$HashOfUwe")
USERS = [ALICE, OUTDATED, CORRUPT, UNKNOWN]


def forms(secret: str) -> list[str]:
    """A text as it may stand in a log: plain, or as the numbers of its bytes."""
    raw = secret.encode()
    return [secret, ", ".join(map(str, raw)), raw.hex(), " ".join(f"{byte:02x}" for byte in raw)]


def secrets_in(log: str, secrets: list[str]) -> list[str]:
    """Those that the log holds in any form, whatever the case of its letters."""
    return [secret for secret in secrets if any(form.lower() in log.lower() for form in forms(secret))]


def test_secrets_are_found_in_every_form() -> None:
    for text in ("x KEY y", "x key y", "[75, 69, 89]", "4b4559", "4B 45 59"):
        assert secrets_in(text, ["KEY", "other"]) == ["KEY"]


def test_a_corrupt_hash_is_logged_with_the_users_id_and_nothing_else(
    bench: Bench, pair: Pair, kind: str
) -> None:
    with closing(bench.database(pair, kind)) as database:
        database.reset(USERS)
        log = bench.log("ours")
        with start_binary(pair, database.url, SETTINGS, log) as service:
            for user in (CORRUPT, UNKNOWN):
                before = log.read_text()
                assert ask(service, login_bytes(user)).status == 400
                line, audit = log.read_text()[len(before) :].splitlines()
                number = USERS.index(user) + 1
                assert re.search(rf'\buser_id="?{number}"?(\s|$)', line), line
                assert "WARN" in line and "hash" in line
                assert "drf_authtoken::audit" in audit
                for text in (line, audit):
                    assert "Of" not in text and user.name not in text


def test_the_log_holds_no_secret_at_its_finest_level(bench: Bench, pair: Pair, kind: str) -> None:
    with closing(bench.database(pair, kind)) as database:
        database.reset(USERS)
        log = bench.log("ours")
        wrong = "1f2e3d4c5b6a79880f1e2d3c4b5a69788f9e0d1c"
        secrets = [KEY, wrong, "NotHerPassword", *(user.encoded for user in USERS)]
        secrets += [part for user in USERS for part in user.encoded.split("$")[2:]]
        secrets += [user.password for user in USERS]
        secrets += [base64.b64encode(f"{user.name}:{user.password}".encode()).decode() for user in USERS]
        settings = SETTINGS | BASIC_AND_TOKEN | {"LOG_LEVEL": "trace"}
        with start_binary(pair, database.url, settings, log) as service:
            token = json.loads(ask(service, login_bytes(OUTDATED)).answer.body)["token"]
            statuses = [ask(service, login_bytes(user)).status for user in USERS]
            assert statuses == [200, 200, 400, 400]
            assert ask(service, login_bytes(User("alice", "NotHerPassword", ""))).status == 400
            assert ask(service, login_bytes(User("NotHerPassword", "NotHerPassword", ""))).status == 400
            form = b"username=olga&password=PasswordOfOlga"
            head = b"POST /api-token-auth/ HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n" % len(form)
            assert (
                ask(service, head + b"Content-Type: application/x-www-form-urlencoded\r\n\r\n" + form).status
                == 200
            )
            assert ask(service, head + b"Content-Type: application/json\r\n\r\n" + form).status == 400
            assert ask(service, SECRET).status == 200
            assert ask(service, SECRET.replace(KEY.encode(), token.encode())).status == 200
            assert [ask(service, basic_bytes(user)).status for user in USERS] == [200, 200, 401, 401]
            assert ask(service, basic_bytes(User("alice", "NotHerPassword", ""))).status == 401
            for bad in (wrong, f"{wrong} {KEY}", f"{wrong}\xff"):
                assert ask(service, SECRET.replace(KEY.encode(), bad.encode("latin-1"))).status == 401
            assert ask(service, SECRET.replace(b"Token ", b"Bearer ")).status == 401
            assert ask(service, SECRET.replace(KEY.encode(), KEY.encode() + b"\x01")).status == 400
            renewed = database.snapshot().users["2"]["password"]
            assert renewed != OUTDATED.encoded
        secrets += [token, renewed, *renewed.split("$")[2:]]
        text = log.read_text()
        # There is no event below this one so far.
        assert "DEBUG" in text, "the finest level was not on"
        assert secrets_in(text, secrets) == []


def core_of(child: subprocess.Popen[bytes], folder: Path) -> bool:
    """Whether a core is dumped when it breaks off."""
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(child.pid, resource.RLIMIT_CORE, unlimited)
    child.send_signal(signal.SIGABRT)
    _, status = os.waitpid(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == -signal.SIGABRT
    return os.WCOREDUMP(status) or any(path.name.startswith("core") for path in folder.iterdir())


@pytest.mark.parametrize("kind", ["sqlite"])
def test_a_crash_leaves_no_core(bench: Bench, pair: Pair, kind: str, tmp_path: Path) -> None:
    """With it would go the last token. Where the kernel writes cores, another program leaves one."""
    with closing(bench.database(pair, kind)) as database:
        database.reset(USERS)
        with start_binary(pair, database.url, SETTINGS, bench.log("ours")) as service:
            assert ask(service, SECRET).status == 200
            assert not core_of(service.process.child, tmp_path)
    if not Path("/proc/sys/kernel/core_pattern").read_text().startswith("|"):
        assert core_of(subprocess.Popen(["sleep", "60"], cwd=tmp_path), tmp_path)


PASSWORD, TOKEN, DATABASE = "CanaryOfPassword", "feedfacefeedfacefeedfacefeedfacefeedface", "CanaryOfDatabase"


def canaries() -> list[bytes]:
    """Requests with secrets in every place where a client may put them."""
    secrets = [PASSWORD, TOKEN, f"Token {TOKEN}"]
    found = []
    for secret in secrets:
        for path in (
            "/secret/",
            "/forward-auth/",
            f"/{secret.replace(' ', '/')}",
            f"/nothing/?q={TOKEN}",
            "/secret",
        ):
            for name in ("Authorization", "X-Request-ID", "User-Agent", "X-Forwarded-For", "Cookie", "Host"):
                lines = [
                    f"GET {path} HTTP/1.1",
                    *([] if name == "Host" else ["Host: t"]),
                    f"{name}: {secret}",
                ]
                found.append("\r\n".join([*lines, "", ""]).encode())
        user = User(secret, secret, "")
        found += [login_bytes(user), login_bytes(user, f"Authorization: Token {secret}")]
        found.append(login_bytes(user).replace(b'"username"', b'"username '))
        for kind in (
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=b",
            "application/xml",
        ):
            body = f"username={secret}&password={secret}\r\n--b\r\nContent-Disposition: {secret}\r\n\r\n"
            head = f"POST /api-token-auth/ HTTP/1.1\r\nHost: t\r\nContent-Type: {kind}\r\n"
            found.append(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        found.append(f"GET /secret/ HTTP/1.1\r\nHost: t\r\nAuthorization {secret}\r\n\r\n".encode())
    return found


@pytest.mark.parametrize("kind", ["postgres"])
@pytest.mark.parametrize("as_json", [False, True], ids=["human", "json"])
def test_a_canary_is_in_no_log_no_metric_and_no_error(
    bench: Bench, pair: Pair, kind: str, as_json: bool
) -> None:
    """Sent through every path with everything logged; one of them is the password of the database."""
    with closing(bench.database(pair, kind)) as database:
        alice = User("alice", PASSWORD, pbkdf2("sha256", 1000, "abc", PASSWORD), TOKEN)
        database.reset([alice])
        log = bench.log("ours")
        url = database.url.replace(":unused@", f":{DATABASE}@")
        assert url != database.url
        settings = SETTINGS | {"LOG_LEVEL": "trace", "LOG_JSON": as_json, "LOG_REQUESTS": True}
        settings |= {"REQUEST_ID_HEADER": "X-Request-ID", "FORWARD_AUTH": True}
        settings |= {"OPERATIONS_BIND": "127.0.0.1:0"}
        said = b""
        with start_binary(pair, url, settings, log) as service:
            for request in [*canaries(), login_bytes(alice), SECRET.replace(KEY.encode(), TOKEN.encode())]:
                answer = ask(service, request).answer
                if answer.status >= 400:
                    said += answer.body + str(answer.headers).encode()
            metrics = ask(service.operations(), b"GET /metrics HTTP/1.1\r\nHost: t\r\n\r\n").answer.body
        text = log.read_text()
        assert "answered" in text and "login" in text and b"Forward Auth" in metrics and len(said) > 5000
        for where in (text, metrics.decode(), said.decode("latin-1")):
            for line in where.splitlines():
                assert secrets_in(line, [PASSWORD, TOKEN, DATABASE]) == [], line
        assert not [line for line in text.splitlines() if not line.isprintable()]
