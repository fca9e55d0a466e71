"""The wall clock jumps while a service runs; libfaketime tells it another time."""

from __future__ import annotations

import re
from contextlib import closing
from datetime import UTC, datetime, timedelta

from cases import SALT, pbkdf2
from clients import ALICE, SECRET, ask, login_bytes
from databases import User
from faults import PASSWORD, Finding, Stage
from faults_crash import secret
from services import DEBIAN, Service
from sessions import SECRET_KEY, Session
from sites import QUICK_HASH

JUMPS = {"a day on": 1, "a day back": -1, "ten years on": 3653, "ten years back": -3653}
FIRST = [User(f"first{number}", PASSWORD, pbkdf2("sha256", 1000, SALT, PASSWORD)) for number in range(10)]
CLASSES = [f"rest_framework.authentication.{name}Authentication" for name in ("Token", "Session")]
SETTINGS = {"DEFAULT_AUTHENTICATION_CLASSES": CLASSES, "SECRET_KEY": SECRET_KEY}
SESSION = Session("alices", "alice")
REQUESTS = {
    "a token": SECRET,
    "a token of nobody": secret("f" * 40),
    "no token": b"GET /secret/ HTTP/1.1\r\nHost: t\r\n\r\n",
    "a session": f"GET /secret/ HTTP/1.1\r\nHost: t\r\nCookie: sessionid={SESSION.key}\r\n\r\n".encode(),
    "a login": login_bytes(ALICE),
    "a wrong password": login_bytes(User("alice", "wrong", "")),
}


def library() -> str:
    """The library that scripts/test has unpacked."""
    found = next(DEBIAN.glob("lib/*/faketime/libfaketimeMT.so.1"), None)
    assert found, "libfaketime is missing: scripts/test unpacks it"
    return str(found)


def answers(service: Service) -> dict[str, tuple[object, ...]]:
    """What is answered, but for the date."""
    found = {}
    for name, request in REQUESTS.items():
        answer = ask(service, request).answer
        headers = [header for header in answer.headers if header[0].lower() != "date"]
        found[name] = (answer.status, answer.body, *headers)
    return found


def measure(stage: Stage) -> list[Finding]:
    """On both databases."""
    claim = "The clock jumps: no answer changes"
    how = f"libfaketime; {', '.join(JUMPS)}; on SQLite and PostgreSQL"
    if not stage.is_ours:
        # Python's `time.sleep` fails under libfaketime 0.9.10, and gunicorn ends with it.
        return [Finding(claim, how, "not measured: gunicorn does not run under libfaketime")]
    against = [f"{kind}: {what}" for kind in ("sqlite", "postgres") for what in jumped(stage, kind)]
    asked = 2 * len(REQUESTS) * len(JUMPS)
    figure = f"{asked} answers, {sum('and not' in text for text in against)} changed"
    return [Finding(claim, how, figure, against)]


def jumped(stage: Stage, kind: str) -> list[str]:
    """After each jump the same answers, and a first login whose token has the new time."""
    url = stage.bench.migrated_url(stage.pair, kind)
    told = stage.bench.folder / stage.bench.name("time")
    told.write_text("+0d")
    env = {"LD_PRELOAD": library(), "FAKETIME_TIMESTAMP_FILE": str(told), "FAKETIME_NO_CACHE": "1"}
    # A jump of the wall clock is none of the monotonic one.
    env["FAKETIME_DONT_FAKE_MONOTONIC"] = env["DONT_FAKE_MONOTONIC"] = "1"
    against = []
    with closing(stage.bench.open(url)) as database:
        database.reset([ALICE, *FIRST], [SESSION])
        service = stage.start(url, SETTINGS, QUICK_HASH, **env)
        before = answers(service)
        if [answer[0] for answer in before.values()] != [200, 401, 401, 200, 200, 400]:
            against.append(f"it was not well before: {before}")
        for user, (jump, days) in zip(FIRST, JUMPS.items(), strict=False):
            told.write_text(f"{days:+}d")
            for name, answer in answers(service).items():
                if answer != before[name]:
                    against.append(f"{jump}, {name}: {answer} and not {before[name]}")
            first = ask(service, login_bytes(user))
            if first.status != 200:
                against.append(f"{jump}, a first login: {first.status}")
                continue
            key = re.findall(rb'"([0-9a-f]{40})"', first.answer.body)[0].decode()
            created = datetime.fromisoformat(str(database.snapshot().tokens[key]["created"])).replace(
                tzinfo=UTC
            )
            if abs(created - datetime.now(UTC) - timedelta(days=days)) > timedelta(minutes=5):
                against.append(f"nothing was proved: {jump}, and the token is of {created}")
            if ask(service, secret(key)).status != 200:
                against.append(f"{jump}: the new token does not open")
    stage.stop()
    return against
