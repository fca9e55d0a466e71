"""Stored hashes that nobody could wait for: refused as any other, at once, and never begun."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import wire
from bench import Bench
from clients import ALICE, SECRET, ask, login_bytes
from databases import SqliteDatabase, User
from services import Pair, Service, start_binary
from sites import hashers

pytestmark = [pytest.mark.usefixtures("binary"), pytest.mark.newest_only]

REFUSED = b'{"non_field_errors":["Unable to log in with provided credentials."]}'
ARGON2 = "$cmx4cnNadW5EbjZOYjJtNVowSGdPUw$MGP7/AffOAGy4PN0pq5SACNnBOqCX/xmrOSQYgrZVBg"
BCRYPT = "oFI5b5/4kOravIWYe0D0U.o74qe/nYyzpvqbqih7OAKGSzVAAcei2"
# Django would run these for minutes or hours, or fill the memory.
POISONED = {
    "argon2-memory": f"argon2$argon2id$v=19$m=4194304,t=2,p=8{ARGON2}",
    "argon2-passes": f"argon2$argon2id$v=19$m=102400,t=4294967295,p=8{ARGON2}",
    "argon2-lanes": f"argon2$argon2d$v=19$m=4294967295,t=1,p=16777215{ARGON2}",
    "bcrypt_sha256-cost": f"bcrypt_sha256$$2b$31${BCRYPT}",
    "bcrypt-cost": f"bcrypt$$2b$31${BCRYPT}",
    "scrypt-work-factor": "scrypt$1073741824$salt$8$1$hash",
    "scrypt-parallelism": "scrypt$32768$salt$1$200000$hash",
    "pbkdf2_sha256-iterations": "pbkdf2_sha256$2147483647$abcdefghijklmnopqrstuv$hash",
    "pbkdf2_sha1-iterations": "pbkdf2_sha1$2147483647$abcdefghijklmnopqrstuv$hash",
    "pbkdf2_sha256-digits": "pbkdf2_sha256$" + "9" * 100 + "$salt$hash",
    "argon2-junk": "argon2$argon2id$v=19$m=\x01\x02\x7f,t=\ud7ff,p=-1$\x1b$\x00".replace("\x00", "\uffff"),
    "bcrypt-junk": "bcrypt_sha256$$2b$\x07\x08$" + "\U0010ffff" * 53,
    "junk": "".join(map(chr, range(1, 127))),
}
# PostgreSQL's column holds 128 characters; SQLite's holds any.
LONG = {
    name: f"{name}$" + "x" * 10_000_000
    for name in ("argon2", "bcrypt", "bcrypt_sha256", "scrypt", "md5", "pbkdf2_sha256", "unknown")
} | {
    "salt": "pbkdf2_sha256$1000$" + "x" * 10_000_000 + "$hash",
    "dollars": "$" * 1_000_000,
    "bare": "\x7f" * 1_000_000,
}
LISTED = hashers("PBKDF2", "PBKDF2SHA1", "Argon2", "BCryptSHA256", "BCrypt", "Scrypt", "MD5")


def login(service: Service, name: str) -> tuple[int, bytes, float]:
    """The answer to a login, and how long it took."""
    body = json.dumps({"username": name, "password": "secret"}).encode()
    head = b"POST /api-token-auth/ HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
    began = time.monotonic()
    with wire.Connection(service.address) as connection:
        connection.send(head + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
        answer = connection.receive(to_the_end=True)
    return answer.status, answer.body, time.monotonic() - began


def memory_of(service: Service) -> int:
    """The most that it ever had in memory, in bytes."""
    status = Path(f"/proc/{service.process.child.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def test_a_poisoned_hash_is_the_ordinary_no(bench: Bench, pair: Pair, kind: str) -> None:
    stored = POISONED | (LONG if kind == "sqlite" else {})
    database = bench.database(pair, kind)
    database.reset([ALICE, *(User(name, "secret", encoded) for name, encoded in stored.items())])
    service = start_binary(pair, database.url, {"PBKDF2_ITERATIONS": 1000} | LISTED, bench.log("ours"))
    before = memory_of(service)
    stop = threading.Event()

    def load() -> Counter[int]:
        """Others who log in and ask meanwhile."""
        answers: Counter[int] = Counter()
        while not stop.is_set():
            answers[ask(service, login_bytes(ALICE, "Connection: close")).status] += 1
            answers[ask(service, SECRET.replace(b"Host", b"Connection: close\r\nHost")).status] += 1
        return answers

    try:
        with ThreadPoolExecutor(6) as clients:
            loads = [clients.submit(load) for _ in range(2)]
            try:
                found = clients.map(lambda name: login(service, name), stored)
                answers = dict(zip(stored, found, strict=True))
            finally:
                stop.set()
        assert {status for one in loads for status in one.result()} == {200}
        assert "panicked" not in service.process.log_text()
        for name, (status, body, seconds) in answers.items():
            assert (status, body) == (400, REFUSED), name
            assert seconds < 3, name
        assert memory_of(service) < before + 160_000_000
    finally:
        service.stop()
        database.close()


def test_a_hash_that_is_no_text(bench: Bench, pair: Pair) -> None:
    """SQLite stores bytes of any kind in a column of texts; Django's driver fails on them."""
    database = bench.database(pair, "sqlite")
    assert isinstance(database, SqliteDatabase)
    database.reset([User("junk", "secret", "x"), User("bytes", "secret", "x")])
    encoded = "md5$abcdefghijklmnopqrstuv$" + hashlib.md5(b"abcdefghijklmnopqrstuvsecret").hexdigest()
    for name, value in ("junk", b"\xff\x00\xfe"), ("bytes", encoded.encode()):
        database.connection.execute("UPDATE auth_user SET password = ? WHERE username = ?", (value, name))
    service = start_binary(pair, database.url, {"PBKDF2_ITERATIONS": 1000} | LISTED, bench.log("ours"))
    try:
        assert login(service, "junk")[:2] == (400, REFUSED)
        # The bytes of a hash are as good as its text, also where they are compared again.
        assert login(service, "bytes")[0] == 200
    finally:
        service.stop()
        database.close()
