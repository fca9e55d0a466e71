"""The long form of the test that no token is good after the commit that takes it away: 10,000 times, half
of them with one thread in the service and half with two."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from bench_load import PROJECT

TEST = "test_lookups.py::test_a_token_is_gone_with_the_commit_that_takes_it_away"


def main() -> int:
    """Runs the test with another number."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=10_000)
    parser.add_argument("--tiny", action="store_true", help="shows that it runs")
    parser.add_argument("--out", type=Path, help="nothing is written")
    options = parser.parse_args()
    times = 10 if options.tiny else options.times
    argv = [
        str(PROJECT / "target/venvs/tools/bin/python"),
        "-m",
        "pytest",
        "-q",
        f"--times={times // 2}",
        "--database=postgres",
        TEST,
    ]
    return subprocess.run(argv, cwd=PROJECT / "compat-tests").returncode


if __name__ == "__main__":
    sys.exit(main())
