"""Requests for the fuzzer: a way to one of the two views, changed by a seeded chance in a few places."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from clients import KEY
from fuzz_bodies import JUNK, TEXTS, mutated, quoted, typed_body

LOGIN, SECRET = b"/api-token-auth/", b"/secret/"
HOST = b"api.example.com"
METHODS = [
    b"HEAD", b"PUT", b"DELETE", b"PATCH", b"TRACE", b"PROPFIND", b"CONNECT", b"LINK", b"M-SEARCH", b"GET",
    b"POST", b"OPTIONS", b"ABCDEFGHIJKLMNOPQRST", b"post", b"Get", b"X", b"BREW.NOW", b"A_B", b"GET1",
    b"QUERY", b"DISPATCH", b"HTTP-METHOD",
]  # fmt: skip
PATHS = [
    b"/secret", b"/api-token-auth", b"/", b"/%73ecret/", b"/secret%2F", b"/secret%2f", b"//secret/",
    b"/secret//", b"/./secret/", b"/../secret/", b"/secret;a=b/", b"/secret/%00", b"/secret/%0A",
    b"/secret.json", b"/Secret/", b"/secret/x", b"/api-token-auth//", b"/api-token-auth%2F",
    b"/%61pi-token-auth", b"/%", b"/%zz", b"/%e9", b"/%ff%fe/", b"/%C3%A9", b"/secret/%20", b"/secret%",
    b"/secret/#f", b"/secret#f", b"http://h/secret/", b"http://h/secret", b"https://h:99/api-token-auth",
    b"http://h", b"/secret+", b"/secret/.", b"/secret:", b"/x@y", b"//secret", b"///api-token-auth",
    b"//h/secret", b"/api-token-auth?", b"/secret/?", b"/secret?#", b"/%2Fsecret", b"/secret%3Fa/",
    b"/\\secret/", b"/secret'", b"/secret/%2e%2e/secret/", b"/static/x", b"/favicon.ico",
    b"/api-token-auth/%EF%BB%BF", b"/secret%0A", b"/secret\\", b"/s%65cret", b"/secret~", b"/secret/$",
]  # fmt: skip
QUERIES = [
    b"format=json", b"format=api", b"format=xml", b"format=", b"format", b"format=JSON", b"format=json+",
    b"a=b&a=c", b"%", b"&&;=", b"format=%6Ason", b"format=json&format=api", b"format=api&format=json",
    b"%ff=%fe", b"format=%00", b"f%6Frmat=xml", b"a=\\", b"a='", b"a=%27", b"?", b"a=b?c",
    b"format=json;x=y", b"format=json%00", b"format=%C3%A9", b"%66ormat=json",
    b"format=json&" + b"a&" * 990, b"a&" * 997 + b"format=xml", b"&" * 998, b"&" * 999, b"&" * 1000,
    b"&" * 1001, b"token=" + KEY.encode(), b"a=[]{}|^", b"a=%zz&b=%2", b"charset=x", b"a=b#c", b"=",
    b"=format", b" format=json", b"a=+%20", b"a=~!*()'",
]  # fmt: skip
SCHEMES = [
    b"token", b"TOKEN", b"tOkEn", b"Bearer", b"Basic", b"Tokens", b"", b"T\xc3\xb6ken", b"To\xe2\x84\xaaen",
    b"Token:", b"Token,", b"\xa0Token", b'"Token"', b"Token\x85",
]  # fmt: skip
GAPS = [b"  ", b"\t", b"\xa0", b"\x85", b"", b",", b" \t ", b":", b"=", b"\xc2\xa0"]
KEYS = [
    b"", b"x", KEY.upper().encode(), KEY[:39].encode(), KEY.encode() + b"0", b"ca01" * 10,
    b"da0" * 13 + b"0", "schlüssel".encode(), "schlüssel".encode("latin-1"), "ключ".encode(), b"short",
    b'"' + KEY.encode() + b'"', b"token=" + KEY.encode(), KEY.encode() + b",", b"k" * 41, b"k" * 3000,
    b"'; --", b"%s", b"a\xffb", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf0\x9f\x98\x80", b"\xe2\x80\xa8",
    KEY.encode()[::-1], b"SHORT", b"\xc3\xa9" * 40, b"\xef\xbb\xbf" + KEY.encode(), b"..", b"null",
    b"s\xcc\x88hort", b"\xf4\x90\x80\x80",
]  # fmt: skip
MEDIA_TYPES = [
    b"application/json", b"text/html", b"*/*", b"application/*", b"text/*", b"*/json", b"*/html",
    b"image/png", b"text/plain", b"application/xml", b"APPLICATION/JSON", b"Text/Html", b"*", b"json",
    b"application/", b"/json", b"", b"/", b"application/json/x", b'"application/json"', b"*/*/*",
    b"application", b"application/problem+json", b"application/xhtml+xml", b"\xe9/\xe9", b"**/*",
    b"application/jso", b"application /json", b"application/ json", b"text/html\xa0",
]  # fmt: skip
ACCEPT_PARAMETERS = [
    b"q=0", b"q=1", b"q=0.5", b"Q=1", b"q=x", b"q", b"version=1", b"charset=utf-8", b'x="y"', b'x="a;b"',
    b'x="\\""', b"", b" ", b"=", b"x=", b"=y", b"x=\xe9", b"q=1;x=y", b"x=y=z", b"profile='a'", b"level=1",
    b"x*=utf-8''y", b"q=0;q=1",
]  # fmt: skip
INDENTS = [
    b"4", b"0", b"1", b"8", b"9", b"99999999999999999999", b"-1", b"+2", b" 3", b"3 ", b"1_0", b"1__0",
    b"_1", b"x", b"", b'"2"', b"2.0", b"0x2", b"\xb2", b"\xa02", b"'2'", b"02", b"00", b"1e1", b"--1",
    b"+-1", b"\xd9\xa3", b'" 2"', b'"\\2"', b"2\x85", b"\x1c2", b"9" * 200, b"+", b"-", b"- 1",
    b"4294967297",
]  # fmt: skip
HOSTS = [
    b"example.com", b"a.b.example.com.", b"notexample.com", b"EXAMPLE.com:80", b".example.com",
    b"example.com..", b"www.example.com", b"a_b.example.com", b"api.example.com:443", b"example.com,evil",
    b"example.com@evil", b"t", b"t:80", b"T.Example.COM", b"t.", b"t..", b".t", b"[::1]", b"[::1]:80",
    b"[::1", b"::1", b"[]", b"[x]", b"", b"a b", b"t:", b"t:x", b"t:0", b"t:99999999", b"t:80:80", b"\xe9",
    b"\xff", b"t_t", b"t@t", b"t/t", b"t,t", b"%41", b"-", b"..", b".", b"127.0.0.1", b"[fe80::1%25eth0]",
    b"[::ffff:1.2.3.4]", b"[1::.]", b"t\t", b"xn--e1afmkfd", b"t:\xb2", b"t:+1", b"[::1].", b"[::1]x",
    b"t?", b"t#", b"t\\", b"[A::B]", b"[:]", b"[:.]", b"t:8_0", b"k\xe2\x84\xaa", b"localhost", b"t.:1",
    b" t", b"*", b"t;", b"t'", b"[::G]", b"[1]", b":80", b".:80",
]  # fmt: skip
SCHEMES_OF_PROXIES = [
    b"https", b"http", b"HTTPS", b" https", b"https,http", b"http,https", b"https, http", b"", b"https ",
    b"on", b",https", b"https,", b"\xa0https",
]  # fmt: skip
OTHERS = [
    (b"X-Forwarded-For", b"1.2.3.4"), (b"Forwarded", b"host=evil;proto=https"),
    (b"Content-Encoding", b"gzip"), (b"Accept-Language", b"de,fr;q=0.5"), (b"Accept-Encoding", b"gzip, br"),
    (b"X-HTTP-Method-Override", b"GET"), (b"Origin", b"http://evil"), (b"Referer", b"\xff"),
    (b"If-Modified-Since", b"Thu, 01 Jan 1970 00:00:00 GMT"), (b"If-None-Match", b"*"),
    (b"Range", b"bytes=0-1"), (b"X-Requested-With", b"XMLHttpRequest"), (b"User-Agent", b""),
    (b"Access-Control-Request-Method", b"PUT"), (b"Content-Language", b"x"),
    (b"Content_Type", b"text/plain"), (b"Proxy-Authorization", b"Token " + KEY.encode()),
    (b"Upgrade", b"h2c"), (b"X", b"\xc3\xa9"), (b"X-Script-Name", b"/x"), (b"Content-MD5", b"x"),
    (b"Accept-Charset", b"latin-1"), (b"TE", b"trailers"), (b"Date", b"x"), (b"Max-Forwards", b"0"),
    (b"X-CSRFToken", b"x"), (b"Cookie", b"a=b"), (b"Cookie", b"sessionid=0123456789abcdef"),
    (b"Expect", b"100-continue"), (b"X-Forwarded-Port", b"443"),
    (b"Content-Disposition", b'form-data; name="username"'),
]  # fmt: skip

Header = tuple[bytes, bytes]


@dataclass(frozen=True)
class Request:
    """A request in the parts that can be changed or left out by themselves."""

    method: bytes
    target: bytes
    headers: tuple[Header, ...]
    body: bytes

    def head(self) -> bytes:
        """All before the body; the length is always told right, for what breaks off is no request yet."""
        lines = [self.method + b" " + self.target + b" HTTP/1.1"]
        lines += [name + b": " + value for name, value in self.headers]
        if self.body:
            lines.append(b"Content-Length: %d" % len(self.body))
        return b"\r\n".join([*lines, b"Connection: close", b"", b""])

    def __bytes__(self) -> bytes:
        return self.head() + self.body


def requests(seed: int, start: int, number: int) -> list[Request]:
    """The same ones for the same seed, whichever part of them is asked for."""
    return [made(Random(f"{seed}/{place}")) for place in range(start, start + number)]


def garbled(seed: int, number: int) -> list[bytes]:
    """Bytes that need be no request any more: changed anywhere, with a wrong length, in chunks, cut off."""
    chances = [Random(f"garbled/{seed}/{place}") for place in range(number)]
    return [garble(chance, bytes(made(chance))) for chance in chances]


def garble(chance: Random, text: bytes) -> bytes:
    """One to three changes of a request's bytes."""
    for _ in range(chance.randrange(1, 4)):
        text = mutated(chance, text)
    head, blank, body = text.partition(b"\r\n\r\n")
    how = chance.randrange(9)
    if how == 0:
        chunks = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
        return (
            head.replace(b"Content-Length:", b"Transfer-Encoding: chunked\r\nX:")
            + blank
            + chunks
            + b"0\r\n\r\n"
        )
    if how == 1:
        return head + b"\r\nContent-Length: 1000000000" + blank + body
    return text[: chance.randrange(len(text) + 1)] if how == 2 else text


