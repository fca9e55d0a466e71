"""A raw-socket HTTP client: what goes out and what comes in are bytes, nothing is tidied."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass

TIMEOUT = 60.0
STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([0-9]{3}) ?([^\r\n]*)\Z")


class WireError(Exception):
    """The answer is not HTTP, or not complete."""


@dataclass(frozen=True)
class Response:
    """One answer as it stood on the wire; the framing is taken off the body."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    surplus: bytes = b""

    def header(self, name: str) -> str | None:
        """The value of the first header of that name, whatever its case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


class Connection:
    """One client connection; requests are sent on it as raw bytes."""

    def __init__(self, address: tuple[str, int], timeout: float = TIMEOUT, source: str = "") -> None:
        own = (source, 0) if source else None
        self.socket = socket.create_connection(address, timeout=timeout, source_address=own)
        self.buffer = b""

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Sends; a server that has already answered and hung up is no error here."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return

    def half_close(self) -> None:
        """Says that nothing more will be sent."""
        self.socket.shutdown(socket.SHUT_WR)

    def receive(self, *, head: bool = False, to_the_end: bool = False) -> Response:
        """Reads one final answer (interim 1xx ones are skipped)."""
        while True:
            status, reason, headers = self._read_head()
            if status >= 200:
                break
        body = b"" if head or status in (204, 304) else self._read_body(headers)
        surplus = b""
        if to_the_end:
            surplus = self.receive_all()
        return Response(status, reason, headers, body, surplus)

    def _fill(self) -> bool:
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            data = b""
        self.buffer += data
        return bool(data)

    def _take(self, count: int) -> bytes:
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def _read_until(self, mark: bytes) -> bytes:
        while mark not in self.buffer:
            if not self._fill():
                raise WireError(f"connection closed; so far: {self.buffer[:200]!r}")
        return self._take(self.buffer.index(mark) + len(mark))[: -len(mark)]

    def _read_exactly(self, count: int) -> bytes:
        while len(self.buffer) < count:
            if not self._fill():
                raise WireError(f"body cut off after {len(self.buffer)} of {count} bytes")
        return self._take(count)

    def receive_all(self) -> bytes:
        """Every byte until the server closes."""
        while self._fill():
            pass
        return self._take(len(self.buffer))

    def _read_head(self) -> tuple[int, str, tuple[tuple[str, str], ...]]:
        first, *lines = self._read_until(b"\r\n\r\n").split(b"\r\n")
        match = STATUS_LINE.match(first)
        if match is None:
            raise WireError(f"not a status line: {first!r}")
        headers = []
        for line in lines:
            name, colon, value = line.partition(b":")
            if not colon:
                raise WireError(f"not a header: {line!r}")
            headers.append((name.decode("latin-1"), value.strip(b" \t").decode("latin-1")))
        return int(match[1]), match[2].decode("latin-1"), tuple(headers)

    def _read_body(self, headers: tuple[tuple[str, str], ...]) -> bytes:
        named = {name.lower(): value for name, value in headers}
        if named.get("transfer-encoding", "").lower() == "chunked":
            return self._read_chunks()
        if "content-length" in named:
            return self._read_exactly(int(named["content-length"]))
        return self.receive_all()

    def _read_chunks(self) -> bytes:
        body = b""
        while size := int(self._read_until(b"\r\n").split(b";")[0], 16):
            body += self._read_exactly(size)
            self._read_exactly(2)
        while self._read_until(b"\r\n"):
            pass
        return body


def exchange(
    address: tuple[str, int],
    request: bytes,
    *,
    half_close: bool = False,
    source: str = "",
    timeout: float = TIMEOUT,
) -> Response:
    """Sends one request, from that address of ours, and reads its answer.

    With `Connection: close` in the request the socket is read to its end, so that a byte too many
    is seen (`surplus`).
    """
    with Connection(address, timeout, source) as connection:
        connection.send(request)
        if half_close:
            connection.half_close()
        head = request.split(b"\r\n\r\n", 1)[0].lower()
        return connection.receive(
            head=request.startswith(b"HEAD "), to_the_end=b"\r\nconnection: close" in head
        )


def simple(
    address: tuple[str, int], method: str, path: str, *, body: bytes = b"", **headers: str
) -> Response:
    """A plain request for tests that are not about bytes; `Content_Type="…"` names a header."""
    lines = [f"{method} {path} HTTP/1.1", "Host: testserver", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return exchange(address, "\r\n".join([*lines, "", ""]).encode() + body)
