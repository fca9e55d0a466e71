"""Bodies for the fuzzer: JSON, forms and multipart, from right to hardly readable, by a seeded chance."""

from __future__ import annotations

import json
from random import Random

from clients import KEY

Body = tuple[bytes, bytes]

# Names and passwords; some are those of users in `fuzz.PEOPLE`, in more than one spelling.
TEXTS = [
    "alice", "wonderland", "bob", "builder", "carol", "christmas", "mallory", "outdated", "dan", "12345",
    "67890", "1.0", "müller", "straße", "名前", "пароль", "😀", "a b", "x+y", "100%", "a&b=c", 'quo"te',
    "back\\slash", "", " ", " alice ", "\u3000bob\xa0", "Alice", "wonderland ", "\0", "a\0b", "\u200b",
    "\ufeff", "\x1c", "\x85", "\u2028", "\t\n", "e\u0301", "\xe9", "ａｌｉｃｅ", "k" * 151, KEY, "null",
    "true", "nan", "١٢٣", "\x7f", "--B", "a\r\nb",
]  # fmt: skip
LOGINS = [
    ("alice", "wonderland"), ("bob", "builder"), ("12345", "67890"), ("müller", "straße"),
    ("mallory", "outdated"), ("名前", "пароль"), ("alice", "wrong"), ("1.0", "1.0"), ("x+y", "100%"),
    ("a&b=c", 'quo"te'),
]  # fmt: skip
NUMBERS = [
    "0", "-0", "1", "12345", "67890", "-1", "1.0", "1.00", "10e-1", "1e0", "1E+0", "-0.0", "1e22", "1e16",
    "1e-7", "123456789012345678901234567890", "1e400", "-1e400", "0.1", "3.141592653589793238", "1e15",
    "123456789.123456789", "5e-324", "1.7976931348623157e308", "2.2250738585072014e-308", "01", "1.", ".5",
    "+1", "1e", "0x1", "-", "--1", "1_0", "NaN", "Infinity", "-Infinity", "nan", "inf", "1" * 4300,
    "1" * 4301, "-" + "9" * 4300, "0.0001", "0.00001", "9007199254740993", "1e23", "8.41e21",
    "100000000000000000000000.0", "١",
]  # fmt: skip
KEYS = [
    "username", "password", "username", "password", "token", "Username", " username", "", "user\\u006eame",
    "x",
]  # fmt: skip
BLANKS = ["", "", "", " ", "\n", "\t", "\r\n", "  ", "\x0b", "\xa0", "\ufeff", "\0", "/**/", "\x0c", "\u2028"]
ESCAPES = [
    '\\"', "\\\\", "\\/", "\\b", "\\f", "\\n", "\\r", "\\t", "\\u00e9", "\\u0000", "\\ud83d\\ude00",
    "\\ud83d", "\\ude00", "\\ud83dx", "\\ud83d\\u0041", "\\uD800\\uD800", "\\u12", "\\uzzzz", "\\x41", "\\a",
    "\\", "\\u", "\\u 123", "\\u+123", "\\u00e", "\\N", "\\'", "\\u0x12", "\\U0001f600", "\\ud83d\\u",
    "\\ud83d\\x", "\\ud83d\\u12", "\\u1_23",
]  # fmt: skip
JUNK = [
    b"\xff", b"\xe9", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\xed\xa0\x80", b"\xc0\xaf",
    b"\xf4\x90\x80\x80", b"\xef\xbb\xbf", b"\0", b"\x80", b"\xc3\xa9", b"\xf5", b"\x1f", b"\x7f",
    b"\xe2\x80\xa8", b"\xf0\x90", b"\xfe\xff", b"\xff\xfe",
]  # fmt: skip
CHARSETS = [
    b"utf-8", b"UTF8", b"utf-8", b"latin-1", b"iso-8859-1", b"ascii", b"us-ascii", b"utf-16", b"utf-16-le",
    b"utf-16be", b"utf-32", b"utf_32_be", b"utf-8-sig", b"utf-7", b"cp1252", b"windows-1251", b"koi8-r",
    b"shift_jis", b"euc-jp", b"gbk", b"big5", b"iso-8859-15", b"mac-roman", b"hex", b"base64", b"rot13",
    b"zlib", b"bz2", b"undefined", b"idna", b"punycode", b"unicode_escape", b"raw_unicode_escape", b"",
    b"nonsense", b'"utf-8"', b"utf-8 ", b" utf-8", b"'utf-8'", b"u8", b"l1", b"646", b"cp65001", b"mbcs",
    b"utf\x2d8\xa0", b"UTF 8", b"utf--8", b"iso8859_1", b"cp437", b"gb18030",
]  # fmt: skip
DISPOSITIONS = [
    b'form-data; name="%s"', b"form-data; name=%s", b"FORM-DATA; NAME=\"%s\"", b"form-data; name*=utf-8''%s",
    b'form-data; name="%s"; filename="f.txt"', b'form-data; name="%s"; filename=""', b'attachment; name="%s"',
    b"form-data; name=\"%s\"; filename*=utf-8''%%e2%%82%%ac", b'form-data; name="%s"; filename="a/b\\c"',
    b"form-data", b'form-data;name="%s"', b'form-data; name="%s"; x="y;z"', b'form-data ; name = "%s"',
    b"form-data; name='%s'", b'form-data; name="%s', b'form-data; name="%s"; name="x"',
    b'form-data; name=" %s "', b'form-data; name="\\%s"', b"form-data; name*=latin-1'en'%s",
    b"form-data; name*=bogus''%s", b"form-data; name*=%s", b'form-data; filename="%s"',
    b'form-data; name="%s"; filename="."', b'form-data; name="%s"; filename="x/"', b"", b'; name="%s"',
    b'form-data, name="%s"', b'form-data; name="%s"; filename*=bogus\'\'x',
    b'form-data; name="%s"; filename="&lt;"', b"form-data; name=\"%s\"; filename*0=a; filename*1=b",
]  # fmt: skip
BOUNDARIES = [
    b"----WebKitFormBoundary7MA4YWxkTrZu0gW", b"a b", b"'()+_,-./:=?", b"B" * 200, b"B" * 201, b"B" * 202,
    b"", b"B ", b"\xe9", b"-", b'B"B', b"\xc3\xa9",
]  # fmt: skip
PART_HEADERS = [
    b"Content-Type: text/plain", b"content-type: text/plain; charset=utf-16",
    b"Content-Type: text/plain; charset=bogus", b"Content-Transfer-Encoding: base64",
    b"Content-Transfer-Encoding: BASE64", b"Content-Transfer-Encoding: quoted-printable",
    b"Content-Transfer-Encoding:base64", b"Content-Transfer-Encoding: 8bit", b"Content-Length: 3", b"X: y",
    b"no colon here", b": empty", b"Content-Type", b"X: " + b"a" * 900, b"X: \xff",
    b"Content-Type: multipart/mixed; boundary=C", b" folded: x",
    b"Content-Type: text/plain; charset*=bogus''x", b"Content-Length: x", b"Content-Length: -1",
    b"Content-Transfer-Encoding: base64; x=y",
]  # fmt: skip
SIGNS = [bytes([sign]) for sign in b'\0\t\n\r "%&+,;=/\\<{}[]:.-_\x7f\x80\xe9\xff']


