"""Django changes a user exactly before or after a statement of a log-in, which a proxy holds meanwhile.

On PostgreSQL, where statements pass through a socket. On SQLite a lock holds the first of them that writes.
"""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from cases import SALT, pbkdf2
from clients import Timed, ask, ask_all
from databases import Database, User
from faults import PASSWORD, Finding, Stage
from faults_interleaving import LOGIN, OLD_KEY, ORDERS, OTHER, faults
from hole import Hold, Hole
from services import Orm, Service
from sites import QUICK_HASH

CURRENT, OUTDATED = (pbkdf2("sha256", number, SALT, PASSWORD) for number in (1000, 900))
# As this service and as Django write them.
SHAPES = {
    "look-up of the user": re.compile(r'^SELECT (?!.*authtoken_token).*"username" = '),
    "renewal of the hash": re.compile(r'^UPDATE "?auth_user"? SET "?password'),
    "look-up of the token": re.compile("^SELECT .*authtoken_token"),
    "row of the token": re.compile('^INSERT INTO "?authtoken_token'),
}
USER, HASH, TOKEN, ROW = SHAPES
# By the user's hash and token: the statements of the log-in.
LOGINS: dict[tuple[str, str | None], tuple[str, ...]] = {
    (CURRENT, OLD_KEY): (USER, TOKEN),
    (OUTDATED, OLD_KEY): (USER, HASH, TOKEN),
    (CURRENT, None): (USER, TOKEN, ROW),
    (OUTDATED, None): (USER, HASH, TOKEN, ROW),
}
# For who waits longer something is wrong, or Django has locked the row.
PATIENCE = 10.0
# In which a log-in comes to its first statement that writes, and waits there.
A_WHILE = 0.3
# The orders for a connection that has the lock, as the ORM would wait for it too.
SQL = {
    "password": [f"UPDATE auth_user SET password = '{OTHER}'"],
    "inactive": ["UPDATE auth_user SET is_active = 0"],
    "deleted": ["DELETE FROM authtoken_token", "DELETE FROM auth_user"],
    "revoked": ["DELETE FROM authtoken_token"],
}


@dataclass(frozen=True)
class Point:
    """Where a change comes: what is held, of whose log-in."""

    change: str
    encoded: str
    key: str | None
    statement: str
    after: bool

    @property
    def is_late(self) -> bool:
        """Whether the log-in has asked its last question when the change comes."""
        return self.after and self.statement == LOGINS[self.encoded, self.key][-1]

    @property
    def is_first_write(self) -> bool:
        """Whether it is held at the first statement that changes a row."""
        writes = [one for one in LOGINS[self.encoded, self.key] if one in (HASH, ROW)]
        return writes[:1] == [self.statement]

    def __str__(self) -> str:
        return f"{self.change} {'after' if self.after else 'before'} the {self.statement}"


def points() -> Iterator[Point]:
    """All there are."""
    for (encoded, key), statements in LOGINS.items():
        for statement in statements:
            for after in (False, True):
                for change in ORDERS:
                    yield Point(change, encoded, key, statement, after)


def measure(stage: Stage) -> list[Finding]:
    """One log-in after the other."""
    return [on_postgres(stage), on_sqlite(stage)]


def on_sqlite(stage: Stage) -> Finding:
    """Who has begun to write keeps others from it, not from reading."""
    against = []
    there = [point for point in points() if not point.after and point.is_first_write]
    with closing(stage.bench.database(stage.pair, "sqlite")) as database, ThreadPoolExecutor(1) as pool:
        service = stage.start(database.url)
        path = database.url.removeprefix("sqlite:///")
        # A worker's first request takes long.
        database.reset([User("ann", PASSWORD, CURRENT)])
        ask_all(service, [LOGIN] * 4)
        for point in there:
            database.reset([User("ann", PASSWORD, point.encoded, point.key)])
            with closing(sqlite3.connect(path, isolation_level=None, timeout=PATIENCE)) as holder:
                holder.execute("BEGIN IMMEDIATE")
                login = pool.submit(ask, service, LOGIN)
                time.sleep(A_WHILE)
                if login.done():
                    against.append(f"{point}: nothing was proved: answered {login.result().status} before it")
                for statement in SQL[point.change]:
                    holder.execute(statement)
                holder.execute("COMMIT")
            against += [f"{point}: {what}" for what in judged(point, login.result(), service, database)]
        stage.stop()
    how = f"SQLite; the first write of three kinds of log-in waits for a lock: {len(there)} points"
    return Finding("A change before the first write of a log-in counts", how, told(against), against)


def told(against: list[str]) -> str:
    """What went wrong at all points together, by the change."""
    wrong = Counter(f"{text.split(' ')[0]}: {text.split(': ', 1)[1]}" for text in against)
    found = "; ".join(f"{what} {count} times" for what, count in wrong.most_common())
    return found or "nothing lost, nobody let in"


def on_postgres(stage: Stage) -> Finding:
    """Each statement of each kind of log-in."""
    against: list[str] = []
    there = list(points())
    with (
        closing(stage.bench.database(stage.pair, "postgres")) as database,
        Hole(("127.0.0.1", stage.bench.cluster.port)) as hole,
        ThreadPoolExecutor(2) as pool,
    ):
        url = database.url.replace(f":{stage.bench.cluster.port}/", f":{hole.port}/")
        service = stage.start(url, {"DATABASE_TIMEOUT": 30})
        orm = Orm(stage.pair, database.url, QUICK_HASH)
        for point in there:
            against += [f"{point}: {what}" for what in one(point, pool, hole, service, database, orm)]
        orm.stop()
        stage.stop()
    how = (
        f"PostgreSQL; each statement of four kinds of log-in held by a proxy, before it and with its answer:"
        f" {len(there)} points"
    )
    return Finding("A change at each point of a log-in counts", how, told(against), against)


def one(
    point: Point, pool: ThreadPoolExecutor, hole: Hole, service: Service, database: Database, orm: Orm
) -> list[str]:
    """A log-in that is held, a change meanwhile, and what contradicts it afterwards."""
    database.reset([User("ann", PASSWORD, point.encoded, point.key)])
    hole.hold = hold = Hold(SHAPES[point.statement], point.after)
    login = pool.submit(ask, service, LOGIN)
    if not hold.reached.wait(PATIENCE):
        hole.hold = None
        hold.over.set()
        return [f"nothing was proved: answered {login.result().status} without that statement"]
    found = []
    change: Future[Any] = pool.submit(orm.ask, username="ann", **ORDERS[point.change])
    try:
        change.result(PATIENCE)
    except TimeoutError:
        found.append("nothing was proved: the change waits for the log-in")
    finally:
        hold.over.set()
    answer: Timed = login.result()
    change.result()
    return found + judged(point, answer, service, database)


def judged(point: Point, answer: Timed, service: Service, database: Database) -> list[str]:
    """What the change asks for: who has changed is refused, unless the last word was said before."""
    right = 200 if point.change == "revoked" or point.is_late else 400
    found = [] if answer.status == right else [f"answered {answer.status}"]
    token = json.loads(answer.answer.body)["token"] if answer.status == 200 else None
    if token and not point.is_late and point.change != "password" and token not in database.snapshot().tokens:
        found.append("a token is told that is not there")
    if token == OLD_KEY and point.change == "revoked" and not point.is_late:
        found.append("the old token is told")
    return found + faults(point.change, token, service, database)
