"""How a service ends under load: SIGTERM with clients that are stuck, SIGKILL again and again."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing

import wire
from cases import SALT, pbkdf2
from clients import ALICE, SECRET, login_bytes
from databases import Snapshot, SqliteDatabase, User
from faults import PASSWORD, Finding, Stage
from faults_crash import Ledger
from services import Service
from steady import Seen, Steady

GRACE = 5
# What the end of the process may add to the grace: until it is seen, and in the suite what else runs.
SLACK_LONG, SLACK = 0.3, 1.0
# From the start of the process to the first 200.
RESTART = 1.0
SLOW = User("slow", PASSWORD, pbkdf2("sha256", 9_000_000, SALT, PASSWORD), "5" * 40)


def measure(stage: Stage) -> list[Finding]:
    """Both ways to end."""
    return [terminated(stage), killed(stage)]


def half_heads(service: Service) -> socket.socket:
    return begun(service, SECRET[:-10])


def half_bodies(service: Service) -> socket.socket:
    return begun(service, login_bytes(ALICE)[:-5])


def deaf(service: Service) -> socket.socket:
    """Asks more than fits into the sockets, and takes no answer."""
    return begun(service, SECRET * 2000)


def begun(service: Service, part: bytes) -> socket.socket:
    """A client that sends this and then does nothing."""
    connection = socket.create_connection(service.address, timeout=5)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        connection.send(part)
    return connection


STUCK: tuple[Callable[[Service], socket.socket], ...] = (half_heads, half_bodies, deaf)


def status_of(connection: wire.Connection) -> int:
    """What the answer says; 0 is none."""
    try:
        return connection.receive().status
    except (OSError, wire.WireError):
        return 0


def terminated(stage: Stage) -> Finding:
    """SIGTERM, while some are answered and others are stuck."""
    number, rate = (300, 50) if stage.long else (30, 50)
    slack = SLACK_LONG if stage.long else SLACK
    url = stage.bench.migrated_url(stage.pair, "sqlite")
    with closing(stage.bench.open(url)) as database:
        database.reset([ALICE, SLOW])
    service = stage.start(url, {"PBKDF2_ITERATIONS": 9_000_000, "GRACEFUL_TIMEOUT": GRACE})
    with ExitStack() as clients:
        for turn in range(number):
            clients.enter_context(closing(STUCK[turn % len(STUCK)](service)))
        with (
            Steady(service.address, rate, lambda _: ("token", SECRET), patience=20) as load,
            wire.Connection(service.address, 20) as login,
        ):
            time.sleep(1.5)
            login.send(login_bytes(SLOW))
            began = time.monotonic()
            service.process.child.send_signal(signal.SIGTERM)
            with contextlib.suppress(Exception):
                service.process.child.wait(GRACE + 30)
            seconds = time.monotonic() - began
            answered = [status_of(login)]
        code = service.stop()
    # Whether accepted or still in the kernel's queue.
    answered += [one.status for one in load.seen if one.sent < began]
    against = [f"sent before the signal: {status}" for status in answered if status != 200]
    if seconds > GRACE + slack:
        against.append(f"it ended after {seconds:.2f} s")
    if code != 0:
        against.append(f"its exit code is {code}")
    if len(answered) < rate:
        against.append("nothing was proved: too few requests")
    figure = (
        f"{answered.count(200)} of {len(answered)} answered, ended after {seconds:.2f} s, exit code {code}"
    )
    how = (
        f"{rate} requests/s, {number} clients stuck in head, body or answer;"
        f" a grace of {GRACE} s, and {slack} s until the end is seen"
    )
    claim = "SIGTERM under load: what is in flight is answered, and the end comes in time"
    return Finding(claim, how, figure, against)


def killed(stage: Stage) -> Finding:
    """SIGKILL during log-ins; what is half done shows at the next start."""
    times = 100 if stage.long else 6
    against: list[str] = []
    restarts: list[float] = []
    acknowledged = renewed = 0
    for kind in ("sqlite", "postgres"):
        url = stage.bench.migrated_url(stage.pair, kind)
        ledger = Ledger()
        with closing(stage.bench.open(url)) as database:
            database.reset([ALICE, *ledger.users])
            asked = 0
            for _ in range(times):
                began = time.monotonic()
                service = stage.start(url, {"DATABASE_TIMEOUT": 5})
                answer = first_success(service)
                restarts.append(answer.ended - began)
                offset = asked

                def request(number: int, offset: int = offset, ledger: Ledger = ledger) -> tuple[str, bytes]:
                    user = ledger.users[(offset + number) % len(ledger.users)]
                    return f"first login {user.name}", login_bytes(user)

                with Steady(service.address, 200, request, patience=5) as load:
                    load.heard = ledger.heard_before_the_end
                    time.sleep(0.3)
                    # The group: gunicorn has workers.
                    os.killpg(service.process.child.pid, signal.SIGKILL)
                    service.process.child.wait()
                asked += len(load.seen)
                snapshot = database.snapshot()
                against += half_states(snapshot)
                against += [f"{kind}: the hash of {name} is spoilt" for name in ledger.spoilt(snapshot)]
                against += [f"{kind}: the token of {name} is lost" for name in ledger.lost(snapshot)]
                stage.stop()
            against += [f"{kind}: {what}" for what in ledger.wrong]
            if isinstance(database, SqliteDatabase):
                check = database.connection.execute("PRAGMA integrity_check").fetchone()
                against += [] if check == ("ok",) else [f"the file is corrupt: {check}"]
            acknowledged += len(ledger.tokens)
            renewed += len(ledger.renewed)
    if max(restarts) > RESTART:
        against.append(f"a restart served after {max(restarts):.2f} s")
    if min(acknowledged, renewed) < times:
        against.append("nothing was proved: too few log-ins")
    ordered = sorted(restarts)
    figure = (
        f"{acknowledged} tokens acknowledged, {sum('lost' in text for text in against)} lost;"
        f" {renewed} hashes renewed, {sum('spoilt' in text for text in against)} spoilt; serves"
        f" {ordered[len(ordered) // 2]:.2f} s after a start, {ordered[-1]:.2f} s at most"
    )
    how = f"{2 * times} times during 200 log-ins/s, on SQLite and PostgreSQL; all rows looked at after each"
    return Finding("SIGKILL: no half state, nothing acknowledged is lost", how, figure, against)


def first_success(service: Service) -> Seen:
    """Asks until the token is good."""
    load = Steady(service.address, 1, lambda _: ("token", SECRET), patience=5)
    for _ in range(1000):
        load.ask("token", SECRET)
        if load.seen[-1].status == 200:
            break
    return load.seen[-1]


def half_states(found: Snapshot) -> list[str]:
    """Rows that no whole login leaves."""
    owners = Counter(str(row["user_id"]) for row in found.tokens.values())
    against = [f"a user has {count} tokens" for count in owners.values() if count > 1]
    against += [f"a token of nobody: {owner}" for owner in owners if owner not in found.users]
    odd = [key for key in found.tokens if len(key) != 40 or set(key) - set("0123456789abcdef")]
    return against + ["a key is cut short"] * len(odd)
