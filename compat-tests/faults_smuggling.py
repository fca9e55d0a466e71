"""Requests that two servers may read in two ways: the verdicts of this service, gunicorn and nginx.

Behind each stands a second request. What must never be is an answer to bytes that another server takes for a
part of the first one: so whatever gunicorn or nginx refuses is refused here, and its connection is closed.
"""

from __future__ import annotations

import contextlib
import re
import select
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from clients import ALICE, KEY
from faults import Finding, Stage
from processes import Process, free_port
from services import program

Address = tuple[str, int]
BEHIND = (
    f"GET /secret/ HTTP/1.1\r\nHost: t\r\nAuthorization: Token {KEY}\r\nConnection: close\r\n\r\n".encode()
)
HIDDEN = b"GET /hidden/ HTTP/1.1\r\nHost: t\r\n\r\n"
HEAD = f"GET /secret/ HTTP/1.1\r\nHost: t\r\nAuthorization: Token {KEY}\r\n"
CHUNKS = "0\r\n\r\n"
STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9]) ")
# Who waits for more bytes has given no verdict.
PATIENCE = 2.0


def framed(headers: str, body: str | bytes = CHUNKS) -> bytes:
    """A good request with these lines, as they stand."""
    rest = body.encode("latin-1") if isinstance(body, str) else body
    return (HEAD + headers).encode("latin-1") + b"\r\n" + rest


def login(chunks: bytes) -> bytes:
    """Alice's login in these chunks; they have the length and the body."""
    body = b'{"username":"alice","password":"wonderland"}'
    head = "POST /api-token-auth/ HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
    return f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks % (len(body), body)


