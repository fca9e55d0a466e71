"""Odd Authorization headers, by hand and by chance: the status of gunicorn with Django, and no way in."""

from __future__ import annotations

import random
import re
from contextlib import closing

import wire
from clients import ALICE, KEY
from faults import Finding, Stage
from services import Service

GOOD = f"Token {KEY}".encode()
# gunicorn's limit_request_field_size.
LINE = 8190
ODD: dict[str, list[bytes]] = {
    "the good one twice": [GOOD, GOOD],
    "good, then bad": [GOOD, b"Token bad"],
    "bad, then good": [b"Token bad", GOOD],
    "good, then another kind": [GOOD, b"Basic YTpi"],
    "another kind, then good": [b"Basic YTpi", GOOD],
    "good, then empty": [GOOD, b""],
    "empty, then good": [b"", GOOD],
    "keyword in one, key in the other": [b"Token", KEY.encode()],
    "half a key in each": [GOOD[:20], GOOD[20:]],
    "NUL behind": [GOOD + b"\0"],
    "NUL inside": [GOOD.replace(b"Token ", b"Token\0")],
    "latin-1 behind": [GOOD + b"\xe9"],
    "no-break space between": [GOOD.replace(b" ", b"\xa0")],
    "no-break space behind": [GOOD + b"\xa0"],
    "next line behind": [GOOD + b"\x85"],
    "wide blank between": [GOOD.replace(b" ", "\u3000".encode())],
    "tab behind": [GOOD + b"\t"],
    "tab before": [b"\t" + GOOD],
    "tab inside the key": [GOOD[:20] + b"\t" + GOOD[20:]],
    "vertical tab between": [GOOD.replace(b" ", b"\x0b")],
    "form feed between": [GOOD.replace(b" ", b"\x0c")],
    "file separator between": [GOOD.replace(b" ", b"\x1c")],
    "a key of 9 kB": [b"Token " + b"a" * 9000],
    "the key again and again, 9 kB": [b"Token " + KEY.encode() * 225],
    "9 kB of blanks, then the key": [b"Token " + b" " * 9000 + KEY.encode()],
    "8 kB of keys": [b"Token " + KEY.encode() * 200],
    "the key in capitals": [b"Token " + KEY.upper().encode()],
    "the key in wide digits": [b"Token " + "".join(chr(ord(c) + 0xFEE0) for c in KEY).encode()],
    "a LIKE pattern": [b"Token %"],
    "a list of SQL": [b"Token ' OR 'a'='a"],
    "a comma behind": [GOOD + b","],
    "a quoted key": [f'Token "{KEY}"'.encode()],
    "a parameter": [f"Token token={KEY}".encode()],
    "good": [GOOD],
}
PIECES = [
    b"\0",
    b"\t",
    b" ",
    b",",
    b"\xe9",
    b"\xff",
    b"\xc3\xa9",
    b"\x01",
    b"\x7f",
    b"\x0b",
    b"%",
    b"'",
    b"a",
    b"0",
    b"Token ",
]


def mutants(number: int) -> dict[str, list[bytes]]:
    """The good header with pieces put in, taken out or repeated, in one line or two."""
    chance = random.Random(number)
    found = {}
    for turn in range(number):
        value = GOOD
        for _ in range(chance.randint(1, 3)):
            at = chance.randint(0, len(value))
            cut = at + chance.choice((0, 0, 1, 5))
            value = value[:at] + chance.choice(PIECES) * chance.choice((1, 1, 2)) + value[cut:]
        at = chance.randint(0, len(value))
        found[f"by chance {turn}"] = [value] if chance.random() < 0.7 else [value[:at], value[at:]]
    return found


def status(service: Service, values: list[bytes]) -> int:
    """What these lines are answered; 0 is no answer."""
    lines = b"".join(b"Authorization: " + value + b"\r\n" for value in values)
    request = b"GET /secret/ HTTP/1.1\r\nHost: t\r\nConnection: close\r\n" + lines + b"\r\n"
    try:
        return wire.exchange(service.address, request).status
    except wire.WireError:
        return 0


def has_key(values: list[bytes]) -> bool:
    """Whether some reader may find the good header in it."""
    return any(re.fullmatch(rb"(?i)token\s+" + KEY.encode(), value.strip()) for value in values)


def is_longer(values: list[bytes], ours: int, gunicorn: int) -> bool:
    """README's intended difference: a line of any length up to that of a head."""
    longest = max(map(len, values)) + len("Authorization: ")
    return ours in (200, 401) and gunicorn in (400, 431) and longest > LINE


def against(name: str, values: list[bytes], ours: int, gunicorn: int) -> list[str]:
    """What is wrong with our status."""
    if ours == 200 and not has_key(values):
        return [f"{name}: a way in, {values!r:.200}"]
    if ours == gunicorn or is_longer(values, ours, gunicorn):
        return []
    return [f"{name}: ours {ours}, gunicorn {gunicorn}, {values!r:.200}"]


def measure(stage: Stage) -> list[Finding]:
    """All of them to one side; for ours, Django's is asked the same."""
    url = stage.bench.migrated_url(stage.pair, "sqlite")
    with closing(stage.bench.open(url)) as database:
        database.reset([ALICE])
    shapes = ODD | mutants(20_000 if stage.long else 400)
    service = stage.start(url)
    own = {name: status(service, values) for name, values in shapes.items()}
    found = []
    if stage.is_ours:
        peer = Stage(stage.bench, stage.pair, "django")
        gunicorn = peer.start(url)
        theirs = {name: status(gunicorn, values) for name, values in shapes.items()}
        peer.stop()
        for name, values in shapes.items():
            found += against(name, values, own[name], theirs[name])
        if not any(is_longer(values, own[name], theirs[name]) for name, values in shapes.items()):
            found.append("a longer line is no difference any more")
    if own["good"] != 200 or not any(found == 401 for found in own.values()):
        found.append("nothing was proved")
    counts = {number: list(own.values()).count(number) for number in sorted(set(own.values()))}
    figure = ", ".join(f"{count} × {number or 'none'}" for number, count in counts.items())
    how = f"{len(ODD)} by hand, {len(shapes) - len(ODD)} by chance: two headers, NUL, latin-1, tabs, 9 kB"
    return [
        Finding(
            "Odd `Authorization` headers: as gunicorn with Django, never 200 without a key",
            how,
            figure,
            found,
        )
    ]