def made(chance: Random) -> Request:
    """One request; each part has a share of odd values, so that most have one to three of them."""
    login = chance.randrange(4) > 0
    target = LOGIN if login else SECRET
    if chance.randrange(14) == 0:
        target = chance.choice(PATHS)
    query = b""
    if chance.randrange(8) == 0:
        query = b"?" + (chance.choice(QUERIES) if chance.randrange(3) else odd_query(chance))
    method = b"POST" if login else b"GET"
    if chance.randrange(9) == 0:
        method = chance.choice([b"OPTIONS", chance.choice(METHODS), chance.choice(METHODS)])
    headers = [(b"Host", HOST if chance.randrange(16) else chance.choice(HOSTS))]
    body = b""
    if login or chance.randrange(6) == 0:
        content_type, body = typed_body(chance)
        headers.append((b"Content-Type", content_type))
    if not login or chance.randrange(8) == 0:
        headers += authorization(chance, usual=not login)
    if chance.randrange(3) == 0:
        headers.append((b"Accept", accept(chance)))
    if chance.randrange(6) == 0:
        headers.append(chance.choice(OTHERS))
    if chance.randrange(16) == 0:
        headers.append((b"X-Forwarded-Host", chance.choice([HOST, *HOSTS])))
    if chance.randrange(16) == 0:
        headers.append((b"X-Forwarded-Proto", chance.choice(SCHEMES_OF_PROXIES)))
    return changed(chance, Request(method, target + query, tuple(headers), body))


