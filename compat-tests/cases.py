"""The cases: read from `cases/*.toml`, one file a rule, and turned into bytes.

A file holds `why`, `python` (where the rule stands in Django or DRF) and defaults for its cases;
`[cases.NAME]` overrides them. `head` is the request line and headers, a line each; `body` follows.
A case of the seed, which names no site, runs on five other sites too: three with a user model of their own,
one with DRF's defaults, one with a prefix and Bearer. `not_on` says on which of them it is expected to fail,
and why: it does not mean the same there, or is a known gap.
In `head` and `body` any other key of the case may be named as `<<key>>`, and these work as well:
(a line of `head` that expands to nothing is left out)
`<<token:alice>>` her key, `<<session:NAME>>` that of a session, `<<x:FF00>>` raw bytes, `<<repeat:12:ab>>`,
`<<base64:ab>>` (in these two `<x:FF>` for `<<x:FF>>`), `<<length>>` of the body.
"""

from __future__ import annotations

import base64
import hashlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from databases import CREATED, User, UserTable
from sessions import FALLBACK, Session

FOLDER = Path(__file__).parent / "cases"
SALT = "abcdefghijklmnopqrstuv"
SITE_ITERATIONS = 1000
# The paths of the seed, and where `project.prefixed` has them.
PREFIXED = ((rb"/api-token-auth/(?=[ ?])", b"/api/v1/token/"), (rb"/(?=secret\b|%73)", b"/api/v1/"))
KNOWN_KEYS = {
    "why", "python", "users", "head", "body", "status", "changes", "site", "pairs", "databases",
    "sites", "half_close", "empty_body", "server_error", "ours", "gap", "python_from",
    "python_below", "not_on", "sessions",
}  # fmt: skip


def version(text: str) -> tuple[int, ...]:
    """`3.13` as numbers."""
    return tuple(map(int, text.split(".")))


def pbkdf2(digest: str, iterations: int, salt: str, password: str) -> str:
    """What `PBKDF2PasswordHasher.encode` makes."""
    raw = hashlib.pbkdf2_hmac(digest, password.encode(), salt.encode(), iterations)
    return f"pbkdf2_{digest}${iterations}${salt}${base64.b64encode(raw).decode()}"


@dataclass(frozen=True)
class Expectation:
    """What one side must show, so that two equal failures prove nothing."""

    status: int
    changes: tuple[str, ...] = ()
    body: bytes | None = None


@dataclass(frozen=True)
class Case:
    """One request in one state of the database."""

    id: str
    why: str
    request: bytes
    users: tuple[User, ...]
    expected: Expectation
    ours: Expectation | None = None
    site: str = "plain"
    pairs: tuple[str, ...] = ()
    databases: tuple[str, ...] = ()
    half_close: bool = False
    empty_body: bool = False
    server_error: bool = False
    gap: str = ""
    python_from: str = ""
    python_below: str = ""
    not_on: Mapping[str, str] = field(default_factory=dict, hash=False)
    sessions: tuple[Session, ...] = ()

    def expected_of(self, side: str) -> Expectation:
        """Ours differs from Django's only where the case says so."""
        return self.ours if side == "ours" and self.ours else self.expected

    def applies(self, django: str | None, kind: str | None, python: tuple[int, ...] | None) -> bool:
        """Whether it holds for this Django, on this database, under this Python."""
        if django and self.pairs and django not in self.pairs:
            return False
        if kind and self.databases and kind not in self.databases:
            return False
        if python and self.python_from and python < version(self.python_from):
            return False
        return not (python and self.python_below and python >= version(self.python_below))

    def suits(self, table: UserTable) -> bool:
        """Whether it is one of the seed's, and this table can hold its users, inactive ones too."""
        can_be = "is_active" in table.columns or all(user.active for user in self.users)
        return self.site == "plain" and can_be

    def on(self, site: str) -> Case:
        """The same case on another site."""
        if site == "drf-defaults":
            return self.where_nobody_challenges()
        return self.under_the_prefix() if site == "prefix-bearer" else self

    def where_nobody_challenges(self) -> Case:
        """The same case on a site whose first class has no challenge: each 401 is a 403.

        What we say where Django breaks is not looked at to the letter: it may be another language.
        """
        told = {401: 403}
        ours = self.ours and replace(
            self.ours, status=told.get(self.ours.status, self.ours.status), body=self.ours.body and None
        )
        status = told.get(self.expected.status, self.expected.status)
        return replace(self, expected=replace(self.expected, status=status), ours=ours)

    def under_the_prefix(self) -> Case:
        """The same case for the paths of `project.prefixed`, where Bearer is the keyword and not Token."""
        head, blank, body = self.request.partition(b"\r\n\r\n")
        for path, there in PREFIXED:
            head = re.sub(rb"^(\S+ (?:http://[^/ ]*)?)" + path, rb"\1" + there, head)
        head = re.sub(rb"(?im)^(authorization:[ \t]*)(token|bearer)\b", swap, head)
        return replace(self, request=head + blank + body)

    def without_ours(self) -> Case:
        """The same case where a second Django stands in our place."""
        return replace(self, ours=None)


def swap(header: re.Match[bytes]) -> bytes:
    """The other keyword, written alike."""
    keyword = header[2]
    other = b"Bearer" if keyword.lower() == b"token" else b"Token"
    return header[1] + (other if keyword.istitle() else other.lower() if keyword.islower() else other.upper())


