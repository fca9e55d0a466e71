"""The comparator: what one side did, what of it is random, and where two sides differ."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import sessions
import wire
from bench import Rig
from cases import Case, Expectation
from databases import Database, Snapshot, Table, changes
from services import Service

# The server's own headers; what Django and we answer for begins behind them.
SERVER_HEADERS = {"server", "date", "connection", "keep-alive", "transfer-encoding"}
TOKEN = re.compile(r"[0-9a-f]{40}")
# What a new hash looks like; what is not in a group is random.
DJANGO_HASH = re.compile(
    r"(pbkdf2_sha256\$[1-9][0-9]*\$)[A-Za-z0-9]{22}\$[A-Za-z0-9+/]{43}="
    r"|(pbkdf2_sha1\$[1-9][0-9]*\$)[A-Za-z0-9]{22}\$[A-Za-z0-9+/]{27}="
    r"|(argon2\$argon2id\$v=19\$m=102400,t=2,p=8\$)[A-Za-z0-9+/]{30}\$[A-Za-z0-9+/]{43}"
    r"|(bcrypt(?:_sha256)?\$\$2b\$12\$)[A-Za-z0-9./]{53}"
    r"|(scrypt\$16384\$)[A-Za-z0-9]{22}(\$8\$[15]\$)[A-Za-z0-9+/]{86}=="
    r"|(md5\$)[A-Za-z0-9]{22}\$[0-9a-f]{32}"
)
SQLITE_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{6})?")
RANDOM_TEXT = (
    (re.compile(r"csrftoken=[A-Za-z0-9]{32};"), "csrftoken=<random>;"),
    (re.compile(r"sessionid=[a-z0-9]{32};"), "sessionid=<random>;"),
    (re.compile(r"expires=[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} 20[^;]+ GMT"), "expires=<in a year>"),
    (re.compile(r'(<b>Allow:</b> <span class="lit">)[A-Z, ]+'), r"\1<in any order>"),
    (re.compile(r'(csrfToken"?: ")[A-Za-z0-9]{64}"'), r'\1<random>"'),
)

Verify = Callable[[str, str], bool]


@dataclass(frozen=True)
class Outcome:
    """One request on one side: the answer, and the rows before and after."""

    response: wire.Response
    before: Snapshot
    after: Snapshot
    started: datetime
    ended: datetime

    def changes(self) -> list[str]:
        """What the request changed."""
        return changes(self.before, self.after)


@dataclass(frozen=True)
class Difference:
    """One field in which two sides differ."""

    field: str
    django: str
    ours: str

    def __str__(self) -> str:
        start = max(0, first_change(self.django, self.ours) - 40)
        first, second = (excerpt(text, start) for text in (self.django, self.ours))
        return f"{self.field}\n    Django: {first}\n    ours:   {second}"


def first_change(one: str, other: str) -> int:
    """Where two texts part."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))


def excerpt(text: str, start: int) -> str:
    """The part of a long text around the first byte that differs."""
    if len(text) <= 300:
        return text
    return f"[{len(text)} characters, from {start}] {text[start : start + 200]!r}"


def play(service: Service, database: Database, case: Case) -> Outcome:
    """Puts the users there, sends the request, looks at the rows."""
    database.reset(case.users, case.sessions)
    before = database.snapshot()
    started = datetime.now(UTC)
    response = wire.exchange(service.address, case.request, half_close=case.half_close)
    ended = datetime.now(UTC)
    return Outcome(response, before, database.snapshot(), started, ended)


def compare(rig: Rig, case: Case) -> tuple[tuple[Outcome, Outcome], list[str]]:
    """Both outcomes, and the guards that either side did not meet."""
    django = play(rig.django, rig.django_db, case)
    ours = play(rig.ours, rig.our_db, case)

    def verify(password: str, encoded: str) -> bool:
        return bool(rig.orm.ask("verify", password=password, encoded=encoded))

    faults = [f"Django: {fault}" for fault in unmet(case, django, case.expected_of("django"), verify)]
    faults += [f"ours: {fault}" for fault in unmet(case, ours, case.expected_of("ours"), verify)]
    return (django, ours), faults


def unmet(case: Case, outcome: Outcome, expected: Expectation, verify: Verify) -> list[str]:
    """The guards: what one side had to show and did not. Without them two equal faults would pass."""
    response = outcome.response
    found = []
    if response.status != expected.status:
        found.append(f"status {response.status}, the case says {expected.status}: {response.body[:300]!r}")
    if outcome.changes() != list(expected.changes):
        found.append(f"changes {outcome.changes()}, the case says {list(expected.changes)}")
    if expected.body is not None and response.body != expected.body:
        found.append(f"body {response.body!r}, the case says {expected.body!r}")
    if response.surplus:
        found.append(f"{len(response.surplus)} bytes behind the body: {response.surplus[:80]!r}")
    if bool(response.body) == (case.empty_body or expected.body == b""):
        found.append(f"a body of {len(response.body)} bytes proves nothing here (`empty_body`)")
    if response.status >= 500 and not case.server_error:
        found.append("a server error proves nothing here (`server_error`)")
    return found + wrong_rows(case, outcome, verify)


