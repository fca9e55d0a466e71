"""A long time of ordinary work: memory and descriptors stay as they are, and no request fails."""

from __future__ import annotations

import os
import re
import socket
import struct
import subprocess
import threading
from collections import Counter
from contextlib import closing
from pathlib import Path

import wire
from clients import ALICE, SECRET, login_bytes
from faults import QUIET, Finding, Stage
from services import AS_ROOT, Service

CLIENTS = 32
# Sent together on one connection, as a proxy may.
TOGETHER = 50
# What allocators and tables of connections may still grow by after the first tenth.
ROOM_MB = 8
STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9]) ")


def sizes(service: Service) -> tuple[float, int]:
    """Megabytes in memory and open descriptors, of the service and its workers."""
    pid = service.process.child.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    memory, descriptors = 0, 0
    for one in (pid, *map(int, children)):
        memory += int(Path(f"/proc/{one}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
        # Of a process that leaves no core, only root sees them.
        listed = subprocess.run([*AS_ROOT, "ls", f"/proc/{one}/fd"], check=True, capture_output=True)
        descriptors += len(listed.stdout.split())
    return memory / 1e6, descriptors


class Soak:
    """Clients that ask so often in all."""

    def __init__(self, service: Service, checks: int, logins: int, at_once: int) -> None:
        self.service, self.at_once = service, at_once
        self.answers, self.sent = Counter[int](), Counter[str]()
        self.lock = threading.Lock()
        # How long the answers to what is sent together are.
        self.length = 0
        each = -(-checks // (CLIENTS * TOGETHER))
        every = max(1, each * CLIENTS // logins)
        self.threads = [threading.Thread(target=self.run, args=(each, every)) for _ in range(CLIENTS)]

    def all(self) -> Soak:
        """Does it."""
        for thread in self.threads:
            thread.start()
        for thread in self.threads:
            thread.join()
        return self

    def run(self, rounds: int, every: int) -> None:
        """One client: a connection for a while, with a login now and then."""
        for turn in range(rounds):
            try:
                if turn % every == 0:
                    found = [
                        wire.exchange(self.service.address, login_bytes(ALICE, "Connection: close")).status
                    ]
                    self.count("login", found)
                self.count("check", self.checks())
            except (OSError, wire.WireError):
                self.count("failure", [0])

    def checks(self) -> list[int]:
        """Token checks on one connection, sent at once; or on one each, where that is all a server takes."""
        statuses: list[int] = []
        while len(statuses) < TOGETHER:
            with wire.Connection(self.service.address) as connection:
                connection.send(SECRET * self.at_once)
                if self.length:
                    found = STATUS.findall(wait_for(connection.socket, self.length))
                    if len(found) != self.at_once:
                        raise wire.WireError(f"{len(found)} answers to {self.at_once}")
                    statuses += map(int, found)
                else:
                    answers = [connection.receive() for _ in range(self.at_once)]
                    statuses += [answer.status for answer in answers]
                    self.length = sum(map(length, answers))
        return statuses

    def count(self, kind: str, found: list[int]) -> None:
        """Takes note of what was sent, and of the statuses; 0 is none."""
        with self.lock:
            self.sent[kind] += len(found)
            self.answers.update(found)


def length(answer: wire.Response) -> int:
    """In bytes, as it stood on the wire."""
    lines = [
        f"HTTP/1.1 {answer.status} {answer.reason}",
        *(f"{name}: {value}" for name, value in answer.headers),
    ]
    return len("\r\n".join([*lines, "", ""])) + len(answer.body)


def wait_for(connection: socket.socket, size: int) -> bytes:
    """So many bytes by one call, as they are millions of answers; or what has come within ten seconds."""
    connection.settimeout(None)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 10, 0))
    return connection.recv(size, socket.MSG_WAITALL)


def measure(stage: Stage) -> list[Finding]:
    """A tenth to warm up, then the rest."""
    checks, logins = (50_000, 400) if stage.is_ours else (5_000, 40)
    if stage.long and stage.is_ours:
        checks, logins = 10_000_000, 2000
    url = stage.bench.migrated_url(stage.pair, "postgres")
    with closing(stage.bench.open(url)) as database:
        database.reset([ALICE])
    service = stage.start(url, QUIET)
    at_once = TOGETHER if stage.is_ours else 1
    first = Soak(service, checks // 10, logins // 10, at_once).all()
    before = sizes(service)
    rest = Soak(service, checks, logins, at_once).all()
    after = sizes(service)
    answers, sent = first.answers + rest.answers, first.sent + rest.sent
    against = [f"{count} × {status}" for status, count in answers.items() if status != 200]
    if sent["check"] < checks or sent["login"] < logins:
        against.append(f"nothing was proved: {sent['check']:,} checks, {sent['login']:,} log-ins")
    if after[0] > before[0] + ROOM_MB:
        against.append(f"memory grew from {before[0]:.1f} to {after[0]:.1f} MB")
    if after[1] > before[1] + 2:
        against.append(f"descriptors grew from {before[1]} to {after[1]}")
    told = ", ".join(f"{count:,} × {status or 'none'}" for status, count in sorted(answers.items()))
    figure = (
        f"{sent['check']:,} checks, {sent['login']:,} log-ins: {told};"
        f" {before[0]:.1f} MB, then {after[0]:.1f}; {before[1]} descriptors, then {after[1]}"
    )
    how = (
        f"{CLIENTS} clients; at least {checks:,} token checks and {logins:,} log-ins, a tenth as many before"
        " the first look; for Django 5,000 and 40"
    )
    return [Finding("A soak leaves memory and descriptors flat", how, figure, against)]