@dataclass
class Text:
    """The values that `<<…>>` may name in one case."""

    values: dict[str, Any]
    tokens: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def expand(self, template: str) -> bytes:
        """The template's bytes: text as UTF-8, `<<…>>` as it says."""
        parts = re.split(r"<<(.+?)>>(?!>)", template, flags=re.S)
        return b"".join(self._one(part) if odd % 2 else part.encode() for odd, part in enumerate(parts))

    def _one(self, name: str) -> bytes:
        verb, _, rest = name.partition(":")
        if verb == "x":
            return bytes.fromhex(rest)
        if verb == "repeat":
            count, _, text = rest.partition(":")
            return self._inner(text) * int(count)
        if verb == "base64":
            return base64.b64encode(self._inner(rest))
        if verb == "session":
            return rest.ljust(32, "0").encode()
        if verb == "token":
            return self.tokens[rest].encode()
        if verb.startswith("pbkdf2_"):
            iterations, salt, password = rest.split(":", 2)
            return pbkdf2(verb[7:], int(iterations), salt, password).encode()
        if name == "length":
            return str(len(self.body)).encode()
        return self.expand(str(self.values[name]))

    def _inner(self, text: str) -> bytes:
        return self.expand(text.replace("<", "<<").replace(">", ">>"))


def user(name: str, spec: dict[str, Any], values: dict[str, Any]) -> User:
    """A user as the file describes it; without `encoded` the site's own hash of `password`."""
    unknown = spec.keys() - {"password", "encoded", "token", "active", "created"}
    if unknown:
        raise ValueError(f"user {name}: unknown keys {unknown}")
    password = spec.get("password", "")
    text = Text(values)
    encoded = spec.get("encoded", f"<<pbkdf2_sha256:{SITE_ITERATIONS}:{SALT}:{password}>>")
    return User(
        name=name,
        password=password,
        encoded=text.expand(encoded).decode(),
        token=spec.get("token"),
        active=spec.get("active", True),
        created=spec.get("created", CREATED),
    )


def users_of(spec: dict[str, Any], people: dict[str, Any]) -> tuple[User, ...]:
    """`users` lists names of `people.toml`, or describes users of the case's own."""
    wanted = spec.get("users", {})
    if isinstance(wanted, list):
        wanted = {name: people[name] for name in wanted}
    return tuple(user(name, told, spec) for name, told in wanted.items())


def sessions_of(spec: dict[str, Any]) -> tuple[Session, ...]:
    """`sessions` describes them by name; `fallback` is a key of the site's, any other one is nobody's."""
    keys = {"fallback": FALLBACK}
    found = []
    for name, told in spec.get("sessions", {}).items():
        told = {key: keys.get(value, value) if key.endswith("_by") else value for key, value in told.items()}
        told |= {"note": Text(spec).expand(told.get("note", "")).decode()}
        found.append(Session(name, **told | {"without": tuple(told.get("without", ()))}))
    return tuple(found)


def build(case_id: str, spec: dict[str, Any], people: dict[str, Any]) -> Case:
    """One case from its merged keys."""
    users = users_of(spec, people)
    text = Text(spec, {one.name: one.token for one in users if one.token})
    text.body = text.expand(spec.get("body", ""))
    head = [text.expand(line.strip()) for line in spec["head"].strip("\n").split("\n")]
    lines = b"\n".join(line for line in head if line).split(b"\n")
    request = b"\r\n".join(lines) + b"\r\n\r\n" + text.body
    return Case(
        id=case_id,
        why=spec["why"],
        request=request,
        users=users,
        expected=Expectation(spec["status"], tuple(sorted(spec.get("changes", [])))),
        ours=ours_of(spec),
        site=spec.get("site", "plain"),
        pairs=tuple(spec.get("pairs", ())),
        databases=tuple(spec.get("databases", ())),
        half_close=spec.get("half_close", False),
        empty_body=spec.get("empty_body", False),
        server_error=spec.get("server_error", False),
        gap=spec.get("gap", ""),
        python_from=spec.get("python_from", ""),
        python_below=spec.get("python_below", ""),
        not_on=spec.get("not_on", {}),
        sessions=sessions_of(spec),
    )


def ours_of(spec: dict[str, Any]) -> Expectation | None:
    """What is expected of us where the difference is intended: `{ status, changes, body }`."""
    told = spec.get("ours")
    if told is None:
        return None
    body = told["body"].encode() if "body" in told else None
    return Expectation(told["status"], tuple(sorted(told.get("changes", []))), body)


def per_site(case_id: str, spec: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """`sites` stands for the same case in each of them."""
    if "sites" not in spec:
        return [(case_id, spec)]
    return [(f"{case_id}-{site}", spec | {"site": site}) for site in spec["sites"]]


def load() -> list[Case]:
    """All cases, in the order of the files."""
    people = tomllib.loads((FOLDER / "people.toml").read_text())
    found = []
    for path in sorted(FOLDER.glob("*.toml")):
        if path.name == "people.toml":
            continue
        told = tomllib.loads(path.read_text())
        rows = told.pop("cases")
        if not {"why", "python"} <= told.keys():
            raise ValueError(f"{path.name}: `why` and `python` are needed")
        for name, row in rows.items():
            spec = told | row
            unused = [key for key in row if key not in KNOWN_KEYS and f"<{key}>" not in str(spec)]
            if unused:
                raise ValueError(f"{path.name}: {name}: nothing names {unused}")
            found += [build(case_id, told, people) for case_id, told in per_site(f"{path.stem}/{name}", spec)]
    return found
