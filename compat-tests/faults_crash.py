"""PostgreSQL crashes again and again under load: a ledger holds every token that was acknowledged."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing

from cases import SALT, pbkdf2
from clients import ALICE, SECRET, login_bytes
from databases import Snapshot, User
from faults import PASSWORD, Finding, Stage
from postgres import Cluster
from steady import Seen, Steady, slowest, statuses

RATE = 50
TIMEOUT = 1
# What a busy machine may add to a bounded wait.
SLACK = 1.5
USERS = 4000
OUTDATED, CURRENT = (pbkdf2("sha256", number, SALT, PASSWORD) for number in (900, 1000))
CLAIM = "The database crashes again and again: right answers or 503, nothing acknowledged is lost"


class Ledger:
    """What was asked, what is right, and what was acknowledged."""

    def __init__(self) -> None:
        # A first login of every second one renews the hash too.
        hashes = (OUTDATED, CURRENT)
        self.users = [User(f"user{number}", PASSWORD, hashes[number % 2]) for number in range(USERS)]
        self.tokens: dict[str, str] = {}
        # Hashes that were found renewed, and are right.
        self.renewed: set[str] = set()
        self.wrong: Counter[str] = Counter()
        self.random = random.Random(1)

    def request(self, number: int) -> tuple[str, bytes]:
        """In turn: alice's token, a first login, a token made before, a second login, a token of nobody."""
        known = list(self.tokens.items())
        kind = ("token", "first login", "its token", "second login", "no token")[number % 5]
        if kind == "first login":
            user = self.users[number // 5]
            return f"{kind} {user.name}", login_bytes(user)
        if known and kind == "its token":
            return kind, secret(self.random.choice(known)[1])
        if known and kind == "second login":
            name = self.random.choice(known)[0]
            return f"{kind} {name}", login_bytes(User(name, PASSWORD, ""))
        if kind == "no token":
            return kind, secret("f" * 40)
        return "token", SECRET

    def heard(self, seen: Seen) -> None:
        """Judges an answer, and writes down what it acknowledges."""
        kind, _, name = seen.kind.rpartition(" ") if "login" in seen.kind else (seen.kind, "", "")
        if seen.is_unavailable():
            return
        if seen.status != (401 if kind == "no token" else 200):
            self.wrong[f"{kind}: {seen.status}"] += 1
        elif name:
            token = seen.body.decode().split('"')[3]
            if self.tokens.setdefault(name, token) != token:
                self.wrong[f"{kind}: another token"] += 1

    def heard_before_the_end(self, seen: Seen) -> None:
        """The same, where a service may be gone before it answers."""
        if seen.status:
            self.heard(seen)

    def lost(self, end: Snapshot) -> list[str]:
        """What was acknowledged and is not there."""
        there = {end.name_of(row["user_id"]): key for key, row in end.tokens.items()}
        return [name for name, token in self.tokens.items() if there.get(name) != token]

    def spoilt(self, end: Snapshot) -> list[str]:
        """Whose hash is neither the old one nor one that verifies."""
        found = []
        for row in end.users.values():
            encoded = str(row["password"])
            if encoded in (OUTDATED, CURRENT, ALICE.encoded) or encoded in self.renewed:
                continue
            if verifies(encoded):
                self.renewed.add(encoded)
            else:
                found.append(str(row["username"]))
        return found


def verifies(encoded: str) -> bool:
    """Whether a hash is a new one of the users' password."""
    algorithm, number, salt, *_ = [*encoded.split("$"), "", "", ""]
    return (algorithm, number) == ("pbkdf2_sha256", "1000") and encoded == pbkdf2(
        "sha256", 1000, salt, PASSWORD
    )


def secret(key: str) -> bytes:
    """The request with another token."""
    return SECRET.replace((ALICE.token or "").encode(), key.encode())


def recovery(seen: Sequence[Seen], returned: float) -> float:
    """From the return of the database to the first success of each kind, the slower one."""
    firsts = []
    for login in (False, True):
        after = [
            one.ended
            for one in seen
            if one.status == 200 and ("login" in one.kind) == login and one.ended > returned
        ]
        firsts.append(min(after, default=returned + 60) - returned)
    return max(firsts)


def measure(stage: Stage) -> list[Finding]:
    """Crashes by SIGQUIT, which is `pg_ctl stop -m immediate`."""
    times, period = (24, 5.0) if stage.long else (3, 3.0)
    folder = stage.bench.folder / stage.bench.name("cluster")
    folder.mkdir()
    folder.chmod(0o711)
    cluster = Cluster(folder, synchronous_commit="on")
    try:
        return [crashes(stage, cluster, times, period)]
    finally:
        cluster.stop()


def crashes(stage: Stage, cluster: Cluster, times: int, period: float) -> Finding:
    url = cluster.create("site")
    stage.pair.migrate(url)
    ledger, spoilt = Ledger(), []
    with closing(stage.bench.open(url)) as database:
        database.reset([ALICE, *ledger.users])
    service = stage.start(url, {"DATABASE_TIMEOUT": TIMEOUT, "DATABASE_CONNECTIONS": 4})
    returns = []
    with Steady(service.address, RATE, ledger.request) as load:
        load.heard = ledger.heard
        for _ in range(times):
            time.sleep(period / 2)
            cluster.stop(signal.SIGQUIT)
            time.sleep(period / 2)
            cluster.start()
            returns.append(time.monotonic())
            with closing(stage.bench.open(url)) as database:
                spoilt += ledger.spoilt(database.snapshot())
        time.sleep(period / 2)
    with closing(stage.bench.open(url)) as database:
        end = database.snapshot()
    lost = ledger.lost(end)
    spoilt += ledger.spoilt(end)
    recovered = max(recovery(load.seen, returned) for returned in returns)
    worst = slowest(load.seen)
    against = [f"{what}, {count} times" for what, count in ledger.wrong.items()]
    against += [f"the token of {name} was acknowledged and is not there" for name in lost]
    against += [f"the hash of {name} is neither the old one nor right" for name in spoilt]
    if worst > TIMEOUT + SLACK:
        against.append(f"a request waited {worst:.2f} s")
    if recovered > 1:
        against.append(f"the first success came {recovered:.2f} s after the return")
    if not service.is_alive():
        against.append("the process has ended")
    if min(len(ledger.tokens), len(ledger.renewed)) < times or not any(
        one.status == 503 for one in load.seen
    ):
        against.append("nothing was proved: too few log-ins, or no fault")
    figure = (
        f"{statuses(load.seen)}; {len(ledger.tokens)} tokens acknowledged, {len(lost)} lost;"
        f" {len(ledger.renewed)} hashes renewed, {len(spoilt)} spoilt;"
        f" longest wait {worst:.1f} s; first success {recovered:.2f} s after the return"
    )
    how = f"SIGQUIT to PostgreSQL and a start, {times} times in {times * period:.0f} s at {RATE} requests/s"
    return Finding(CLAIM, how, figure, against)
