"""Django changes a user at some moment of a log-in, again and again: what is lost, and who is let in."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Event
from typing import Any

import wire
from cases import SALT, pbkdf2
from clients import ask, login_bytes
from databases import Database, User
from faults import PASSWORD, Finding, Stage
from faults_crash import secret
from services import Orm, Service
from sites import QUICK_HASH

# Long enough that a change may come before, in and after each statement of the log-in.
ITERATIONS = 60_000
HASHES = {number: pbkdf2("sha256", number, SALT, PASSWORD) for number in (ITERATIONS, ITERATIONS - 1)}
OTHER = pbkdf2("sha256", 1000, SALT, "hare")
OLD_KEY = "0" * 40
# Clients that show the old token all the time: look-ups are under way, and shared, when the change comes.
CHECKERS = 2
LOGIN = login_bytes(User("ann", PASSWORD, ""))
ORDERS: dict[str, dict[str, Any]] = {
    "password": {"do": "update_user", "password": OTHER},
    "inactive": {"do": "update_user", "is_active": False},
    "deleted": {"do": "delete_user"},
    "revoked": {"do": "delete_token"},
}


def measure(stage: Stage) -> list[Finding]:
    """On both databases; the moment is chosen by chance over the time that a log-in takes.

    If the user has an old token, others show it meanwhile. What is sent after the change's commit must be
    answered by what that left.
    """
    times = 1000 if stage.long else 100
    wrong: Counter[str] = Counter()
    answers: Counter[str] = Counter()
    for kind in ("sqlite", "postgres"):
        with closing(stage.bench.database(stage.pair, kind)) as database:
            settings = {"PBKDF2_ITERATIONS": ITERATIONS}
            service = stage.start(database.url, settings)
            orm = Orm(stage.pair, database.url, QUICK_HASH)
            chance = random.Random(kind)
            database.reset([User("ann", PASSWORD, HASHES[ITERATIONS])])
            span = max(ask(service, LOGIN).seconds for _ in range(3)) * 1.2
            with ThreadPoolExecutor(1 + CHECKERS) as pool:
                for _ in range(times):
                    one(pool, chance, span, service, database, orm, answers, wrong)
            orm.stop()
            stage.stop()
    against = [f"{what}, {count} times" for what, count in wrong.items()]
    for change in ORDERS:
        if not answers[f"{change}: 200"]:
            against.append(f"nothing was proved: {change} never came too late")
        if change != "revoked" and not answers[f"{change}: 400"]:
            against.append(f"nothing was proved: {change} never came in time")
    told = (
        "; ".join(f"{what} {count} times" for what, count in wrong.most_common())
        or "nothing lost, nobody let in"
    )
    sent = answers["checks sent after the commit"]
    if sent < times:
        against.append(f"nothing was proved: {sent} checks were sent after a commit")
    told += f"; {sent:,} checks of the old token and {2 * times:,} log-ins sent after the commit"
    how = (
        f"{times} moments by chance on each database; password, deactivation, deletion, revocation by the"
        f" ORM; {CHECKERS} clients show the old token meanwhile"
    )
    return [Finding("A change during a log-in counts", how, told, against)]


def one(
    pool: ThreadPoolExecutor,
    chance: random.Random,
    span: float,
    service: Service,
    database: Database,
    orm: Orm,
    answers: Counter[str],
    wrong: Counter[str],
) -> None:
    """A log-in, a change at some moment of it, and what holds afterwards."""
    change = chance.choice(list(ORDERS))
    key = chance.choice((None, OLD_KEY))
    database.reset([User("ann", PASSWORD, HASHES[chance.choice(list(HASHES))], key)])
    over = Event()
    checkers = [pool.submit(checks, service, over) for _ in range(CHECKERS) if key]
    login = pool.submit(ask, service, LOGIN)
    time.sleep(chance.random() * span)
    try:
        try:
            orm.ask(username="ann", **ORDERS[change])
        except AssertionError as error:
            # A token came between its two DELETEs: two Djangos have the same race, and the same end of it.
            assert change == "deleted" and "IntegrityError" in str(error)
            orm.ask(username="ann", **ORDERS[change])
        committed = time.monotonic()
        # Beside the first one, if that is still at work.
        later = ask(service, LOGIN)
    finally:
        over.set()
    answer = login.result().answer
    answers[f"{change}: {answer.status}"] += 1
    tokens = {told for one in (answer, later.answer) if (told := token_of(one))}
    found = rows(change, tokens, database) + opened(change, token_of(answer), service)
    if change != "revoked" and later.status != 400:
        found.append("a later log-in succeeds")
    for sent, status in (one for checker in checkers for one in checker.result()):
        if sent > committed:
            answers["checks sent after the commit"] += 1
            if status != (200 if change == "password" else 401):
                found.append(f"the old token is answered {status} afterwards")
    found += [f"answered {one.status}" for one in (answer, later) if one.status not in (200, 400)]
    wrong.update(f"{change}: {what}" for what in found)


def checks(service: Service, over: Event) -> list[tuple[float, int]]:
    """Shows the old token until all is over, and once more: when each was sent, and its status."""
    found: list[tuple[float, int]] = []
    while not found or not over.wait(0.005):
        sent = time.monotonic()
        found.append((sent, ask(service, secret(OLD_KEY)).status))
    return found


def token_of(answer: wire.Response) -> str | None:
    """The token that a log-in was told."""
    return json.loads(answer.body)["token"] if answer.status == 200 else None


def faults(change: str, token: str | None, service: Service, database: Database) -> list[str]:
    """What contradicts the change, when both it and the log-in are over."""
    found = rows(change, {token}, database) + opened(change, token, service)
    if change != "revoked" and ask(service, LOGIN).status != 400:
        found.append("a later log-in succeeds")
    return found


def opened(change: str, token: str | None, service: Service) -> list[str]:
    """A token that was told opens nothing for who has no right any more."""
    if token and change in ("inactive", "deleted") and ask(service, secret(token)).status != 401:
        return ["the token opens"]
    return []


def rows(change: str, tokens: Set[str | None], database: Database) -> list[str]:
    """What the rows say, where these tokens were told."""
    end = database.snapshot()
    found = []
    user = next(iter(end.users.values()), None)
    if change == "password" and (user is None or user["password"] != OTHER):
        found.append("the new password is lost")
    if change == "inactive" and (user is None or user["is_active"]):
        found.append("the user is active again")
    if change == "deleted" and (end.users or end.tokens):
        found.append("rows are left")
    if change == "revoked" and set(end.tokens) - tokens:
        found.append("a token is there that nobody was told")
    return found
