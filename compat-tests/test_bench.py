"""The commands of scripts/bench run; what they measure in no time is not looked at."""

from __future__ import annotations

import importlib
import json
import subprocess
from pathlib import Path

import pytest

from readme import README
from services import PROJECT

pytestmark = [
    pytest.mark.usefixtures("binary"),
    pytest.mark.newest_only,
    pytest.mark.parametrize("kind", ["postgres"]),
]


SCRIPTS = PROJECT / "scripts"


@pytest.mark.parametrize("command", ["check", "growth"])
def test_readme_has_what_the_benchmark_measured(
    command: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Table and chart come from the command, which leaves its figures beside them."""
    monkeypatch.syspath_prepend(SCRIPTS)
    found = json.loads((SCRIPTS / f"bench_{command}.json").read_text())
    text: str = importlib.import_module(f"bench_{command}").text(found)
    begin, end = (f"<!-- {slash}bench {command} -->\n" for slash in ("", "/"))
    assert README.read_text().partition(begin)[2].partition(end)[0] == f"{text}\n"
    assert (SCRIPTS / f"bench_{command}.svg").exists()


def run(command: str, folder: Path) -> None:
    """A command with its smallest figures."""
    argv = [PROJECT / "scripts/bench", command, "--tiny", "--out", folder]
    done = subprocess.run([str(part) for part in argv], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]


@pytest.mark.parametrize("command", ["check", "growth", "login"])
def test_a_benchmark_writes_its_figures_its_table_and_its_chart(
    command: str, kind: str, tmp_path: Path
) -> None:
    run(command, tmp_path)
    assert json.loads((tmp_path / f"{command}.json").read_text())
    assert (tmp_path / f"{command}.md").read_text().startswith("| ")
    assert (tmp_path / f"{command}.svg").read_text().startswith("<?xml")


def test_the_long_form_of_the_test_of_revocation_runs(kind: str, tmp_path: Path) -> None:
    run("revoke", tmp_path)
