"""The claims of README's table of faults hold for this service, in their short form."""

from __future__ import annotations

import re
import sys
from types import SimpleNamespace

import pytest

import faults_crash
import faults_database
import faults_parsers
import faults_points
from bench import Bench
from clients import ALICE, SECRET, ask
from faults import CLAIMS, HEAD, PASSWORD, TABLE, Finding, Stage, measure, rows, with_rows
from faults_interleaving import OLD_KEY, ORDERS
from hole import Fault
from postgres import Cluster
from readme import README
from services import Pair
from test_log import forms


@pytest.mark.newest_only
@pytest.mark.usefixtures("binary")
@pytest.mark.parametrize("claim, kind", CLAIMS.items(), ids=CLAIMS)
def test_it_holds(bench: Bench, pair: Pair, claim: str, kind: str) -> None:
    findings = measure(claim, Stage(bench, pair, "ours"))
    assert findings
    for finding in findings:
        assert not finding.against, (finding.claim, finding.figure, finding.against)


@pytest.mark.newest_only
@pytest.mark.parametrize("kind", ["postgres"])
def test_a_claim_that_does_not_hold_is_seen(bench: Bench, pair: Pair, kind: str) -> None:
    """Django's answers to a crash of its database are none of ours."""
    (finding,) = measure("crash", Stage(bench, pair, "django"))
    assert any("token: 500" in text for text in finding.against)


@pytest.mark.newest_only
@pytest.mark.parametrize("kind", ["postgres"])
def test_a_password_that_is_lost_at_a_point_is_seen(
    bench: Bench, pair: Pair, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Django's renewal of a hash does not look whether the old one is still there."""
    login = (faults_points.OUTDATED, OLD_KEY)
    monkeypatch.setattr(faults_points, "LOGINS", {login: faults_points.LOGINS[login]})
    monkeypatch.setattr(faults_points, "ORDERS", {"password": ORDERS["password"]})
    for finding in measure("points", Stage(bench, pair, "django")):
        assert "password before the renewal of the hash: the new password is lost" in finding.against
        assert not any("nothing was proved" in text for text in finding.against)


@pytest.mark.newest_only
@pytest.mark.usefixtures("binary")
@pytest.mark.parametrize("kind", ["sqlite"])
def test_a_secret_in_a_log_is_seen(
    bench: Bench, pair: Pair, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one claim that is well, and the same with a secret more in its log each time."""
    planted = [
        "",
        *forms(PASSWORD),
        forms(OLD_KEY)[0],
        "f" * 40,
        faults_crash.OUTDATED,
        ALICE.encoded.split("$")[3],
    ]

    def measured(stage: Stage) -> list[Finding]:
        service = stage.start(bench.migrated_url(pair, kind))
        # What is no request is told at the finest level only.
        assert [ask(service, request).status for request in (SECRET, b"\x01\r\n\r\n")] == [401, 400]
        service.process.wait_for("DEBUG")
        with service.process.log.open("a") as log:
            log.write(f"x {planted[0]} y\n")
        return [Finding("is well", "by asking", "1 s")]

    monkeypatch.setitem(sys.modules, "faults_planted", SimpleNamespace(measure=measured))
    seen = []
    while planted:
        (finding,) = measure("planted", Stage(bench, pair, "ours"))
        seen.append(finding.against == [f"a secret is in the log: x {planted.pop(0)} y"])
    assert seen == [False] + [True] * (len(seen) - 1)


@pytest.mark.newest_only
@pytest.mark.usefixtures("binary")
@pytest.mark.parametrize("kind", ["postgres"])
def test_a_fault_that_does_not_happen_is_seen(bench: Bench, pair: Pair, kind: str) -> None:
    """By the answers of a service that is well, or where those are right anyway, by what proves the fault."""
    folder = bench.folder / bench.name("cluster")
    folder.mkdir()
    folder.chmod(0o711)
    cluster, troubles = Cluster(folder), (*faults_database.TROUBLES, faults_database.FULL)
    try:
        with faults_database.site(Stage(bench, pair, "ours"), cluster) as site:
            seen = [faults_database.ask(site, kind) for kind in faults_database.KINDS * 3]
            fitting = {one.name for one in troubles if not faults_database.judge(seen, one)}
            assert fitting == {
                "its backends are terminated",
                "its disk is full",
                "a hash's renewal waits for a row longer than the timeout",
            }
            with faults_database.broken(Fault(), "late")(site) as happened:
                assert faults_database.ask(site, "token").status == 200
                assert not happened()
    finally:
        cluster.stop()


def test_a_bug_that_coverage_leads_to_is_found() -> None:
    """Chance does not write four brackets and what closes them: the product's own counters lead there."""
    limits = ("-seed=1", "-runs=2000000")
    run, _ = faults_parsers.fuzz(faults_parsers.build(), "planted", [], 240, *limits)
    assert run.crash and run.crash.count(b"[") >= 4 and "the planted bug" in run.said


def test_readme_has_rows_for_every_claim() -> None:
    text = README.read_text()
    table = TABLE.search(text)
    assert table and table[0].startswith(HEAD)
    for claim in CLAIMS:
        assert re.search(f"`scripts/faults {claim}[ `]", table[0]), f"run scripts/faults {claim} --readme"


def test_rows_are_replaced_in_the_order_of_the_claims() -> None:
    text = f"a\n<!-- faults -->\n{HEAD}<!-- /faults -->\nb\n"
    found = [Finding("is well", "by asking", "1 s")]
    for claim, options in (("smuggling", ""), ("crash", ""), ("smuggling", " --long")):
        text = with_rows(text, claim, rows(claim, found, found, options))
    lines = [line for line in text.splitlines() if "by asking" in line]
    assert [line.split("`")[1] for line in lines] == [
        "scripts/faults crash",
        "scripts/faults smuggling --long",
    ]
    assert text.startswith("a\n") and text.endswith("<!-- /faults -->\nb\n")
