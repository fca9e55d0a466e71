"""A way to PostgreSQL that can be broken in every way in which a network breaks."""

from __future__ import annotations

import contextlib
import re
import select
import socket
import struct
import time
from collections import Counter
from dataclasses import dataclass, field
from threading import Event, Thread

from statements import Frontend


@dataclass(frozen=True)
class Fault:
    """What happens to the server's answers, each of them, while it lasts."""

    # Seconds before each answer.
    latency: float = 0.0
    # Seconds between two bytes.
    drip: float = 0.0
    # Bytes of an answer that come through before the connection ends.
    cut: int | None = None
    # How it ends: `reset`, `close`, or `half`, where the server only stops speaking.
    end: str = "close"


@dataclass(frozen=True)
class Hold:
    """The next statement of that shape waits, before it reaches the server or with its answer."""

    shape: re.Pattern[str]
    after: bool
    # That it waits, and that it may go on.
    reached: Event = field(default_factory=Event)
    over: Event = field(default_factory=Event)


class Hole:
    """A TCP proxy. Shut, it swallows what comes and keeps everybody waiting.

    Opened again it forwards for new connections only: the old ones stay dead, as behind a router
    that has lost its table. With a `fault` it forwards badly, with a `hold` one statement comes late.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self.listener.getsockname()[1]
        self.is_shut = False
        self.is_over = False
        self.fault: Fault | None = None
        self.hold: Hold | None = None
        # What was really done to whom, to prove that there was a fault.
        self.done: Counter[str] = Counter()
        self.sockets: list[socket.socket] = []
        self.lost: set[socket.socket] = set()
        Thread(target=self._accept, daemon=True).start()

    def shut(self) -> None:
        """From now on nothing comes through, neither from those who are there nor from others."""
        self.is_shut = True
        self.lost.update(self.sockets)

    def open(self) -> None:
        """Lets those through who come from now on."""
        self.is_shut = False

    def forget(self) -> None:
        """Closes those that are lost."""
        for one in self.lost:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Hole:
        return self

    def __exit__(self, *_: object) -> None:
        self.is_over = True
        for one in [self.listener, *self.sockets]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                self.sockets.append(client)
                if self.is_shut:
                    self.lost.add(client)
                    continue
                try:
                    server = socket.create_connection(self.target)
                except OSError:
                    client.close()
                    continue
                for one in (client, server):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.sockets.append(server)
                Thread(target=self._carry, args=(client, server), daemon=True).start()

    def _carry(self, client: socket.socket, server: socket.socket) -> None:
        """One thread for both ways: a socket that somebody else reads from could not be reset."""
        # A socket that was closed by the end of the test is no error.
        with contextlib.suppress(OSError, ValueError):
            frontend = Frontend()
            while not self.is_over and self._pass_on(client, server, frontend):
                pass
        # Those that are lost hang until the end.
        for one in (client, server):
            if one not in self.lost:
                one.close()

    def _pass_on(self, client: socket.socket, server: socket.socket, frontend: Frontend) -> bool:
        """What has come within a moment; false ends the connection."""
        for source in select.select([client, server], [], [], 0.2)[0]:
            data = source.recv(65536)
            if not data:
                return False
            if source in self.lost:
                self.done["lost"] += 1
                continue
            if source is client:
                self._ask(server, data, frontend.hear(data))
            elif not self._answer(client, data):
                return False
        return True

    def _ask(self, server: socket.socket, data: bytes, statements: list[str]) -> None:
        """Hands on what runs these statements, unless one is to be held."""
        hold = self.hold
        if hold is None or not any(hold.shape.search(text) for text in statements):
            server.sendall(data)
            return
        self.hold = None
        if hold.after:
            server.sendall(data)
            # Outside of a transaction it is committed when the answer comes.
            select.select([server], [], [])
        hold.reached.set()
        hold.over.wait()
        if not hold.after:
            server.sendall(data)

    def _answer(self, client: socket.socket, data: bytes) -> bool:
        """Hands an answer on, as far as the fault lets it; false ends the connection."""
        fault = self.fault or Fault()
        if fault.latency:
            self.done["late"] += 1
            time.sleep(fault.latency)
        if fault.drip:
            self.done["dripping"] += 1
            for byte in data:
                client.sendall(bytes([byte]))
                time.sleep(fault.drip)
            return True
        client.sendall(data[: fault.cut])
        if fault.cut is None:
            return True
        self.done[fault.end] += 1
        if fault.end == "half":
            client.shutdown(socket.SHUT_WR)
            return True
        if fault.end == "reset":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False
