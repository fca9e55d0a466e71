"""Requests that nobody meant to send: known parts, put together and changed by a seeded chance."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

from clients import KEY

T = TypeVar("T")
LOGIN = b'{"username":"alice","password":"wonderland"}'
PART = b'--B\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
END = b"--B--\r\n"
ALICE = PART % (b"username", b"", b"alice") + PART % (b"password", b"", b"wonderland") + END

# The first of each is what leads to the doors further in; it is taken more often.
METHODS = [b"POST", b"GET", b"OPTIONS", b"HEAD", b"PUT", b"DELETE", b"PATCH", b"TRACE", b"PROPFIND"]
PATHS = [
    b"/api-token-auth/", b"/secret/", b"/secret/", b"/api/schema/", b"/secret", b"/api-token-auth", b"/",
    b"/%73ecret/", b"/secret%2F", b"//secret/", b"http://h/secret/", b"*", b"/secret/%00", b"/%ff%fe/",
]  # fmt: skip
QUERIES = [
    b"", b"?format=json", b"?format=api", b"?format=xml", b"?format=", b"?a=b&a=c", b"?%", b"?&&;=",
    b"?" + b"a&" * 1100, b"?format=%00", b"?%ff=%fe",
]  # fmt: skip
AUTHORIZATIONS = [
    b"Token " + KEY.encode(), b"", b"Token", b"Token x", b"Token a b", b"token \xff", b"Token \xc3\xa9",
    b"Token " + b"k" * 3000, b"Bearer x", b"Basic eA==", b"Token\t" + KEY.encode(), b"Token a\x00b",
    b"Token " + KEY.upper().encode(), b"Token 'x';--",
]  # fmt: skip
ACCEPTS = [
    b"*/*", b"", b"application/json", b"text/html", b"text/html, application/json;q=0", b"image/png",
    b"application/json; indent=4", b"application/json; indent=99999999999999999999", b"a/b," * 80,
    b"application/json; indent=\xd9\xa3", b";,;/;=", b"*/*;" + b"a=b;" * 90,
]  # fmt: skip
HOSTS = [b"t", b"t:80", b"[::1]", b"", b"a b", b"t:x", b"\xff", b"[::1"]
JSONS = [
    LOGIN, b"[]", b"null", b'"x"', b"{}", b"[" * 3000, b'{"a":' * 1200, b"1" * 5000, b"\xef\xbb\xbf" + LOGIN,
    b'{"username":1e999999,"password":-0.0}', b'{"username":"\\ud800","password":"\\u0000"}',
    b'{"username":"\xff","password":"\xe2\x82"}', b'{"username":{"username":[]},"password":true}',
    LOGIN.decode().encode("utf-16"), b'{"username":"alice","password":"%s"}' % (b"x" * 90_000),
]  # fmt: skip
FORMS = [
    b"username=alice&password=wonderland", b"username=%ff&password=%", b"a&" * 1100, b"username=&password=+",
    b"=&=", b"username=alice&username=%00&password=\xff",
]  # fmt: skip
MULTIPARTS = [
    ALICE, b"--B\r\n", b"--B--", b"", b"--B\r\n\r\n\r\n--B", PART % (b"u", b"; a=b" * 300, b""),
    PART % (b"username", b'; filename="f"', b"alice") + END,
    PART % (b"u", b'; filename="f"', b"") * 101 + END,
    PART % (b"u", b"\r\nContent-Transfer-Encoding: base64", b"=x=") + END,
    PART % (b"username", b"; filename*=utf-8''%ff", b"x"), PART % (b"u", b"", b"") * 1100 + END,
]  # fmt: skip
CHARSETS = [b"utf-16", b"latin-1", b"hex", b"x", b"idna", b'"', b"utf-7", b"", b"\xff"]
BODIES = [
    (b"application/json", LOGIN), (b"multipart/form-data", b"--B"), (b"*/*", LOGIN), (b"text/plain", LOGIN),
    (b"/", LOGIN), (b"", LOGIN), (b"application/json;" + b"a" * 300, LOGIN), (b"\xff/\xfe", b"x"),
    (b"multipart/form-data; boundary=" + b"B" * 300, b"--B"),
    *((b"application/json", body) for body in JSONS),
    *((b"application/x-www-form-urlencoded", body) for body in FORMS),
    *((b"multipart/form-data; boundary=B", body) for body in MULTIPARTS),
    *((b"application/json; charset=" + name, LOGIN) for name in CHARSETS),
]  # fmt: skip
SIGNS = [bytes([sign]) for sign in b'\0\t\n\r "%&+,;=/\\<\x7f\x80\xff']


def requests(seed: int, number: int) -> list[bytes]:
    """The same ones for the same seed."""
    chance = random.Random(seed)
    return [made(chance) for _ in range(number)]


def made(chance: random.Random) -> bytes:
    """A request as its parts say, or changed in one to three parts, or anywhere in the whole."""

    def pick(table: Sequence[T]) -> T:
        return table[0] if chance.randrange(2) else chance.choice(table)

    content_type, body = chance.choice(BODIES)
    parts = {
        "method": pick(METHODS), "path": pick(PATHS), "query": pick(QUERIES), "host": pick(HOSTS),
        "authorization": pick(AUTHORIZATIONS), "accept": pick(ACCEPTS), "type": content_type, "body": body,
    }  # fmt: skip
    kind, times = chance.randrange(4), chance.randrange(1, 4)
    if kind == 1:
        for name in chance.choices(list(parts), k=times):
            parts[name] = mutated(chance, parts[name])
    whole = assembled(chance, parts)
    if kind == 2:
        for _ in range(times):
            whole = mutated(chance, whole)
    return whole


def mutated(chance: random.Random, text: bytes) -> bytes:
    """One change anywhere: bytes exchanged or put in, a piece gone, doubled, or put elsewhere."""
    at, to = sorted(chance.randrange(len(text) + 1) for _ in range(2))
    piece = text[at : min(to, at + 40)]
    return chance.choice([
        text[:at] + chance.randbytes(1) + text[at + 1 :],
        text[:at] + chance.randbytes(chance.randrange(1, 9)) + text[at:],
        text[:at] + chance.choice(SIGNS) * chance.randrange(1, 4) + text[at:],
        text[:at] + text[at + len(piece) :],
        text[:to] + piece + text[to:],
    ])  # fmt: skip


def assembled(chance: random.Random, parts: dict[str, bytes]) -> bytes:
    """The bytes of a request: some chunked, some with a wrong length, some without a header."""
    body = parts["body"]
    length = b"Content-Length: %d" % (len(body) + chance.choice([0] * 20 + [-1, 1, 10**9]))
    if chance.randrange(4) == 0:
        length = b"Transfer-Encoding: chunked"
        body = (b"%x\r\n%s\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"
    headers = [
        b"Host: " + parts["host"], b"Authorization: " + parts["authorization"], length,
        b"Accept: " + parts["accept"], b"Content-Type: " + parts["type"],
    ]  # fmt: skip
    kept = [header for header in headers if chance.randrange(12)]
    line = parts["method"] + b" " + parts["path"] + parts["query"] + b" HTTP/1.1"
    return b"\r\n".join([line, *kept, b"Connection: close", b"", b""]) + body