def changed(chance: Random, request: Request) -> Request:
    """Seldom: a header spelled otherwise, twice, gone, at another place, or any bytes in a part."""
    headers = list(request.headers)
    at = chance.randrange(len(headers))
    name, value = headers[at]
    how = chance.randrange(60)
    if how == 0:
        headers[at] = (chance.choice([name.lower(), name.upper(), name.swapcase()]), value)
    elif how == 1 and name not in (b"Host", b"Content-Type"):
        headers.append((name, chance.choice([value, b"", b"x"])))
    elif how == 2:
        del headers[at]
    elif how == 3:
        chance.shuffle(headers)
    elif how in (4, 5, 6, 7):
        headers[at] = (name, line_safe(chance, mutated(chance, value)))
    elif how == 8:
        return replace(
            request, target=b"/" + line_safe(chance, mutated(chance, request.target[1:])).replace(b" ", b"")
        )
    elif how == 9:
        headers[at] = (name, chance.choice([b" ", b"\t", b"  "]) + value + chance.choice([b"", b" ", b"\t"]))
    return replace(request, headers=tuple(headers))


def line_safe(chance: Random, text: bytes) -> bytes:
    """Without the bytes that no server lets into a header, but for a few."""
    if chance.randrange(20) == 0:
        return text.replace(b"\n", b"").replace(b"\r", b"")
    return bytes(byte for byte in text if (byte >= 32 and byte != 127) or byte == 9)


