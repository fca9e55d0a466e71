"""A way to PostgreSQL that can turn into a black hole: bytes vanish, and nobody is told."""

from __future__ import annotations

import contextlib
import socket
from threading import Thread


class Hole:
    """A TCP proxy. Shut, it swallows what comes and keeps everybody waiting.

    Opened again it forwards for new connections only: the old ones stay dead, as behind a router
    that has lost its table.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self.listener.getsockname()[1]
        self.is_shut = False
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

    def __enter__(self) -> Hole:
        return self

    def __exit__(self, *_: object) -> None:
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
                server = socket.create_connection(self.target)
                self.sockets.append(server)
                for source, sink in ((client, server), (server, client)):
                    Thread(target=self._forward, args=(source, sink), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if source not in self.lost:
                    sink.sendall(data)
            if source not in self.lost:
                sink.shutdown(socket.SHUT_WR)
