"""The table of behaviours in README.md, made from the cases.

`python readme.py` says whether README has it as it should be, `--write` puts it there.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

FOLDER = Path(__file__).parent / "cases"
README = Path(__file__).parent.parent / "README.md"
BEHAVIOURS = re.compile(r"(?<=<!-- behaviours -->\n).*?(?=<!-- /behaviours -->)", re.S)
HEAD = "| rule | in Python | cases | |\n|---|---|---|---|\n"


def behaviours() -> str:
    """A row for each file of cases."""
    rows = []
    for path in sorted(FOLDER.glob("*.toml")):
        told = tomllib.loads(path.read_text())
        if "cases" in told:
            sites = [len(case.get("sites", told.get("sites", [""]))) for case in told["cases"].values()]
            rule, number = told["why"].replace("|", "\\|"), sum(sites)
            rows.append(f"| {rule} | `{told['python']}` | {number} | `{path.name}` |\n")
    return HEAD + "".join(rows)


def with_behaviours(text: str) -> str:
    """README's text with the table as it should be."""
    return BEHAVIOURS.sub(lambda _: behaviours(), text)


def differences(text: str) -> list[list[str]]:
    """The cells of each row of README's table of intended differences."""
    section = text.split("\n## Intended differences\n")[1].split("\n## ")[0]
    rows = [re.split(r"(?<!\\)\|", line.strip("| ")) for line in section.split("\n") if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in rows[1:]]


def main() -> int:
    """Writes, or says whether it would."""
    text = README.read_text()
    wanted = with_behaviours(text)
    if "--write" in sys.argv[1:]:
        README.write_text(wanted)
    elif wanted != text:
        print("README.md has another table of behaviours than the cases: run compat-tests/readme.py --write")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
