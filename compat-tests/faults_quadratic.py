"""Inputs that are long in the places where a careless reader takes the square of their length."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import wire
from clients import ALICE, KEY
from faults import QUIET, Finding, Stage
from services import Service
from sites import QUICK_HASH, middleware

TICK = os.sysconf("SC_CLK_TCK")
BOUND_MS = 5.0
HOST = "Host: t\r\n"


def get(headers: str, path: str = "/secret/") -> bytes:
    """A GET with these lines and alice's token."""
    return f"GET {path} HTTP/1.1\r\n{HOST}Authorization: Token {KEY}\r\n{headers}\r\n".encode("latin-1")


def post(kind: str, body: bytes) -> bytes:
    """A login with this body."""
    head = (
        f"POST /api-token-auth/ HTTP/1.1\r\n{HOST}Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("latin-1") + body


def lines(count: int, line: str) -> str:
    """A header line so many times, each with another name."""
    return "".join(f"X-{number}: {line}\r\n" for number in range(count))


def parts(count: int) -> bytes:
    """A multipart body of so many empty fields."""
    part = '--B\r\nContent-Disposition: form-data; name="f{}"\r\n\r\n\r\n'
    return "".join(part.format(number) for number in range(count)).encode() + b"--B--\r\n"


FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=B"
# What quick-xml before 0.41 would take a tenth of a second for.
TAG = b"<a " + b" ".join(b'b%d=""' % number for number in range(10_000)) + b"/>"


def names(size: int) -> bytes:
    """A JSON object of so many bytes, or nearly, all names."""
    return b"{" + b",".join(b'"%d":1' % (100_000 + n) for n in range(size // 11)) + b"}"


# gunicorn takes 100 lines of 8190 bytes; here a head has 64 KiB in all, which the first two exceed.
INPUTS = {
    "100 headers of 4 kB": get(lines(100, "y" * 4000)),
    "an `Accept` of 400 kB": get("Accept: " + "text/html;q=0.1," * 25_000 + "\r\n"),
    "97 headers of 600 bytes": get(lines(97, "y" * 590)),
    "14 headers of 4 kB": get(lines(14, "y" * 4000)),
    "an `Accept` of 60 kB": get("Accept: " + "text/html;q=0.1," * 3_750 + "\r\n"),
    "an `Accept` of 8 kB, all types": get("Accept: " + "a/b," * 2000 + "\r\n"),
    "an `Accept` of 8 kB, all parameters": get("Accept: application/json" + ";a=b" * 2000 + "\r\n"),
    "an `Accept` of 8 kB, all blanks": get("Accept: a/b" + " " * 8000 + ";q=1\r\n"),
    "an `Accept` of 8 kB, all quotes": get("Accept: a/b;c=" + '"\\' * 4000 + "\r\n"),
    "an `Accept-Language` of 8 kB": get("Accept-Language: " + "aa-bb," * 1350 + "\r\n"),
    "a language of 8 kB": get("Accept-Language: " + "a-" * 4000 + "\r\n"),
    "a `Cookie` of 8 kB": get("Cookie: " + "a=b;" * 2000 + "\r\n"),
    "a cookie of 8 kB in quotes": get('Cookie: django_language="' + "\\0" * 4000 + '"\r\n'),
    "a `Host` of 8 kB": get("", "/secret/").replace(b"Host: t", b"Host: " + b"a." * 4000),
    "a token of 8 kB": get("").replace(KEY.encode(), b"t" * 8000),
    "a token of 8 kB of blanks": get("").replace(b"Token ", b"Token " + b" " * 8000),
    "a path of 4 kB of escapes": get("", "/" + "%2f" * 1300),
    "a query of 4 kB": get("", "/secret/?" + "a=b&" * 999),
    "a `Content-Type` of 8 kB": post("application/json" + ";a=b" * 2000, b"{}"),
    "JSON of half a MB, all names": post("application/json", names(500_000)),
    "JSON of 2 MB, all names": post("application/json", names(2_000_000)),
    "JSON nested 900 deep": post("application/json", b"[" * 900 + b"]" * 900),
    "JSON of 100 kB of escapes": post("application/json", b'{"username":"' + b"\\u0041" * 16_000 + b'"}'),
    "JSON with a number of 4,000 digits": post("application/json", b'{"username":' + b"9" * 4000 + b"}"),
    "a form of 999 fields": post(FORM, b"&".join(b"f%d=x" % n for n in range(999))),
    "a form of 100 kB of escapes": post(FORM, b"username=" + b"%41" * 33_000),
    "XML with a tag of 10,000 attributes": post("application/xml", TAG),
    "the same as text/xml": post("text/xml", TAG),
    "the same as a form": post(FORM, TAG),
    "the same on the secret": get(f"Content-Type: application/xml\r\nContent-Length: {len(TAG)}\r\n") + TAG,
    "a multipart body of 900 fields": post(MULTIPART, parts(900)),
    "a multipart body of 100 kB of dashes": post(MULTIPART, b"\r\n--" * 25_000),
    "a boundary of 200 bytes, nearly met often": post(
        "multipart/form-data; boundary=" + "B" * 200, (b"\r\n--" + b"B" * 199) * 500
    ),
}
# They are long, and what they cost is theirs: of four times the length four times as much and what chance
# adds, where the square would be sixteen times.
LONG = ("JSON of half a MB, all names", "JSON of 2 MB, all names")
GROWTH = 8
# By the limit of the head, before anything of them is looked at.
REFUSED = ("100 headers of 4 kB", "an `Accept` of 400 kB")
TOO_LONG = (0, 413, 431)


def ticks(service: Service) -> int:
    """The processor time of the service and its workers."""
    pid = service.process.child.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    total = 0
    for one in (pid, *map(int, children)):
        fields = Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total


def cost(service: Service, request: bytes, times: int) -> tuple[float, int]:
    """Milliseconds of processor time of one of them, and the status; 0 is none."""
    before, status = ticks(service), 0
    for _ in range(times):
        try:
            status = wire.exchange(service.address, request).status
        except wire.WireError:
            # Refused before it was read to its end.
            continue
    return (ticks(service) - before) * 1000 / TICK / times, status


def measure(stage: Stage) -> list[Finding]:
    """Each input some dozens of times, so that the clock's ticks of 10 ms do not matter."""
    url = stage.bench.migrated_url(stage.pair, "sqlite")
    with closing(stage.bench.open(url)) as database:
        database.reset([ALICE])
    service = stage.start(url, QUIET, QUICK_HASH | middleware("CommonMiddleware"))
    times = 200 if stage.long else 40
    found, against = {}, []
    for name, request in INPUTS.items():
        found[name], status = cost(service, request, 15 if name in LONG and not stage.long else times)
        if (status in TOO_LONG) != (name in REFUSED):
            against.append(
                f"nothing was proved: {name} is answered {status or 'by the end of the connection'}"
            )
    against += [f"{name}: {ms:.1f} ms" for name, ms in found.items() if ms > BOUND_MS and name not in LONG]
    half, whole = (found[name] for name in LONG)
    json = f"half a MB of JSON {half:.0f} ms, 2 MB {whole:.0f} ms"
    if whole > GROWTH * half:
        against.append(json)
    if not service.is_alive():
        against.append("the process has ended")
    worst = max((ms, name) for name, ms in found.items() if name not in LONG)
    mean = sum(found[name] for name in found if name not in LONG) / (len(found) - len(LONG))
    figure = f"at most {worst[0]:.2f} ms ({worst[1]}), {mean:.2f} ms in the mean; {json}"
    how = f"{len(INPUTS)} long inputs, {times} times each, processor time from `/proc/PID/stat`"
    return [Finding(f"Long inputs cost at most {BOUND_MS:.0f} ms of a core", how, figure, against)]