def mutated(chance: Random, text: bytes) -> bytes:
    """One change anywhere: bytes exchanged or put in, a piece gone, doubled, or put elsewhere."""
    at, to = sorted(chance.randrange(len(text) + 1) for _ in range(2))
    piece = text[at : min(to, at + 40)]
    return chance.choice([
        text[:at] + chance.randbytes(1) + text[at + 1 :],
        text[:at] + chance.randbytes(chance.randrange(1, 5)) + text[at:],
        text[:at] + chance.choice(SIGNS) * chance.randrange(1, 4) + text[at:],
        text[:at] + chance.choice(JUNK) + text[at:],
        text[:at] + text[at + len(piece) :],
        text[:to] + piece + text[to:],
        text[:at],
    ])  # fmt: skip


def fields(chance: Random) -> list[tuple[str, str]]:
    """Names and values: a login, or anything."""
    user, password = chance.choice(LOGINS)
    pairs = [("username", user), ("password", password)]
    for _ in range(chance.choice([0, 0, 0, 1, 1, 2])):
        at, other = chance.randrange(len(pairs)), (chance.choice(KEYS), chance.choice(TEXTS))
        change = chance.randrange(5)
        if change <= 1:
            pairs[at] = (pairs[at][0] if change else other[0], other[1])
        elif change == 2:
            pairs.insert(at, other)
        elif change == 3 and len(pairs) > 1:
            pairs.pop(at)
        else:
            chance.shuffle(pairs)
    return pairs


def json_text(chance: Random, text: str) -> str:
    """A JSON string, each letter as it is or escaped, right or wrong."""
    if chance.randrange(3):
        return json.dumps(text, ensure_ascii=bool(chance.randrange(2)))
    letters = [chance.choice(ESCAPES) if chance.randrange(12) == 0 else letter for letter in text]
    letters = [
        f"\\u{ord(one):04x}" if len(one) == 1 and ord(one) < 65536 and chance.randrange(9) == 0 else one
        for one in letters
    ]
    return '"' + "".join(letters) + chance.choice(['"', '"', '"', '"', '"', chance.choice(ESCAPES) + '"', ""])


