"""Makes a request that shows a difference smaller, as long as it shows the same one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from compare import Difference
from fuzz_requests import LOGIN, SECRET, Request

MAX_TRIES = 200
Judge = Callable[[Request], list[Difference]]


def shrunk(request: Request, found: list[Difference], judge: Judge) -> Request:
    """The smallest that bounded tries lead to; the fields that differ stay the same."""
    fields = {one.field for one in found}
    tries = 0
    again = True
    while again:
        again = False
        for smaller in steps(request):
            tries += 1
            if tries > MAX_TRIES:
                return request
            if fields == {one.field for one in judge(smaller)}:
                request, again = smaller, True
                break
    return request


def steps(request: Request) -> Iterator[Request]:
    """Each part gone, or a piece of it; large pieces first."""
    headers = request.headers
    for at in range(len(headers)):
        yield replace(request, headers=headers[:at] + headers[at + 1 :])
    for target in (LOGIN, SECRET):
        if len(target) < len(request.target):
            yield replace(request, target=target)
    for body in shorter(request.body):
        yield replace(request, body=body)
    for at, (name, value) in enumerate(headers):
        for less in shorter(value):
            yield replace(request, headers=(*headers[:at], (name, less), *headers[at + 1 :]))
    for less in shorter(request.target[1:]):
        yield replace(request, target=request.target[:1] + less)


def shorter(text: bytes) -> Iterator[bytes]:
    """Without one piece of half its length, of a quarter, and so on."""
    size = len(text)
    while size := size // 2:
        for at in range(0, len(text), size):
            yield text[:at] + text[at + size :]
