"""What one request moves in memory: less than 8 MiB whatever it sends, and no password stays behind."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote

import pytest

import wire
from bench import Bench
from cases import SALT, pbkdf2
from clients import ALICE, ask, login_bytes
from databases import User
from services import Pair, Service, start_binary

pytestmark = [pytest.mark.usefixtures("binary"), pytest.mark.newest_only]

MOST = 8 * 1024 * 1024
# DATA_UPLOAD_MAX_MEMORY_SIZE and MAX_BODY_SIZE.
FULL = 2_621_440
FILE = 5_242_880
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=B"
# With one thread, which has answered before, nothing is counted that it needs once.
QUICK = {"PBKDF2_ITERATIONS": 1000, "REQUEST_THREADS": 1}
REFUSED = b'{"non_field_errors":["Unable to log in with provided credentials."]}'


def filled(before: bytes, piece: bytes, after: bytes, size: int = FULL) -> bytes:
    """A body of that size, whose middle is pieces."""
    return before + piece * ((size - len(before) - len(after)) // len(piece)) + after


def members(piece: Callable[[int], str], number: int, before: str = "{", after: str = "}") -> bytes:
    """JSON of that many members."""
    return (before + ",".join(map(piece, range(number))) + after).encode()


def part(name: bytes, headers: bytes = b"") -> bytes:
    return b'--B\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n' % (name, headers)


def with_name(charset: str) -> bytes:
    """The begin of JSON whose name is alice and whose password is to come."""
    return '{"username":"alice","password":"'.encode(charset)


USER = b'{"username":"alice","password":"'
NAME = b'{"password":"x","username":"'
OTHER = b'{"username":"alice","password":"x","k":"'
FORM_USER = b"username=alice&password="
PART_USER = part(b"username") + b"alice\r\n"
BOX = b"\xb3"  # of cp437 and three bytes of UTF-8
KANA = b"\xb1"  # of shift_jis, likewise
FILE_HEADERS = b'; filename="f"'
BASE64 = b"\r\nContent-Transfer-Encoding: base64"
ENDS = b"\r\n--B--\r\n"

# What is sent: content type and body.
SHAPES: dict[str, tuple[str, bytes]] = {
    "json-cp437-unknown-key": ("application/json; charset=cp437", filled(b'{"', BOX, b'":1}')),
    "json-cp437-unknown-value": ("application/json; charset=cp437", filled(OTHER, BOX, b'"}')),
    "json-cp437-password": ("application/json; charset=cp437", filled(USER, BOX, b'"}')),
    "json-cp437-username": ("application/json; charset=cp437", filled(NAME, BOX, b'"}')),
    "json-cp437-two-names": (
        "application/json; charset=cp437",
        filled(NAME + BOX * 1_300_000 + b'","username":"', BOX, b'"}'),
    ),
    "json-shift-jis-password": ("application/json; charset=shift_jis", filled(USER, KANA, b'"}')),
    "json-latin-1-password": ("application/json; charset=latin-1", filled(USER, b"\xff", b'"}')),
    "json-utf-16-password": (
        "application/json; charset=utf-16-le",
        filled(with_name("utf-16-le"), "│".encode("utf-16-le"), '"}'.encode("utf-16-le")),
    ),
    "json-utf-7-password": ("application/json; charset=utf-7", filled(USER + b"+", b"JQIlAiUC", b'-"}')),
    "json-utf-8-password": ("application/json", filled(USER, "│".encode(), b'"}')),
    "json-ascii-username": ("application/json", filled(NAME, b"a", b'"}')),
    "json-username-in-blanks": ("application/json", filled(NAME, b" ", b'a"}')),
    "json-short-of-the-longest-name": ("application/json", filled(NAME + b"a" * 65_000, b" ", b'"}')),
    "json-escapes": ("application/json", filled(USER, b"\\u2502", b'"}')),
    "json-pairs-of-escapes": ("application/json", filled(USER, b"\\ud83d\\ude00", b'"}')),
    "json-escaped-key": ("application/json", filled(b'{"', b"\\u2502", b'":1}')),
    "json-text": ("application/json", filled(b'"', b"a", b'"')),
    "json-digits": ("application/json", filled(b'{"password":1.', b"1", b"}")),
    "json-distinct-keys": ("application/json", members(lambda at: f'"{at:x}":1', 100_000)),
    "json-nested-keys": (
        "application/json",
        members(lambda at: f'"{at:x}":{{"{at:x}":[]}}', 100_000, '{"a":{', "}}"),
    ),
    "json-the-same-key": ("application/json", members(lambda _: '"username":"a"', 150_000)),
    "json-empty-lists": ("application/json", filled(b"[", b"[],", b"[]]")),
    "json-a-late-error": ("application/json; charset=cp437", filled(USER, BOX, b'"]')),
    "form-cp437": (FORM + "; charset=cp437", filled(FORM_USER, BOX, b"")),
    "form-not-utf-8": (FORM, filled(FORM_USER, b"\xff", b"")),
    "form-escapes": (FORM, filled(FORM_USER, b"%FF", b"")),
    "form-escapes-of-cp437": (FORM + "; charset=cp437", filled(FORM_USER, b"%B3", b"")),
    "form-ebcdic": (FORM + "; charset=cp1140", filled(b"", b"%AA", b"")),
    "form-escaped-name": (FORM, filled(b"password=x&", b"%FF", b"=1")),
    "form-username": (FORM, filled(b"password=x&username=", b"a", b"")),
    "form-1000-fields": (FORM, filled(b"", b"a=" + b"x" * 2621 + b"&", b"")),
    "multipart-not-utf-8": (MULTIPART, PART_USER + filled(part(b"password"), b"\xff", ENDS, FULL - 30)),
    "multipart-cp437": (
        MULTIPART + "; charset=cp437",
        PART_USER + filled(part(b"password"), BOX, ENDS, FULL - 30),
    ),
    "multipart-base64": (
        MULTIPART,
        PART_USER + filled(part(b"password", BASE64), base64.b64encode(b"\xff" * 3), ENDS, FULL - 30),
    ),
    "multipart-base64-of-two": (
        MULTIPART + "; charset=cp437",
        filled(part(b"username", BASE64), base64.b64encode(BOX * 3), b"", FULL // 2)
        + b"\r\n"
        + filled(part(b"password", BASE64), base64.b64encode(BOX * 3), ENDS, FULL // 2 - 30),
    ),
    "multipart-1000-fields": (MULTIPART, (part(b"a") + b"x" * 2500 + b"\r\n") * 1000 + b"--B--\r\n"),
    "multipart-file": (MULTIPART, filled(part(b"f", FILE_HEADERS), b"x", ENDS, FILE)),
    "multipart-base64-file": (MULTIPART, filled(part(b"f", FILE_HEADERS + BASE64), b"YWJj", ENDS, FILE)),
    "multipart-value-and-file": (
        MULTIPART + "; charset=cp437",
        PART_USER
        + filled(part(b"password"), BOX, b"\r\n", FULL - 30)
        + filled(part(b"f", FILE_HEADERS), b"x", ENDS, FILE - FULL - 100),
    ),
    "multipart-headers": (MULTIPART, filled(b"", part(b"a", b"; a=" + b"x" * 900) + b"\r\n", ENDS)),
}


def login(content_type: str, body: bytes, chunked: bool = False) -> bytes:
    head = (
        f"POST /api-token-auth/ HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Type: {content_type}\r\n"
    )
    if chunked:
        return head.encode() + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body


def chunks(*pieces: bytes) -> bytes:
    """A log-in by JSON whose body comes so; all of it is one packet."""
    head = login("application/json", b"", chunked=True).split(b"\r\n\r\n")[0]
    return head + b"\r\n\r\n" + b"".join(b"%x\r\n%s\r\n" % (len(one), one) for one in pieces) + b"0\r\n\r\n"


def resident(service: Service) -> tuple[int, int]:
    """The bytes that it has in memory, and the most that it had."""
    status = Path(f"/proc/{service.process.child.pid}/status").read_text()
    now, most = (re.search(rf"^{name}:\s+(\d+) kB", status, re.M) for name in ("VmRSS", "VmHWM"))
    assert now and most
    return int(now[1]) * 1024, int(most[1]) * 1024


def growth(service: Service, request: bytes) -> tuple[int, int, bytes]:
    """What a request moves: at its peak, afterwards; and the answer."""
    pid = service.process.child.pid
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    before, _ = resident(service)
    answer = ask(service, request).answer.body
    after, most = resident(service)
    return most - before, after - before, answer


# What the service makes of a shape; of others that nobody is called so, or has that password.
TELLS = {
    "json-cp437-unknown-key": b'"username":["This field is required."]',
    "json-cp437-two-names": REFUSED,
    "json-escaped-key": b'"password":["This field is required."]',
    "json-text": b"Expected a dictionary, but got str.",
    "json-digits": b'{"username":["This field is required."]}',
    "json-distinct-keys": b'"password":["This field is required."]',
    "json-nested-keys": b'"password":["This field is required."]',
    "json-the-same-key": b'{"password":["This field is required."]}',
    "json-empty-lists": b"Expected a dictionary, but got list.",
    "json-a-late-error": b"Expecting ',' delimiter: line 1 column 2621440 (char 2621439)",
    "form-ebcdic": b'"password":["This field is required."]',
    "form-escaped-name": b'{"username":["This field is required."]}',
    "form-1000-fields": b'"password":["This field is required."]',
    "multipart-1000-fields": b'"password":["This field is required."]',
    "multipart-file": b'"password":["This field is required."]',
    "multipart-base64-file": b'"password":["This field is required."]',
    "multipart-headers": b"<title>Bad Request (400)</title>",
}


def test_no_request_moves_8_mib(bench: Bench, pair: Pair, kind: str) -> None:
    """Each shape three times in a process of its own: with its length, in chunks, with its length."""
    moved: dict[str, list[int]] = {}
    with closing(bench.database(pair, kind)) as database:
        database.reset([ALICE])
        for name, (content_type, body) in SHAPES.items():
            with start_binary(pair, database.url, QUICK, bench.log("ours")) as service:
                assert ask(service, login_bytes(ALICE)).status == 200
                for chunked in (False, True, False):
                    peak, left, answer = growth(service, login(content_type, body, chunked))
                    assert TELLS.get(name, REFUSED) in answer, name
                    moved.setdefault(name, []).extend((peak, left))
    assert {name: found for name, found in moved.items() if max(found) > MOST} == {}


def of_part(body: bytes, headers: bytes = b"") -> bytes:
    """What the part with the password holds."""
    return body.split(part(b"password", headers), 1)[1].split(b"\r\n", 1)[0]


# The password in a shape, as Python reads it.
PASSWORDS: dict[str, Callable[[bytes], str]] = {
    "json-cp437-password": lambda body: str(json.loads(body.decode("cp437"))["password"]),
    "json-shift-jis-password": lambda body: str(json.loads(body.decode("shift_jis"))["password"]),
    "json-latin-1-password": lambda body: str(json.loads(body.decode("latin-1"))["password"]),
    "json-utf-16-password": lambda body: str(json.loads(body.decode("utf-16-le"))["password"]),
    "json-utf-7-password": lambda body: str(json.loads(body.decode("utf-7"))["password"]),
    "json-utf-8-password": lambda body: str(json.loads(body)["password"]),
    "json-escapes": lambda body: str(json.loads(body)["password"]),
    "json-pairs-of-escapes": lambda body: str(json.loads(body)["password"]),
    "form-cp437": lambda body: body.removeprefix(FORM_USER).decode("cp437"),
    "form-not-utf-8": lambda body: body.removeprefix(FORM_USER).decode("latin-1"),
    "form-escapes": lambda body: unquote(body.removeprefix(FORM_USER).decode(), "utf-8", "replace"),
    "form-escapes-of-cp437": lambda body: unquote(body.removeprefix(FORM_USER).decode(), "cp437"),
    "multipart-not-utf-8": lambda body: of_part(body).decode(errors="replace"),
    "multipart-cp437": lambda body: of_part(body).decode("cp437"),
    "multipart-base64": lambda body: base64.b64decode(of_part(body, BASE64)).decode(errors="replace"),
    "multipart-value-and-file": lambda body: of_part(body).decode("cp437"),
}


def test_a_right_password_moves_no_more_and_is_whole(bench: Bench, pair: Pair, kind: str) -> None:
    """Its user has no token and an outdated hash: there is more to do. A sign less would be refused."""
    moved: dict[str, list[int]] = {}
    with closing(bench.database(pair, kind)) as database:
        for name, password in PASSWORDS.items():
            content_type, body = SHAPES[name]
            typed = password(body)
            database.reset([User("alice", typed, pbkdf2("sha256", 999, SALT, typed))])
            with start_binary(pair, database.url, QUICK, bench.log("ours")) as service:
                assert ask(service, login_bytes(ALICE)).status == 400
                for chunked in (False, True):
                    peak, left, answer = growth(service, login(content_type, body, chunked))
                    assert answer.startswith(b'{"token":'), name
                    moved.setdefault(name, []).extend((peak, left))
    assert {name: found for name, found in moved.items() if max(found) > MOST} == {}


def test_no_head_moves_8_mib(bench: Bench, pair: Pair, kind: str) -> None:
    """A header or a query that fills the head."""
    head = b"Host: t\r\nConnection: close\r\n"
    with (
        closing(bench.database(pair, kind)) as database,
        start_binary(pair, database.url, QUICK, bench.log("ours")) as service,
    ):
        for first, more, expected in (
            (b"/secret/", b"Authorization: Token " + b"a" * 60_000, b"Invalid token."),
            (b"/secret/", b"Accept: " + b"a/b," * 15_000, b"Could not satisfy the request Accept header."),
            (b"/secret/?" + b"a=%FF&" * 10_000, b"X: y", b"Bad Request"),
            (b"/secret/", b"Cookie: " + b"a=b;" * 15_000, b"credentials were not provided"),
        ):
            request = b"GET %s HTTP/1.1\r\n%s%s\r\n\r\n" % (first, head, more)
            peak, _, answer = growth(service, request)
            assert expected in answer
            assert peak < MOST


def test_a_name_that_no_column_holds_is_nobodys(bench: Bench, pair: Pair) -> None:
    """SQLite stores names of any length; of 65536 bytes one is still found."""
    names = ["a" * length for length in (65_536, 65_537)]
    users = [
        User(name, "x", pbkdf2("sha256", 1000, SALT, "x"), f"{at}" * 40) for at, name in enumerate(names)
    ]
    with closing(bench.database(pair, "sqlite")) as database:
        database.reset(users)
        with start_binary(pair, database.url, QUICK, bench.log("ours")) as service:
            assert [ask(service, login_bytes(user)).status for user in users] == [200, 400]


CANARY = "canary-7f3a91"


def memory_of(service: Service) -> bytes:
    """All that the process may read and write."""
    pid = service.process.child.pid
    found = []
    with Path(f"/proc/{pid}/mem").open("rb") as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            places, rights = line.split()[:2]
            if rights.startswith("rw"):
                start, end = (int(place, 16) for place in places.split("-"))
                memory.seek(start)
                found.append(memory.read(end - start))
    return b"".join(found)


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "closed"])
def test_a_password_is_wiped(bench: Bench, pair: Pair, kept: bool) -> None:
    """What was typed and what was made of it are nowhere, whether the connection stays or not."""
    right = User("alice", CANARY, pbkdf2("sha256", 999, SALT, CANARY), ALICE.token)
    typed = {"username": "alice", "password": CANARY}
    text = json.dumps(typed)
    large = json.dumps({"k": "x" * 300_000} | typed)
    escaped = "canary\\u002d7f3a91"
    base64_part = part(b"password", BASE64) + base64.b64encode(CANARY.encode()) + ENDS
    requests = {
        "json": login("application/json", text.encode()),
        "json-large": login("application/json", large.encode()),
        "json-chunked": login("application/json", large.encode(), chunked=True),
        "json-in-two-chunks": chunks(text.encode()[:-5], text.encode()[-5:]),
        "json-escaped": login("application/json", text.replace(CANARY, escaped).encode()),
        "json-large-escaped": login("application/json", large.replace(CANARY, escaped).encode()),
        "json-utf-16": login("application/json; charset=utf-16", text.encode("utf-16")),
        "form": login(FORM, FORM_USER + CANARY.encode()),
        "form-escaped": login(FORM, FORM_USER + CANARY.replace("-", "%2D").encode()),
        "multipart": login(MULTIPART, PART_USER + part(b"password") + CANARY.encode() + ENDS),
        "multipart-base64": login(MULTIPART, PART_USER + base64_part),
    }
    found = {}
    with closing(bench.database(pair, "sqlite")) as database:
        for name, request in requests.items():
            # Its hash is outdated, so that the password is hashed twice.
            database.reset([right])
            with (
                start_binary(pair, database.url, QUICK, bench.log("ours")) as service,
                wire.Connection(service.address) as connection,
            ):
                connection.send(request.replace(b"Connection: close\r\n", b"") if kept else request)
                assert connection.receive(to_the_end=not kept).status == 200, name
                found[name] = memory_of(service).count(CANARY.encode())
    assert {name: at for name, at in found.items() if at} == {}


def test_the_memory_is_really_read(bench: Bench, pair: Pair) -> None:
    """That nothing is found would prove nothing if the token of the answer were not."""
    with closing(bench.database(pair, "sqlite")) as database:
        database.reset([ALICE])
        with (
            start_binary(pair, database.url, QUICK, bench.log("ours")) as service,
            wire.Connection(service.address) as connection,
        ):
            connection.send(login_bytes(ALICE))
            assert connection.receive().status == 200
            assert memory_of(service).count(str(ALICE.token).encode()) > 0
