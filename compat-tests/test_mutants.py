"""The comparator has teeth: one change in any compared field of a real exchange is reported, and it only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import cases
from bench import Bench, Rig
from compare import Outcome, differences, play, unmet
from databases import Snapshot
from services import Pair
from wire import Response

CASES = {case.id: case for case in cases.load()}
# Between them these answers hold every header that Django or DRF sends.
EXCHANGES = [
    "secret-get/plain",
    "authorization-malformed/keyword-alone",
    "login-good/json-first-login",
    "hash-rehash/rehash-and-first-token",
    "append-slash/query",
    "host-any/underscore",
]
Mutant = Callable[[Response], Response]


@pytest.fixture(params=EXCHANGES)
def example(request: pytest.FixtureRequest) -> cases.Case:
    found: cases.Case = CASES[request.param]
    return found


@pytest.fixture
def rig(bench: Bench, pair: Pair, kind: str, example: cases.Case) -> Rig:
    return bench.rig(pair, kind, example.site, ours="django")


def flip(text: str) -> str:
    """The text with its last letter exchanged."""
    return text[:-1] + ("x" if text[-1:] != "x" else "y")


def header_mutants(response: Response) -> Iterator[tuple[str, Response]]:
    """Each header with another value, without it, and (once) in another order or with one more."""
    headers = list(response.headers)
    theirs = [i for i, (name, _) in enumerate(headers) if name.lower() not in SERVERS]
    for i in theirs:
        name, value = headers[i]
        field = f"header:{name.lower()}"
        yield field, with_headers(response, [*headers[:i], (name, flip(value)), *headers[i + 1 :]])
        yield field, with_headers(response, headers[:i] + headers[i + 1 :])
        yield field, with_headers(response, [*headers, (name, value)])
    first, last = theirs[0], theirs[-1]
    swapped = list(headers)
    swapped[first], swapped[last] = headers[last], headers[first]
    yield "header-order", with_headers(response, swapped)
    yield "header:x-more", with_headers(response, [*headers, ("X-More", "1")])


SERVERS = {"server", "date", "connection", "transfer-encoding"}


def with_headers(response: Response, headers: list[tuple[str, str]]) -> Response:
    return replace(response, headers=tuple(headers))


def body_mutants(response: Response) -> Iterator[tuple[str, Response]]:
    """A byte more, a byte less, another byte, another case."""
    body = response.body
    if body:
        yield "body", replace(response, body=body[:-1])
        yield "body", replace(response, body=body[:3] + bytes([body[3] ^ 1]) + body[4:])
        yield "body", replace(response, body=body.swapcase())
    yield "body", replace(response, body=body + b"\n")


def response_mutants(response: Response) -> Iterator[tuple[str, Response]]:
    """Every way in which an answer can differ in one field."""
    yield "status", replace(response, status=response.status + 1)
    yield "reason", replace(response, reason=flip(response.reason))
    yield from header_mutants(response)
    yield from body_mutants(response)


def changed(value: object) -> object:
    """Another value of the same kind."""
    if isinstance(value, str):
        return flip(value) if value else "x"
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, datetime):
        return value + timedelta(days=1)
    return datetime.now(UTC)


def row_mutants(after: Snapshot) -> Iterator[tuple[str, Snapshot]]:
    """Every column of every row with another value, every row gone, and a row more."""
    for what, table in (("users", after.users), ("tokens", after.tokens)):
        for key, row in table.items():
            for column, value in row.items():
                mutant: Any = {**table, key: {**row, column: changed(value)}}
                yield f"{what}.{column}", replace(after, **{what: mutant})
            yield f"{what} gone", replace(after, **{what: {k: v for k, v in table.items() if k != key}})
            more: Any = {**table, "more": {**row, "username": "more", "user_id": 0}}
            yield f"{what} more", replace(after, **{what: more})


def verifier(rig: Rig) -> Callable[[str, str], bool]:
    return lambda password, encoded: bool(rig.orm.ask("verify", password=password, encoded=encoded))


@pytest.mark.newest_only
def test_each_mutant_of_the_answer_is_caught(rig: Rig, example: cases.Case) -> None:
    outcome = play(rig.django, rig.django_db, example)
    assert differences(outcome, outcome) == []
    for field, mutant in response_mutants(outcome.response):
        found = differences(outcome, replace(outcome, response=mutant))
        assert field in {one.field for one in found}, (field, mutant)
        allowed = {field, "header-order"} if field.startswith("header") else {field}
        assert {one.field for one in found} <= allowed or field == "header-order"


@pytest.mark.newest_only
def test_each_mutant_of_the_rows_is_caught(rig: Rig, example: cases.Case) -> None:
    outcome = play(rig.django, rig.django_db, example)
    assert unmet(example, outcome, example.expected, verifier(rig)) == []
    for what, after in row_mutants(outcome.after):
        mutant: Outcome = replace(outcome, after=after)
        caught = differences(outcome, mutant) or unmet(example, mutant, example.expected, verifier(rig))
        assert caught, (what, after)


@pytest.mark.newest_only
@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"status": 418}, "status"),
        ({"changes": ("+ token nobody",)}, "changes"),
        ({"body": b"another"}, "body"),
    ],
)
def test_a_case_whose_expectation_is_not_met_fails(
    rig: Rig, example: cases.Case, wrong: dict[str, Any], told: str
) -> None:
    outcome = play(rig.django, rig.django_db, example)
    faults = unmet(example, outcome, replace(example.expected, **wrong), verifier(rig))
    assert [fault.split()[0] for fault in faults] == [told]


@pytest.mark.newest_only
def test_two_equal_answers_that_prove_nothing_fail(rig: Rig, example: cases.Case) -> None:
    outcome = play(rig.django, rig.django_db, example)
    empty = replace(outcome, response=replace(outcome.response, body=b""))
    broken = replace(outcome, response=replace(outcome.response, status=500))
    surplus = replace(outcome, response=replace(outcome.response, surplus=b"x"))
    filled = replace(example, empty_body=False)
    for mutant, expected in (
        (empty, example.expected),
        (broken, replace(example.expected, status=500)),
        (surplus, example.expected),
    ):
        assert differences(mutant, mutant) == []
        assert unmet(filled, mutant, expected, verifier(rig))