SHAPES: dict[str, bytes] = {
    # Two lengths in two words.
    "CL.TE": framed("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
    "TE.CL": framed("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
    "CL.TE with a request inside": framed(
        f"Content-Length: {5 + len(HIDDEN)}\r\nTransfer-Encoding: chunked\r\n", CHUNKS.encode() + HIDDEN
    ),
    "two lengths": framed("Content-Length: 5\r\nContent-Length: 39\r\n"),
    "one length twice": framed("Content-Length: 5\r\nContent-Length: 5\r\n"),
    "a list of lengths": framed("Content-Length: 5, 5\r\n"),
    # Lengths that are no number.
    "length with a plus": framed("Content-Length: +5\r\n"),
    "length with a minus": framed("Content-Length: -5\r\n"),
    "length in hex": framed("Content-Length: 0x5\r\n"),
    "length with an underscore": framed("Content-Length: 0_5\r\n"),
    "length in other digits": framed("Content-Length: \xb2\r\n"),
    "empty length": framed("Content-Length:\r\n"),
    "length over 64 bits": framed("Content-Length: 18446744073709551621\r\n"),
    "two words of a length": framed("Content-Length: 5 5\r\n"),
    # Codings that another server may not see, or see where there is none.
    "TE.TE": framed("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"),
    "TE twice": framed("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
    "chunked twice": framed("Transfer-Encoding: chunked, chunked\r\n"),
    "chunked, identity": framed("Transfer-Encoding: chunked, identity\r\n"),
    "identity, chunked": framed("Transfer-Encoding: identity, chunked\r\n"),
    "gzip, chunked": framed("Transfer-Encoding: gzip, chunked\r\n"),
    "unknown coding": framed("Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n"),
    "unknown coding alone": framed("Transfer-Encoding: xchunked\r\n"),
    "identity alone": framed("Transfer-Encoding: identity\r\nContent-Length: 5\r\n"),
    "quoted coding": framed('Transfer-Encoding: "chunked"\r\n'),
    "coding with a parameter": framed("Transfer-Encoding: chunked;q=1\r\n"),
    "empty coding": framed("Transfer-Encoding:\r\nContent-Length: 5\r\n"),
    "blank before the colon": framed("Transfer-Encoding : chunked\r\n"),
    "blank before the length's colon": framed("Content-Length : 5\r\n"),
    "vertical tab before the coding": framed("Transfer-Encoding:\x0bchunked\r\n"),
    "form feed behind the coding": framed("Transfer-Encoding: chunked\x0c\r\n"),
    "no-break space before the coding": framed("Transfer-Encoding:\xa0chunked\r\n"),
    "zero byte in the coding": framed("Transfer-Encoding: chunked\x00\r\n"),
    "zero byte in a name": framed("Transfer\x00-Encoding: chunked\r\nContent-Length: 5\r\n"),
    "coding in a folded line": framed("X: y\r\n Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
    "folded coding": framed("Transfer-Encoding:\r\n chunked\r\n"),
    "folded header": framed("X: y\r\n z\r\nContent-Length: 5\r\n"),
    "folded length": framed("Content-Length:\r\n 5\r\n"),
    "blank before the first header": (
        f"GET /secret/ HTTP/1.1\r\n Host: t\r\nHost: t\r\nAuthorization: Token {KEY}\r\n\r\n"
    ).encode(),
    # Ends of lines.
    "bare LF behind a header": framed("Content-Length: 5\n"),
    "bare LF before the body": (HEAD + "Content-Length: 5\r\n\n" + CHUNKS).encode(),
    "bare LF everywhere": (HEAD + "Content-Length: 5\r\n\r\n").replace("\r\n", "\n").encode()
    + CHUNKS.encode(),
    "bare LF behind the request line": (
        HEAD.replace("\r\n", "\n", 1) + "Content-Length: 5\r\n\r\n" + CHUNKS
    ).encode(),
    "bare CR in a header": framed("X: a\rContent-Length: 99\r\nContent-Length: 5\r\n"),
    "bare CR behind a header": framed("Content-Length: 5\rX: y\r\n"),
    "a header without a colon": framed("Content-Length\r\nContent-Length: 5\r\n"),
    "an empty name": framed(": y\r\nContent-Length: 5\r\n"),
    # Versions.
    "1.0 with chunks": framed("Transfer-Encoding: chunked\r\n").replace(b"HTTP/1.1", b"HTTP/1.0"),
    "1.0 kept, with chunks": framed("Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n").replace(
        b"HTTP/1.1", b"HTTP/1.0"
    ),
    "no version": b"GET /secret/\r\n\r\n",
    "version 1.2": framed("Content-Length: 5\r\n").replace(b"HTTP/1.1", b"HTTP/1.2"),
    "version 1.10": framed("Content-Length: 5\r\n").replace(b"HTTP/1.1", b"HTTP/1.10"),
    "version in lower case": framed("Content-Length: 5\r\n").replace(b"HTTP/1.1", b"http/1.1"),
    "two blanks in the request line": framed("Content-Length: 5\r\n").replace(b"GET ", b"GET  "),
    "tab in the request line": framed("Content-Length: 5\r\n").replace(b"GET ", b"GET\t"),
    "two hosts": framed("Host: other\r\nContent-Length: 5\r\n"),
    # Chunks of a login, whose body is read; what is whole here is a right one.
    "chunk size with a plus": login(b"+%x\r\n%s\r\n0\r\n\r\n"),
    "chunk size in 0x": login(b"0x%x\r\n%s\r\n0\r\n\r\n"),
    "chunk size with a blank before": login(b" %x\r\n%s\r\n0\r\n\r\n"),
    "chunk size with an underscore": login(b"0_%x\r\n%s\r\n0\r\n\r\n"),
    "chunk size over 64 bits": login(b"10000000000000000%x\r\n%s\r\n0\r\n\r\n"),
    "empty chunk size": login(b"\r\n%.0d%s\r\n0\r\n\r\n"),
    "bare LF in an extension": login(b"%x;a\nb\r\n%s\r\n0\r\n\r\n"),
    "chunk without its end": login(b"%x\r\n%sXX0\r\n\r\n"),
    "chunk with an extension": login(b"%x;a=b\r\n%s\r\n0\r\n\r\n"),
    "chunks of a login": login(b"%x\r\n%s\r\n0\r\n\r\n"),
    "trailer with a length": login(b"%x\r\n%s\r\n0\r\nContent-Length: 99\r\n\r\n"),
    # What is no fault.
    "a length": framed("Content-Length: 5\r\n"),
    "a length with zeros": framed("Content-Length: 005\r\n"),
    "chunks": framed("Transfer-Encoding: chunked\r\n"),
    "chunks in capitals": framed("transfer-encoding: CHUNKED\r\n"),
    "a request in a body": framed(f"Content-Length: {len(HIDDEN)}\r\n", HIDDEN),
    "an underscore in a name": framed("Content_Length: 99\r\nContent-Length: 5\r\n"),
}
# Both serve a chunked body; here the connection ends with it, as nobody may stand behind it.
ENDS_WITH_CHUNKS = {
    *("chunks", "chunks in capitals", "chunks of a login"),
    *("trailer with a length", "chunk with an extension"),
}
# Where our verdict is another one than "refused by gunicorn or by nginx", and why.
EXCEPTIONS = {
    "version 1.2": "both serve it as 1.1; there is no such version",
    "trailer with a length": "nginx serves it; a trailer is not looked at, and nothing may stand behind it",
}
# Of the kind that keeps a connection and reads what is behind a request, as this service does.
KEEPING = "--worker-class=gthread --threads=4"


@dataclass(frozen=True)
class Verdict:
    """The statuses of all answers, and whether the connection ended."""

    statuses: tuple[int, ...]
    closed: bool

    @property
    def refused(self) -> bool:
        """Nothing but a server's own refusals, and the end.

        A second one is gunicorn's of a body in chunks, which it reads when Django has answered without it.
        """
        return self.closed and {400, 408, 411, 413, 414, 431, 501, 505}.issuperset(self.statuses)

    def __str__(self) -> str:
        return " ".join(map(str, self.statuses)) + ("" if self.closed else " …")


def judge(address: Address, shape: bytes) -> Verdict:
    """Sends the shape with the second request behind it, and reads until the end or until nothing comes."""
    said = b""
    closed = False
    with socket.create_connection(address, timeout=PATIENCE) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(shape + BEHIND)
        end = time.monotonic() + PATIENCE
        while not closed and select.select([connection], [], [], max(0.0, end - time.monotonic()))[0]:
            try:
                data = connection.recv(65536)
            except OSError:
                data = b""
            said += data
            closed = not data
    found = (int(match) for match in STATUS.findall(said))
    return Verdict(tuple(status for status in found if status >= 200), closed)


def against(name: str, ours: Verdict, gunicorn: Verdict, nginx: Verdict) -> list[str]:
    """What is wrong with our verdict in the light of theirs."""
    told = f"{name}: ours {ours}, gunicorn {gunicorn}, nginx {nginx}"
    most = 1 if ours.refused else max(len(gunicorn.statuses), len(nginx.statuses))
    if len(ours.statuses) > most:
        return [f"too many answers: {told}"]
    is_same = ours.refused == (gunicorn.refused or nginx.refused)
    if is_same == (name in EXCEPTIONS):
        return [f"{'no exception any more' if is_same else 'another verdict'}: {told}"]
    if not ours.closed:
        return [f"left open: {told}"]
    if len(ours.statuses) == 1 and not ours.refused and name not in ENDS_WITH_CHUNKS:
        return [f"the second request is lost: {told}"]
    return []


def measure(stage: Stage) -> list[Finding]:
    """Verdicts of three servers; for Django's side only gunicorn's are counted."""
    url = stage.bench.migrated_url(stage.pair, "sqlite")
    with closing(stage.bench.open(url)) as database:
        database.reset([ALICE])
    claim = (
        "Request smuggling: whatever gunicorn or nginx refuses is refused and closed, never a second answer"
    )
    how = f"{len(SHAPES)} shapes, each with a second request behind it on the same connection"
    service = stage.start(url, {"BODY_TIMEOUT": 1, "HEADER_TIMEOUT": 1})
    own = {name: judge(service.address, shape) for name, shape in SHAPES.items()}
    refused = sum(verdict.refused for verdict in own.values())
    figure = f"{refused} refused, {len(own) - refused} served"
    if not stage.is_ours:
        return [Finding(claim, how, figure)]
    peer = Stage(stage.bench, stage.pair, "django")
    try:
        gunicorn = peer.start(url, GUNICORN_CMD_ARGS=KEEPING)
        with nginx(stage.bench.folder / stage.bench.name("nginx")) as address:
            found = [
                problem
                for name, shape in SHAPES.items()
                for problem in against(name, own[name], judge(gunicorn.address, shape), judge(address, shape))
            ]
    finally:
        peer.stop()
    return [Finding(claim, how, figure, found)]


CONF = """
daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1;
events {{ }}
http {{
    access_log off; client_body_timeout 1s; client_header_timeout 1s;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{ listen 127.0.0.1:{port}; location / {{ return 200 "ok"; }} }}
}}
"""


@contextlib.contextmanager
def nginx(folder: Path) -> Iterator[Address]:
    """An nginx that answers by itself."""
    folder.mkdir()
    port = free_port()
    (folder / "nginx.conf").write_text(CONF.format(folder=folder, port=port))
    argv: list[str | Path] = [program("nginx"), "-p", folder, "-e", "stderr", "-c", folder / "nginx.conf"]
    process = Process(argv, log=folder / "log")
    process.wait_for_port(("127.0.0.1", port))
    try:
        yield "127.0.0.1", port
    finally:
        process.stop()
