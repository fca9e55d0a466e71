"""DRF's own tests of token authentication, over HTTP: first against Django itself, then against us."""

from __future__ import annotations

import subprocess
import tarfile
import tomllib
import xml.etree.ElementTree as ElementTree
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest

from bench import Bench
from services import HERE, SITE, VENVS, Pair, Service, site_env, start_binary, start_django
from sites import QUICK_HASH

pytestmark = pytest.mark.newest_only

LISTED = tomllib.loads((HERE / "drf_tests.toml").read_text())["left_out"]
MODULES = sorted({entry["module"] for entry in LISTED})
PINNED = HERE / "requirements/drf-tests.txt"
FOLDER = VENVS.parent / "sdists"
# What must be among those that pass, lest the list swallows it.
NEEDED = {"test_post_form_passing_token_auth", "test_token_login_json", "test_token_login_form"}


@pytest.fixture(scope="module")
def suite(bench: Bench, pair: Pair) -> Path:
    """The tests as they are in the pinned source distribution; it is fetched once."""
    if not sdist():
        argv = ["download", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-binary", ":all:"]
        argv += ["--dest", str(FOLDER), "--require-hashes", "-r", str(PINNED)]
        done = subprocess.run(
            [str(pair.python), "-m", "pip", *argv], capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
    archive = sdist()
    assert archive
    with tarfile.open(archive) as tar:
        tar.extractall(bench.folder, filter="data")
    return bench.folder / archive.name.removesuffix(".tar.gz")


def sdist() -> Path | None:
    """The archive, if there is one with the pinned hash."""
    pinned = PINNED.read_text().split("sha256:")[1].strip()
    found = FOLDER.glob("djangorestframework-*.tar.gz")
    return next((path for path in found if sha256(path.read_bytes()).hexdigest() == pinned), None)


def outcomes(pair: Pair, suite: Path, service: Service, url: str) -> dict[str, str]:
    """What became of each test that is not left out: nothing, or what went wrong."""
    left_out = {f"{entry['module']}::{name}" for entry in LISTED for name in entry["tests"]}
    report = suite / "report.xml"
    argv = [
        "-m",
        "pytest",
        "-q",
        "-p",
        "over_http",
        "-p",
        "no:cacheprovider",
        "--noconftest",
        "--rootdir",
        str(suite),
    ]
    argv += ["--override-ini=addopts=", f"--junitxml={report}", *MODULES]
    argv += [f"--deselect={name}" for name in sorted(left_out)]
    host, port = service.address
    env = site_env(url, QUICK_HASH) | {"SERVICE": f"{host}:{port}", "PYTHONPATH": f"{SITE}:{suite}"}
    done = subprocess.run(
        [str(pair.python), *argv], cwd=suite, env=env, capture_output=True, text=True, timeout=300
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found = {}
    for case in ElementTree.parse(report).iter("testcase"):
        name = f"{case.get('classname', '').rsplit('.', 1)[-1]}::{case.get('name')}"
        found[name] = "".join(str(child.get("message")) for child in case)
    return found


@pytest.mark.parametrize("side", ["Django", "ours"])
def test_drfs_own_tests_of_tokens_and_logins_pass_over_http(
    bench: Bench, pair: Pair, kind: str, side: str, ours: str, suite: Path
) -> None:
    with closing(bench.database(pair, kind)) as database:
        if side == "Django" or ours == "django":
            service = start_django(pair, database.url, QUICK_HASH, bench.log("django"))
        else:
            service = start_binary(pair, database.url, QUICK_HASH, bench.log("ours"))
        with service:
            found = outcomes(pair, suite, service, database.url)
    assert {name: fault for name, fault in found.items() if fault} == {}
    assert {name.split("::")[1] for name in found} >= NEEDED


@pytest.mark.parametrize("kind", ["sqlite"])
def test_a_server_on_another_database_does_not_pass(bench: Bench, pair: Pair, kind: str, suite: Path) -> None:
    """So it is the server that the tests ask."""
    urls = [bench.migrated_url(pair, kind) for _ in range(2)]
    with start_django(pair, urls[0], QUICK_HASH, bench.log("django")) as service:
        found = outcomes(pair, suite, service, urls[1])
    passed = {name.split("::")[1] for name, fault in found.items() if not fault}
    assert not passed & NEEDED


def test_every_test_that_is_left_out_is_there(suite: Path) -> None:
    """By name in the source, so that a list that is out of date is seen."""
    for entry in LISTED:
        text = (suite / entry["module"]).read_text()
        for name in entry["tests"]:
            owner, test = name.split("::")
            assert f"class {owner}(" in text, name
            assert f"def {test}(" in text, name
