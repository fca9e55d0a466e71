"""Somebody else holds a lock on the SQLite file, for less and for more than a statement may wait."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from cases import SALT, pbkdf2
from clients import ALICE, SECRET, login_bytes
from databases import User
from faults import PASSWORD, Finding, Stage
from faults_database import ANY, KINDS, NEARLY, PATIENCE, READS, SLACK, WAITS, small, told
from services import Service
from steady import Seen, Steady, slowest

RATE = 10
USERS = 1000
HOW = {
    "IMMEDIATE": "who writes waits, who reads does not",
    "EXCLUSIVE": "everybody waits",
}
# How SQLite keeps what is not committed yet, in a file that has to grow.
JOURNALS = {"delete": "a journal that is made anew", "wal": "a write-ahead log"}


def measure(stage: Stage) -> list[Finding]:
    """Each kind of lock, shorter and longer than the timeout; and a full disk."""
    timeout, short, long = (5, 3.0, 30.0) if stage.long else (2, 1.0, 5.0)
    old, new = (pbkdf2("sha256", number, SALT, PASSWORD) for number in (900, 1000))
    users = [ALICE]
    users += [User(f"outdated{n}", PASSWORD, old, f"{n:040x}") for n in range(USERS)]
    users += [User(f"first{n}", PASSWORD, new) for n in range(USERS)]
    url = stage.bench.migrated_url(stage.pair, "sqlite")
    with closing(stage.bench.open(url)) as database:
        database.reset(users)
    service = stage.start(url, {"DATABASE_TIMEOUT": timeout, "DATABASE_CONNECTIONS": 32})
    requests = Requests()
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None, timeout=30)) as holder:
        found = [
            locked(service, holder, mode, seconds, timeout, requests)
            for mode in HOW
            for seconds in (short, long)
        ]
    stage.stop()
    return found + [full(stage, users, journal, 30.0 if stage.long else 1.5) for journal in JOURNALS]


class Requests:
    """In turn a token, a login, one whose hash is outdated, a first one; each user logs in but once."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, _: int) -> tuple[str, bytes]:
        turn, self.asked = divmod(self.asked, len(KINDS)), self.asked + 1
        kind = KINDS[turn[1]]
        if kind == "token":
            return kind, SECRET
        return kind, login_bytes(ALICE if kind == "login" else User(f"{kind}{turn[0]}", PASSWORD, ""))


def locked(
    service: Service, holder: sqlite3.Connection, mode: str, seconds: float, timeout: int, requests: Requests
) -> Finding:
    """One lock."""
    is_long = seconds > timeout
    expected = {kind: {200} for kind in KINDS} if not is_long else NEARLY if mode == "IMMEDIATE" else ANY
    # Who cannot be served before its end; a hash that cannot be renewed stays.
    held = KINDS if mode == "EXCLUSIVE" else ("first",)
    holder.execute(f"BEGIN {mode}")
    with Steady(service.address, RATE, requests, PATIENCE + seconds) as load:
        time.sleep(seconds)
        releasing = time.monotonic()
        holder.execute("ROLLBACK")
        released = time.monotonic()
        time.sleep(0.5)
    against = []
    for one in load.seen:
        if one.status not in expected[one.kind] or (one.status == 503 and not one.is_unavailable()):
            against.append(f"{one.kind}: {one.status}")
        elif one.seconds > WAITS[one.kind] * timeout + SLACK:
            against.append(f"{one.kind}: waited {one.seconds:.1f} s")
        elif one.status == 503 and one.seconds < timeout:
            against.append(f"{one.kind}: 503 after {one.seconds:.2f} s, before the timeout")
        elif one.status == 200 and one.ended < releasing and one.kind in held:
            against.append(f"{one.kind}: 200 before the end of the lock")
    # Who waits in SQLite looks again within a tenth of a second; the others wait for those.
    late = [one for one in load.seen if one.began > released and one.status != 200]
    against += [f"after the end of the lock: {one.status}" for one in late]
    refused = any(one.status == 503 for one in load.seen)
    waited = [one for one in load.seen if one.kind in held and one.status == 200 and one.began < releasing]
    if (is_long and not refused) or (not is_long and not waited):
        against.append("nothing was proved: nobody was refused, or nobody waited")
    figure = f"{told(load.seen)}; longest wait {slowest(load.seen):.1f} s"
    how = f"{RATE} requests/s, a timeout of {timeout} s"
    return Finding(f"SQLite: a lock of {seconds:.0f} s, {HOW[mode]}", how, figure, against)


def full(stage: Stage, users: list[User], journal: str, seconds: float) -> Finding:
    """The file is on a disk without room for a page more."""
    folder = stage.bench.folder / stage.bench.name("disk")
    folder.mkdir()
    with small(folder, megabytes=8):
        shutil.copyfile(
            stage.bench.migrated_url(stage.pair, "sqlite").removeprefix("sqlite:///"), folder / "db"
        )
        with closing(stage.bench.open(f"sqlite:///{folder}/db")) as database:
            database.reset(users)
        with closing(sqlite3.connect(folder / "db")) as connection:
            assert connection.execute(f"PRAGMA journal_mode = {journal}").fetchone() == (journal,)
        service, requests = stage.start(f"sqlite:///{folder}/db"), Requests()
        well = [recovered(service, requests, kind) for kind in KINDS]
        with filled(folder), Steady(service.address, RATE, requests, PATIENCE) as load:
            time.sleep(seconds)
            load.is_over.set()
            load.thread.join()
            load.pool.shutdown()
        began = time.monotonic()
        well += [recovered(service, requests, kind) for kind in KINDS]
        after = time.monotonic() - began
        stage.stop()
        with closing(sqlite3.connect(folder / "db")) as connection:
            check = connection.execute("PRAGMA integrity_check").fetchone()
    against = [f"{one.kind}: {one.status} {one.body[:60]!r}" for one in load.seen if not is_right(one)]
    against += [] if all(well) else ["it is not well before or after it"]
    against += [] if check == ("ok",) else [f"the file is corrupt: {check}"]
    if after > 1:
        against.append(f"it recovers after {after:.1f} s")
    if not any(one.kind == "first" for one in load.seen):
        against.append("nothing was proved: no first login")
    figure = f"{told(load.seen)}; longest wait {slowest(load.seen):.1f} s; well after {after:.1f} s"
    how = f"{seconds:g} s at {RATE} requests/s, a small file system"
    return Finding(f"SQLite: its disk is full, {JOURNALS[journal]}", how, figure, against)


@contextmanager
def filled(folder: Path) -> Iterator[None]:
    """No room in that file system, down to its last page."""
    rest = folder / "rest"
    with rest.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 65536)
    yield
    rest.unlink()


def is_right(one: Seen) -> bool:
    """Whether a full disk may have that answer."""
    return one.status in READS[one.kind] and (one.status == 200 or one.is_unavailable())


def recovered(service: Service, requests: Requests, kind: str) -> bool:
    """Whether one of that kind is answered as it should be, at once or within some seconds."""
    load, end = Steady(service.address, 1, requests, PATIENCE), time.monotonic() + 10
    while time.monotonic() < end:
        told, request = requests(0)
        if told == kind:
            load.ask(told, request)
            if load.seen[-1].status == 200:
                return True
    return False
