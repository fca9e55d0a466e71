"""Clients that take places and do nothing with them, more of them than there are descriptors, and HTTP/2."""

from __future__ import annotations

import contextlib
import random
import resource
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from clients import ALICE, SECRET, login_bytes
from faults import QUIET, Finding, Stage
from faults_quadratic import TICK, ticks
from processes import allow_descriptors
from services import Service
from steady import Steady, percentile, statuses

RATE = 50
TURNS = 3
# Nobody is let go during the test.
SETTINGS = {"HEADER_TIMEOUT": 300, "BODY_TIMEOUT": 300, **QUIET}
DESCRIPTORS = 64
UPGRADE = SECRET[:-2] + b"Connection: close, Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def measure(stage: Stage) -> list[Finding]:
    """Three kinds of them, each against a service of its own."""
    url = stage.bench.migrated_url(stage.pair, "sqlite")
    with closing(stage.bench.open(url)) as database:
        database.reset([ALICE])
    found = []
    for claim in (slow, many, http2):
        found.append(claim(stage, stage.start(url, SETTINGS)))
        stage.stop()
    return found


def good(service: Service, seconds: float) -> Steady:
    """Token checks at the rate, for so long."""
    with Steady(service.address, RATE, lambda _: ("token", SECRET), patience=10) as load:
        time.sleep(seconds)
    return load


@contextmanager
def slow_clients(service: Service, number: int) -> Iterator[list[tuple[socket.socket, int]]]:
    """A byte now and then: of a head, of a body, or taken of the answers to many requests."""
    allow_descriptors()
    body = login_bytes(ALICE).replace(b"Content-Length: ", b"Content-Length: 1")
    clients = []
    for turn in range(number):
        connection = socket.socket()
        connection.settimeout(10)
        if turn % 3 == 2:
            # So that hardly more than it takes finds room in the kernel, on either side.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
        connection.connect(service.address)
        connection.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            connection.send((SECRET[:-4], body, SECRET * 150)[turn % 3])
        clients.append((connection, turn % 3))
    at_rest(service)
    over = threading.Event()

    def drip() -> None:
        while not over.wait(0.02):
            connection, kind = random.choice(clients)
            with contextlib.suppress(OSError):
                if kind == 2:
                    connection.recv(1)
                else:
                    connection.send((b"\r\nX-Y: z", b" ")[kind])

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        yield clients
    finally:
        over.set()
        thread.join()
        for connection, _ in clients:
            connection.close()


def is_waiting(connection: socket.socket) -> bool:
    """Whether nothing was said to it, neither an answer nor an end."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return not poll.poll(0)


def at_rest(service: Service) -> None:
    """Waits until it has nothing to do: those who do not take their answers are all stuck."""
    end, before = time.monotonic() + 60, -10
    while (now := ticks(service)) > before + 1:
        assert time.monotonic() < end, "it has no rest"
        before = now
        time.sleep(0.5)


def slow(stage: Stage, service: Service) -> Finding:
    """2,000 of them, and good requests meanwhile."""
    number, seconds, turns = 2000, 20.0 if stage.long else 3.0, []
    with slow_clients(service, number) as clients:
        for _ in range(TURNS):
            turns.append(good(service, seconds).seen)
        sending = [connection for connection, kind in clients if kind != 2]
        kept = sum(map(is_waiting, sending))
    seen = [one for turn in turns for one in turn]
    slowest = [percentile((one.seconds for one in turn), 0.99) * 1000 for turn in turns]
    # The clients are of this process and wait for each other: one turn may be disturbed.
    p99 = sorted(slowest)[TURNS // 2]
    against = [f"{one.status} after {one.seconds:.1f} s" for one in seen if one.status != 200]
    if kept < len(sending):
        against.append(f"nothing was proved: {len(sending) - kept} were let go")
    if p99 > 100:
        against.append(f"p99 {p99:.0f} ms, of the turns {', '.join(f'{one:.0f}' for one in slowest)} ms")
    figure = f"{statuses(seen)}, p99 {p99:.0f} ms" if p99 < 10_000 else f"{statuses(seen)}"
    how = f"{number:,} connections that drip; {RATE} good requests/s; the median of {TURNS} turns"
    return Finding("Slow clients do not keep others waiting: p99 at most 100 ms", how, figure, against)


def many(stage: Stage, service: Service) -> Finding:
    """More clients than descriptors: no spinning, and well when they have gone."""
    del stage
    pid = service.process.child.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for one in (pid, *map(int, children)):
        resource.prlimit(one, resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
    clients = [socket.create_connection(service.address, timeout=10) for _ in range(2 * DESCRIPTORS)]
    time.sleep(0.3)
    before, began = ticks(service), time.monotonic()
    time.sleep(1.5)
    share = (ticks(service) - before) / TICK / (time.monotonic() - began)
    for client in clients:
        client.close()
    load = good(service, 1.0)
    wrong = [one for one in load.seen if one.status != 200]
    recovered = max((one.ended for one in wrong), default=load.seen[0].ended) - load.seen[0].began
    against = [f"{one.status} {one.body[:50]!r}" for one in wrong if one.began > load.seen[0].began + 1]
    if share > 0.1:
        against.append(f"it uses {share:.0%} of a core")
    figure = f"{share:.1%} of a core while it cannot accept; well after {recovered:.2f} s"
    how = f"{2 * DESCRIPTORS} silent clients on {DESCRIPTORS} descriptors, then they leave"
    return Finding("Out of descriptors: no spinning, and well again at once", how, figure, against)


def http2(stage: Stage, service: Service) -> Finding:
    """It is not spoken, so that its resets, its CONTINUATIONs and its streams are nothing but bytes."""
    del stage
    streams = b"".join(
        frame(1, 5, 2 * number + 1, b"\x82\x86\x84\x41\x01t") + frame(3, 0, 2 * number + 1, b"\0\0\0\x08")
        for number in range(10_000)
    )
    attacks = {
        "10,000 streams that are reset": PREFACE + frame(4, 0, 0) + streams,
        "10,000 CONTINUATION frames": PREFACE
        + frame(4, 0, 0)
        + frame(1, 0, 1)
        + frame(9, 0, 1, b"\0" * 100) * 10_000,
        "an upgrade": UPGRADE,
    }
    against = []
    before = ticks(service)
    for name, attack in attacks.items():
        with socket.create_connection(service.address, timeout=5) as connection:
            said = b""
            with contextlib.suppress(OSError):
                connection.sendall(attack)
            with contextlib.suppress(OSError):
                while data := connection.recv(65536):
                    said += data
        if said.startswith(b"HTTP/1.1 101") or (said and not said.startswith(b"HTTP/1.1")):
            against.append(f"{name}: {said[:40]!r}")
    spent = (ticks(service) - before) * 1000 / TICK
    load = good(service, 0.5)
    against += [f"afterwards {one.status}" for one in load.seen if one.status != 200]
    if spent > 500:
        against.append(f"they cost {spent:.0f} ms")
    figure = f"refused, {spent:.0f} ms of a core in all"
    how = f"{', '.join(attacks)}"
    return Finding("HTTP/2 is not spoken, so that its floods are none", how, figure, against)


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A frame of RFC 9113."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload
