"""Accept-Language and the language cookie, malformed ones too: Django and we choose the same language."""

from __future__ import annotations

import struct
from pathlib import Path
from random import Random

import pytest

from bench import Bench
from services import Pair, start_django, start_exported
from sites import QUICK_HASH
from wire import Response, exchange, simple

CODES = [
    "de",
    "ja",
    "pt-br",
    "pt",
    "en",
    "en-gb",
    "zh-hant",
    "zh-tw",
    "zh",
    "zh-hk",
    "hi",
    "ar",
    "qq",
    "qq-de",
]
WEIGHTS = [
    "",
    ";q=0.5",
    ";q=0",
    ";q=1.000",
    " ; q=0.25",
    ";q=0.",
    ";q=1.5",
    ";q=",
    ";q=0.1234",
    "; q = 1",
    ";Q=0.3",
]
COMMAS = [",", ", ", " ,", ",,", "\xa0,\x85", ";", " "]
ODD = [
    "*",
    "de-",
    "-de",
    "abcdefghi",
    "1de",
    "de_AT",
    "de-abcdefghi",
    "de*",
    "é",
    "xx-yy-zz",
    "a" * 520,
    "de-" * 180,
]
COOKIES = [
    '"de"',
    "DE",
    "pt-BR",
    "zh-CN",
    "zh-cn",
    "",
    "en-us",
    '"j\\141"',
    "qq",
    "de-" + "x" * 600,
    "ja\u212a",
    "é",
]
REQUESTS = 250


def header(random: Random) -> str:
    """Ranges, most of them well-formed."""
    text = ""
    for _ in range(random.choice([1, 1, 2, 3, 5, 200])):
        code = random.choice(CODES if random.random() < 0.9 else ODD)
        code = code + "-" + random.choice(["at", "AT-1901", "x"]) if random.random() < 0.2 else code
        code = code.upper() if random.random() < 0.1 else code
        weight = random.choice(WEIGHTS[:6] if random.random() < 0.95 else WEIGHTS)
        text += code + weight + random.choice(COMMAS[:3] if random.random() < 0.97 else COMMAS)
    return text if random.random() < 0.1 else text.rstrip(" ,")


def request(random: Random) -> bytes:
    """A login without fields, which is refused in the language of the request."""
    lines = ["POST /api-token-auth/ HTTP/1.1", "Host: testserver", "Connection: close", "Content-Length: 2"]
    lines += ["Content-Type: application/json"]
    if random.random() < 0.9:
        lines += [f"Accept-Language: {header(random)}"]
    text = "\r\n".join(lines).encode("latin-1", "replace")
    if random.random() < 0.2:
        name = random.choice(["django_language", "site_language"])
        value = random.choice(CODES + COOKIES)
        text += f"\r\nCookie: a=b; {name}={value}; c".encode()
    return text + b"\r\n\r\n{}"


def seen(response: Response) -> tuple[object, ...]:
    return response.status, response.header("Content-Language"), response.header("Vary"), response.body


@pytest.mark.parametrize("site", ["locale", "locale-behind"])
@pytest.mark.parametrize("kind", ["sqlite"])
def test_the_language_is_djangos_whatever_the_request_says(
    bench: Bench, pair: Pair, kind: str, site: str, ours: str
) -> None:
    rig = bench.rig(pair, kind, site, ours=ours)
    random = Random(20261124)
    languages = set()
    for _ in range(REQUESTS):
        wanted = request(random)
        django, other = (exchange(service.address, wanted) for service in (rig.django, rig.ours))
        assert seen(django) == seen(other), wanted
        languages.add(django.header("Content-Language"))
    assert len(languages) >= 6, "the requests choose too few languages to prove anything"


# Signs that TOML, JSON or `str.format` could stumble over.
OWN = {
    "Invalid token.": 'N\x7f"\\ \t{no} %s \u2028 \U0001f600 <b>&amp;</b>\n\x0b',
    'Method "{method}" not allowed.': "{method}? {method}!",
    'Unsupported media type "{media_type}" in request.': "Nein.",
    "This field is required.": "",
}


def catalogue(texts: dict[str, str]) -> bytes:
    """A compiled catalogue, as msgfmt writes it."""
    texts = {"": "Content-Type: text/plain; charset=UTF-8\n"} | texts
    pairs = sorted((key.encode(), text.encode()) for key, text in texts.items())
    head = struct.pack("<7I", 0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, 0)
    place, tables, signs = 28 + 16 * len(pairs), [b"", b""], b""
    for column in (0, 1):
        for pair in pairs:
            tables[column] += struct.pack("<2I", len(pair[column]), place + len(signs))
            signs += pair[column] + b"\0"
    return head + tables[0] + tables[1] + signs


@pytest.mark.parametrize("kind", ["sqlite"])
def test_a_catalogue_of_the_sites_own_is_spoken_to_the_letter(
    bench: Bench, pair: Pair, kind: str, binary: str, tmp_path: Path
) -> None:
    folder = tmp_path / "de" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / "django.mo").write_bytes(catalogue(OWN))
    settings = QUICK_HASH | {"LANGUAGE_CODE": "de", "LOCALE_PATHS": [str(tmp_path)]}
    url = bench.migrated_url(pair, kind)
    requests = [
        ("GET", "/secret/", {"Authorization": "Token nonsense"}, b""),
        ("PATCH", "/api-token-auth/", {}, b""),
        ("POST", "/api-token-auth/", {"Content-Type": "text/{media_type}"}, b"x"),
        ("POST", "/api-token-auth/", {"Content-Type": "application/json"}, b"{}"),
    ]
    with (
        start_django(pair, url, settings, bench.log("django")) as django,
        start_exported(pair, url, settings, bench.log("ours")) as ours,
    ):
        for method, path, headers, body in requests:
            answers = [
                seen(simple(service.address, method, path, body=body, **headers))
                for service in (django, ours)
            ]
            assert answers[0] == answers[1]
            assert answers[0][-1] != b'{"detail":"Invalid token."}', "the catalogue was not read"
