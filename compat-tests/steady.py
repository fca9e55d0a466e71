"""A load that does not wait for its answers: so many requests a second, whatever becomes of those before."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import wire

UNAVAILABLE = b'{"detail":"Service temporarily unavailable, try again later."}'
# As many may wait at the same time; a load of more than that is a pile-up which is seen in the seconds.
AT_ONCE = 300


@dataclass(frozen=True)
class Seen:
    """A request and what came of it; status 0 is no answer."""

    kind: str
    began: float
    seconds: float
    status: int
    body: bytes
    retry_after: str | None
    # When the kernel had all of the request.
    sent: float

    def is_unavailable(self) -> bool:
        """Whether it is the 503 that says when to come again."""
        return (self.status, self.body) == (503, UNAVAILABLE) and (self.retry_after or "").isdigit()

    @property
    def ended(self) -> float:
        """When the answer was there."""
        return self.began + self.seconds


class Steady:
    """Each request is made when it is due, on a connection of its own."""

    def __init__(
        self,
        address: tuple[str, int],
        rate: float,
        request: Callable[[int], tuple[str, bytes]],
        patience: float = wire.TIMEOUT,
    ) -> None:
        self.address, self.rate, self.request, self.patience = address, rate, request, patience
        self.seen: list[Seen] = []
        self.lock = threading.Lock()
        self.is_over = threading.Event()
        self.heard: Callable[[Seen], object] = bool
        self.pool = ThreadPoolExecutor(AT_ONCE)
        self.thread = threading.Thread(target=self._run)

    def __enter__(self) -> Steady:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """No more requests; waits for the answers to those there are."""
        self.is_over.set()
        self.thread.join()
        self.pool.shutdown()

    def _run(self) -> None:
        began = time.monotonic()
        number = 0
        while not self.is_over.wait(max(0.0, began + number / self.rate - time.monotonic())):
            self.pool.submit(self.ask, *self.request(number))
            number += 1

    def ask(self, kind: str, request: bytes) -> None:
        """One request and what comes of it; who has no patience left has no answer."""
        began, sent = time.monotonic(), math.inf
        status, body, retry_after = 0, b"", None
        try:
            with wire.Connection(self.address, self.patience) as connection:
                connection.send(request)
                sent = time.monotonic()
                answer = connection.receive()
            status, body, retry_after = answer.status, answer.body, answer.header("retry-after")
        except (OSError, wire.WireError) as error:
            body = repr(error).encode()
        seen = Seen(kind, began, time.monotonic() - began, status, body, retry_after, sent)
        with self.lock:
            self.seen.append(seen)
            self.heard(seen)


def statuses(seen: Iterable[Seen]) -> str:
    """How often each status came, for a table."""
    found = Counter(one.status for one in seen)
    return ", ".join(f"{count} × {status or 'none'}" for status, count in sorted(found.items()))


def slowest(seen: Iterable[Seen]) -> float:
    """The longest wait."""
    return max((one.seconds for one in seen), default=0.0)


def percentile(values: Iterable[Any], share: float) -> Any:
    """The value below which that share lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
