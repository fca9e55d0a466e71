"""Clients that ask all the time, and see every request that fails."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence

import wire

CLIENTS = 8


class Load:
    """Each client sends the requests in turn, on a connection that it keeps as long as it may."""

    def __init__(self, address: tuple[str, int], requests: Sequence[bytes], clients: int = CLIENTS) -> None:
        self.address, self.requests = address, requests
        self.answers: Counter[int] = Counter()
        self.last: dict[int, wire.Response] = {}
        self.failures: list[str] = []
        self.lock = threading.Lock()
        self.is_over = threading.Event()
        self.threads = [threading.Thread(target=self.run) for _ in range(clients)]

    def __enter__(self) -> Load:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_over.set()
        for thread in self.threads:
            thread.join()

    def run(self) -> None:
        """One client."""
        try:
            while not self.is_over.is_set():
                self.connect()
        except (OSError, wire.WireError) as error:
            self.failures.append(repr(error))
            self.is_over.set()

    def connect(self) -> None:
        """One connection, to the answer that closes it."""
        with wire.Connection(self.address) as connection:
            while not self.is_over.is_set():
                for request in self.requests:
                    connection.send(request)
                    answer = connection.receive()
                    with self.lock:
                        self.answers[answer.status] += 1
                        self.last[answer.status] = answer
                    if (answer.header("connection") or "").lower() == "close":
                        return

    def wait_for(self, answers: int) -> None:
        """Until so many more have come."""
        wanted = self.answers.total() + answers
        while self.answers.total() < wanted and not self.failures:
            self.threads[0].join(0.01)

    def all_are(self, status: int, at_least: int) -> bool:
        """Whether none failed, and there were enough of them."""
        assert self.failures == []
        assert set(self.answers) == {status}, (self.answers, self.last)
        return self.answers[status] >= at_least


def during(load: Load, steps: Sequence[Callable[[], object]], answers: int) -> None:
    """The steps one after the other, with so many answers before, between and after them."""
    with load:
        for step in steps:
            load.wait_for(answers)
            step()
        load.wait_for(answers)