def wrong_rows(case: Case, outcome: Outcome, verify: Verify) -> list[str]:
    """New keys, times and hashes are random: each is judged by itself, then masked."""
    found: list[str] = []
    for row in new_tokens(outcome).values():
        key = str(row["key"])
        if not TOKEN.fullmatch(key):
            found.append(f"a new key is not 40 lower-case hex digits: {key!r}")
        if not answers_token(outcome.response.body, key):
            found.append(f"the new key {key} is not the answered one: {outcome.response.body!r}")
        if not created_now(row["created"], outcome):
            found.append(f"created is not now in Django's form: {row['created']!r}")
    for key, row in outcome.after.users.items():
        if key in outcome.before.users and row["password"] != outcome.before.users[key]["password"]:
            password = next(user.password for user in case.users if user.name == row["username"])
            if not DJANGO_HASH.fullmatch(row["password"]):
                found.append(f"the new hash has not Django's form: {row['password']}")
            elif not verify(password, row["password"]):
                found.append(f"Django does not accept the new hash: {row['password']}")
    return found


def new_tokens(outcome: Outcome) -> Table:
    """The token rows that the request made."""
    return {key: row for key, row in outcome.after.tokens.items() if key not in outcome.before.tokens}


def answers_token(body: bytes, key: str) -> bool:
    """Whether the body is the token's JSON, indented or not."""
    try:
        return bool(json.loads(body) == {"token": key})
    except ValueError:
        return False


def created_now(created: object, outcome: Outcome) -> bool:
    """A text of exactly Django's form on SQLite, a timestamp on PostgreSQL; within the request."""
    if isinstance(created, str):
        if not SQLITE_TIME.fullmatch(created):
            return False
        created = datetime.fromisoformat(created + "+00:00")
    if not isinstance(created, datetime):
        return False
    return outcome.started <= created <= outcome.ended


def masked(outcome: Outcome) -> dict[str, str]:
    """Every compared field as text, without what is random and what is the server's."""
    response = outcome.response
    headers = [(name.lower(), mask_text(value)) for name, value in response.headers]
    headers = [(name, value) for name, value in headers if name not in SERVER_HEADERS]
    body = mask_text(response.body.decode("utf-8", "backslashreplace"))
    fields = {"status": str(response.status), "reason": response.reason}
    fields["header-order"] = " | ".join(name for name, _ in headers)
    for name, _ in headers:
        fields[f"header:{name}"] = " && ".join(value for other, value in headers if other == name)
    for key in new_tokens(outcome):
        body = body.replace(key, "<new token>")
    return fields | {"body": body} | row_fields(outcome)


def mask_text(text: str) -> str:
    """Without the random parts that Django's cookies and pages have."""
    for pattern, instead in RANDOM_TEXT:
        text = pattern.sub(instead, text)
    return text


def row_fields(outcome: Outcome) -> dict[str, str]:
    """Every column of every row after the request."""
    fields = {}
    made = new_tokens(outcome)
    for key, user in outcome.after.users.items():
        for column, value in user.items():
            old = outcome.before.users.get(key, {}).get(column)
            if column == "password" and value != old:
                value = DJANGO_HASH.sub(lambda hit: "".join(hit.groups("")) + "<random>", value)
            fields[f"user {user['username']}.{column}"] = repr(value)
    for key, token in outcome.after.tokens.items():
        owner = outcome.after.name_of(token["user_id"])
        for column, value in token.items():
            new = key in made and column in ("key", "created")
            fields[f"token of {owner}.{column}"] = f"<new {column}>" if new else repr(value)
    for key, session in outcome.after.sessions.items():
        for column, value in session.items():
            new = key not in outcome.before.sessions
            fields[f"session {sessions.name_of(key)}.{column}"] = f"<new {column}>" if new else repr(value)
    return fields


def differences(django: Outcome, ours: Outcome) -> list[Difference]:
    """All fields in which the two differ."""
    first, second = masked(django), masked(ours)
    names = list(first) + [name for name in second if name not in first]
    pairs = [(name, first.get(name, "(absent)"), second.get(name, "(absent)")) for name in names]
    return [Difference(name, one, other) for name, one, other in pairs if one != other]
