"""A way to PostgreSQL that can be broken in every way in which a network breaks."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import time
from dataclasses import dataclass
from threading import Thread


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


class Hole:
    """A TCP proxy. Shut, it swallows what comes and keeps everybody waiting.

    Opened again it forwards for new connections only: the old ones stay dead, as behind a router
    that has lost its table. With a `fault` it forwards badly.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self.listener.getsockname()[1]
        self.is_shut = False
        self.is_over = False
        self.fault: Fault | None = None
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
            while not self.is_over and self._pass_on(client, server):
                pass
        # Those that are lost hang until the end.
        for one in (client, server):
            if one not in self.lost:
                one.close()

    def _pass_on(self, client: socket.socket, server: socket.socket) -> bool:
        """What has come within a moment; false ends the connection."""
        for source in select.select([client, server], [], [], 0.2)[0]:
            data = source.recv(65536)
            if not data:
                return False
            if source in self.lost:
                continue
            if source is client:
                server.sendall(data)
            elif not self._answer(client, data):
                return False
        return True

    def _answer(self, client: socket.socket, data: bytes) -> bool:
        """Hands an answer on, as far as the fault lets it; false ends the connection."""
        fault = self.fault or Fault()
        time.sleep(fault.latency)
        if fault.drip:
            for byte in data:
                client.sendall(bytes([byte]))
                time.sleep(fault.drip)
            return True
        client.sendall(data[: fault.cut])
        if fault.cut is None:
            return True
        if fault.end == "half":
            client.shutdown(socket.SHUT_WR)
            return True
        if fault.end == "reset":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False