def json_value(chance: Random, depth: int = 0) -> str:
    """Any JSON value, or nearly one."""
    kind = chance.randrange(9 if depth < 4 else 5)
    if kind <= 1:
        return json_text(chance, chance.choice(TEXTS))
    if kind == 2:
        return chance.choice(NUMBERS)
    if kind <= 4:
        return chance.choice(
            ["null", "true", "false", "tru", "None", "TRUE", "''", "[]", "{}", "", "nul", "falsee"]
        )
    if kind <= 6:
        inner = [json_value(chance, depth + 1) for _ in range(chance.randrange(4))]
        return (
            "["
            + chance.choice([",", ",", ",", ", ", ",,", ";", " "]).join(inner)
            + chance.choice(["]", "]", "]", ",]", "", "}"])
        )
    return json_object(
        chance, [(chance.choice(KEYS), json_value(chance, depth + 1)) for _ in range(chance.randrange(4))]
    )


def json_object(chance: Random, pairs: list[tuple[str, str]]) -> str:
    """An object of written values, with blanks anywhere."""

    def blank() -> str:
        return chance.choice(BLANKS) if chance.randrange(6) == 0 else ""

    colon = ":" if chance.randrange(15) else chance.choice(["", "=", "::", ";"])
    inner = [f'{blank()}"{key}"{blank()}{colon}{blank()}{value}{blank()}' for key, value in pairs]
    end = "}" if chance.randrange(12) else chance.choice(["", ",}", "]", "}}", "} x", "}\n", "},"])
    return blank() + "{" + ",".join(inner) + end + blank()


def json_body(chance: Random) -> bytes:
    """A login as JSON, right or changed in its values, its writing or its bytes."""
    if chance.randrange(9) == 0:
        text = json_value(chance)
    else:
        pairs = [(key, json_text(chance, value)) for key, value in fields(chance)]
        if chance.randrange(3) == 0:
            at = chance.randrange(len(pairs))
            pairs[at] = (pairs[at][0], json_value(chance, 1))
        text = json_object(chance, pairs)
    if chance.randrange(40) == 0:
        opening, times = chance.choice(["[", '{"a":', '{"username":[']), chance.choice([5, 60, 900])
        text = opening * times + chance.choice(["", text, "1"]) + chance.choice(["]", "}", ""]) * times
    encoding = chance.choice(
        ["utf-8"] * 30 + ["utf-8-sig", "latin-1", "utf-16", "utf-16-le", "utf-32", "cp1251"]
    )
    body = text.encode(encoding, "replace")
    return mutated(chance, body) if chance.randrange(6) == 0 else body


def quoted(chance: Random, text: str) -> bytes:
    """Percent-encoding as a browser, as nobody, or half."""
    how = chance.randrange(4)
    out = b""
    for byte in text.encode("latin-1" if how == 0 and chance.randrange(4) == 0 else "utf-8", "replace"):
        one = bytes([byte])
        if one.isalnum() and chance.randrange(20):
            out += one
        elif one == b" ":
            out += chance.choice([b"+", b"%20", b" "])
        elif how == 3:
            out += one
        else:
            out += chance.choice([b"%%%02X", b"%%%02x"]) % byte
    if chance.randrange(12) == 0:
        out += chance.choice(
            [
                b"%",
                b"%z",
                b"%f",
                b"%ff",
                b"%C3",
                b"%00",
                b"%u0041",
                b"+",
                b"\xff",
                b"%ED%A0%80",
                b"\r\n",
                b"%%41",
            ]
        )
    return out


def form_body(chance: Random) -> bytes:
    """A form, its signs in right or odd places."""
    pieces = []
    for key, value in fields(chance):
        equals = b"=" if chance.randrange(15) else chance.choice([b"", b"==", b"%3D", b":"])
        pieces.append(quoted(chance, key) + equals + quoted(chance, value))
    joint = b"&" if chance.randrange(12) else chance.choice([b";", b"&&", b"%26", b"&amp;", b" & "])
    body = joint.join(pieces)
    if chance.randrange(40) == 0:
        body += b"&" * chance.choice([990, 996, 997, 998, 999, 1000, 1001])
    return mutated(chance, body) if chance.randrange(6) == 0 else body


def part(chance: Random, boundary: bytes, key: bytes, value: bytes) -> bytes:
    """One part, with a usual head or an odd one."""
    how = DISPOSITIONS[0] if chance.randrange(3) else chance.choice(DISPOSITIONS)
    head = [b"Content-Disposition: " + (how % key if b"%s" in how else how)]
    if chance.randrange(3) == 0:
        head.insert(chance.randrange(2), chance.choice(PART_HEADERS))
        if b"base64" in b"".join(head).lower() and chance.randrange(3):
            value = chance.choice(
                [
                    b"YWxpY2U=",
                    b"d29uZGVybGFuZA==",
                    b"YWxp\r\nY2U=",
                    b"YWxpY2U",
                    b"=",
                    b"!!!!",
                    b"YWxpY2U=\n",
                    b"YQ==YQ==",
                ]
            )
    if chance.randrange(20) == 0:
        head[0] = chance.choice(
            [head[0].lower(), head[0].replace(b": ", b":"), b"X" + head[0], head[0].replace(b"-", b"_")]
        )
    end = b"\r\n" if chance.randrange(20) else chance.choice([b"\n", b"\r", b"\r\n\r\n", b""])
    return b"--" + boundary + end + end.join(head) + end + end + value + end