def odd_query(chance: Random) -> bytes:
    """Pairs of a query, encoded as in a form."""
    names = ["format", "format", "a", "", "Format", "username"]
    values = ["json", "api", "xml", "", "json ", *TEXTS[10:20]]
    pairs = [
        quoted(chance, chance.choice(names)) + b"=" + quoted(chance, chance.choice(values))
        for _ in range(chance.randrange(1, 4))
    ]
    text = b"&".join(pairs)
    return bytes(byte for byte in text if 32 < byte < 127)


def authorization(chance: Random, *, usual: bool) -> list[Header]:
    """A good token for the most part where it is usual, else something like it."""
    if usual and chance.randrange(2):
        return [(b"Authorization", b"Token " + KEY.encode())]
    if chance.randrange(8) == 0:
        return []
    scheme = b"Token" if chance.randrange(4) else chance.choice(SCHEMES)
    gap = b" " if chance.randrange(6) else chance.choice(GAPS)
    key = KEY.encode() if chance.randrange(4) == 0 else chance.choice(KEYS)
    value = scheme + gap + key
    if chance.randrange(9) == 0:
        value += chance.choice([b" ", b" x", b"\t", b" " + key, b"\xa0", b", x", chance.choice(JUNK)])
    if chance.randrange(15) == 0:
        value = mutated(chance, value)
    return [(b"Authorization", line_safe(chance, value))]


def accept(chance: Random) -> bytes:
    """A list of media types with parameters; sometimes more or longer than is read."""
    number = chance.choice([1, 1, 1, 2, 2, 3, 4, 6])
    tokens = [accept_token(chance) for _ in range(number)]
    if chance.randrange(25) == 0:
        tokens[:0] = [b"a/b"] * chance.choice([58, 60, 61, 62, 63, 64, 65])
    if chance.randrange(30) == 0:
        tokens.insert(
            chance.randrange(len(tokens) + 1),
            b"application/json;x=" + b"a" * chance.choice([236, 237, 238, 239, 240, 8000]),
        )
    joint = b"," if chance.randrange(3) else chance.choice([b", ", b" , ", b",,", b";", b" ", b",\t"])
    text = joint.join(tokens)
    return line_safe(chance, mutated(chance, text) if chance.randrange(12) == 0 else text)


def accept_token(chance: Random) -> bytes:
    """One media type of an Accept header."""
    token = chance.choice(MEDIA_TYPES[:4] if chance.randrange(3) else MEDIA_TYPES)
    for _ in range(chance.choice([0, 0, 0, 1, 1, 2])):
        parameter = chance.choice(ACCEPT_PARAMETERS)
        if chance.randrange(2):
            name = (
                b"indent"
                if chance.randrange(9)
                else chance.choice([b"Indent", b" indent ", b"indents", b"indent*", b'"indent"'])
            )
            parameter = name + b"=" + chance.choice(INDENTS)
        token += (
            chance.choice([b";", b"; ", b" ; ", b";;"] if chance.randrange(4) == 0 else [b";"]) + parameter
        )
    return token
