"""Every request of the cases, spoilt by chance, a way into each parser: no crash, no 5xx, an answer in time.

The cases are the corpus: a rule that is found gets one, and is spoilt from then on.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from random import Random

import cases
import wire
from clients import ALICE, SECRET, ask
from databases import User
from faults import Finding, Stage
from fuzz_bodies import mutated
from fuzz_requests import garble
from services import Service

WORKERS = 8
LENGTH = re.compile(rb"(?i)(\r\ncontent-length: *)[0-9]+")
# What may be in the header that a parser reads, and in a body.
PARSED = (
    b"authorization",
    b"host",
    b"accept",
    b"accept-language",
    b"content-type",
    b"cookie",
    b"x-forwarded-host",
)
# What the log gives as the reason of a 503: the service's own bounds. Django has none.
BOUNDS = re.compile("service unavailable.*(queue is full|BODY_MEMORY is in use)")


def seeds() -> list[bytes]:
    """The requests of all cases but those that are long on purpose."""
    return [case.request for case in cases.load() if len(case.request) < 20_000]


def spoilt(chance: Random, seed: bytes) -> bytes:
    """A value of its head, its body, its target, or all of it; what is whole keeps its length."""
    head, _, body = seed.partition(b"\r\n\r\n")
    way = chance.randrange(10)
    if way == 0:
        return garble(chance, seed)
    if way < 5 and body:
        body = mutated(chance, body)
    else:
        line, *lines = head.split(b"\r\n")
        named = [at for at, text in enumerate(lines) if text.partition(b":")[0].lower() in PARSED]
        if way == 9 or not named:
            line = b"/".join(mutated(chance, part) if b"?" in part else part for part in line.split(b"/"))
        else:
            at = chance.choice(named)
            name, _, value = lines[at].partition(b":")
            lines[at] = name + b":" + mutated(chance, value)
        head = b"\r\n".join([line, *lines])
    head = LENGTH.sub(lambda match: match[1] + str(len(body)).encode(), head)
    return head + b"\r\n\r\n" + body


def status(service: Service, request: bytes) -> int:
    """What it is answered; 0 is a connection that just ends, -1 one that does not."""
    try:
        return wire.exchange(service.address, request, timeout=10).status
    except TimeoutError:
        return -1
    except (OSError, wire.WireError):
        return 0


def measure(stage: Stage) -> list[Finding]:
    """So many of them, or for so long."""
    seconds = 600.0 if stage.long else 10.0
    corpus = seeds()
    people = [User("alice", "wonderland", ALICE.encoded, ALICE.token), User("bob", "builder", "!")]
    url = stage.bench.migrated_url(stage.pair, "sqlite")
    with closing(stage.bench.open(url)) as database:
        database.reset(people)
    service = stage.start(url, {"BODY_TIMEOUT": 1, "HEADER_TIMEOUT": 1, "KEEP_ALIVE_TIMEOUT": 1})
    end = time.monotonic() + seconds

    def run(number: int) -> Counter[int]:
        chance, found = Random(f"{number} of {WORKERS}"), Counter[int]()
        while time.monotonic() < end:
            request = spoilt(chance, chance.choice(corpus))
            answered = status(service, request)
            found[answered] += 1
            if answered == -1 or answered >= 500:
                examples.append((answered, request))
        return found

    examples: list[tuple[int, bytes]] = []
    with ThreadPoolExecutor(WORKERS) as pool:
        found: Counter[int] = sum(pool.map(run, range(WORKERS)), Counter())
    against = [f"{answered}: {request!r:.300}" for answered, request in examples if answered != 503]
    bounded = len(BOUNDS.findall(service.process.log_text()))
    if found[503] > bounded or found[503] > found.total() / 100:
        against.append(f"{found[503]} × 503, {bounded} of them for a bound of the service")
    if not service.is_alive() or "panicked" in service.process.log_text():
        against.append("it crashed or panicked")
    if ask(service, SECRET).status != 200:
        against.append("it is not well afterwards")
    if not found[400] or not found[401]:
        against.append("nothing was proved")
    errors = sum(count for answered, count in found.items() if answered >= 500) - found[503]
    figure = f"{found.total():,} requests, {errors} × 5xx, {found[503]} × 503 for a bound of its own"
    figure += f", {found[-1]} without an answer in time"
    how = f"{len(corpus):,} requests of the cases as corpus, spoilt by chance for {seconds:.0f} s"
    return [Finding("Spoilt requests in all parsers: no crash, no 5xx", how, figure, against)]