def multipart_body(chance: Random) -> Body:
    """A multipart form and the parameter that tells its boundary."""
    boundary = b"B" if chance.randrange(4) else chance.choice(BOUNDARIES)
    encoding = "utf-8" if chance.randrange(9) else "latin-1"
    pieces = [
        part(chance, boundary, key.encode(), value.encode(encoding, "replace"))
        for key, value in fields(chance)
    ]
    if chance.randrange(60) == 0:
        pieces += [part(Random(1), boundary, b"x", b"")] * chance.choice(
            [97, 98, 99, 100, 997, 998, 999, 1000]
        )
    if chance.randrange(60) == 0:
        file = b'--%s\r\nContent-Disposition: form-data; name="x"; filename="f"\r\n\r\n\r\n' % boundary
        pieces += [file] * chance.choice([99, 100, 101])
    end = b"--" + boundary + b"--\r\n"
    if chance.randrange(9) == 0:
        end = chance.choice(
            [
                b"",
                b"--" + boundary,
                b"--" + boundary + b"--",
                end + b"epilogue",
                b"--" + boundary + b"--x\r\n",
            ]
        )
    start = b"" if chance.randrange(12) else chance.choice([b"preamble\r\n", b"\r\n", b"\n", b"-"])
    body = start + b"".join(pieces) + end
    told = (
        boundary
        if chance.randrange(15)
        else chance.choice([b"C", b'"%s"' % boundary, boundary + b" ", boundary + b";x=y", boundary + b"x"])
    )
    name = (
        b"boundary="
        if chance.randrange(20)
        else chance.choice([b"Boundary=", b"boundary = ", b"boundary*=utf-8''", b"x=", b"", b"boundary"])
    )
    return b"; " + name + told, mutated(chance, body) if chance.randrange(6) == 0 else body


MEDIA_TYPES = [
    b"application/json", b"APPLICATION/Json", b"application/x-www-form-urlencoded", b"multipart/form-data",
    b"Multipart/Form-Data", b"*/*", b"application/*", b"multipart/*", b"*/json", b"*/form-data",
    b"text/plain", b"text/json", b"application/vnd.api+json", b"json", b"", b"/", b"application/", b"/json",
    b"application/json/x", b"application /json", b"application/ json", b"application/json,text/plain",
    b"\xe9/\xff", b"application/json\xa0", b"text/html", b"*", b"application/xml",
    b"application/octet-stream", b"application/jsonx", b"application", b"multipart/mixed",
    b"application/x-www-form-urlencoded,application/json",
]  # fmt: skip
PARAMETERS = [
    b";", b"; ", b";;", b"; q=1", b"; version=2", b'; x="y;z"', b'; x="\\"', b"; x", b"; =", b"; charset",
    b"; CHARSET=utf-8", b"; charset*=utf-8''latin-1", b"; charset*0=ut; charset*1=f-8", b"; a=\xe9",
    b"; indent=4", b"; x=" + b"a" * 215, b"; x=" + b"a" * 260, b" ; x=y", b";x=y", b"; x = y",
    b"; boundary=B", b'; charset="utf-8"; charset=latin-1', b"; charset = utf-8", b"\t", b",",
    b"; charset=utf-8;",
]  # fmt: skip


def typed_body(chance: Random) -> tuple[bytes, bytes]:
    """A Content-Type and a body; mostly they fit."""
    kind = chance.randrange(10)
    parameters = b""
    if kind < 5:
        media_type, body = MEDIA_TYPES[0], json_body(chance)
    elif kind < 7:
        media_type, body = MEDIA_TYPES[2], form_body(chance)
    else:
        media_type = MEDIA_TYPES[3]
        parameters, body = multipart_body(chance)
    if chance.randrange(9) == 0:
        media_type = chance.choice(MEDIA_TYPES)
    if chance.randrange(7) == 0:
        parameters += b"; charset=" + chance.choice(CHARSETS)
    if chance.randrange(9) == 0:
        parameters += chance.choice(PARAMETERS)
    if chance.randrange(60) == 0:
        body = chance.choice([b"", b" ", b"\r\n", b"{", b"&", b"--B--", b"null"])
    return media_type + parameters, body
