"""What the site under coverage.py has measured: every branch, and the first client that took it.

One JSON object a line on standard output: module, function, first line of the function, start, end, client.
"""

import json
import os
import sqlite3
import sys

from coverage.python import PythonFileReporter
from covered import FILES, MODULES, measurement


def combined():
    """All measurements in one."""
    whole = measurement()
    whole.combine([os.path.dirname(os.environ["COVERAGE_FILE"])], keep=True)
    whole.save()
    return whole


def takers(whole):
    """The first client of each branch, by file; a statement of several lines counts by its first one."""
    found = {}
    rows = sqlite3.connect(os.environ["COVERAGE_FILE"]).execute(
        "SELECT path, fromno, tono, min(context) FROM arc JOIN file ON file.id = file_id"
        " JOIN context ON context.id = context_id WHERE context != '' GROUP BY path, fromno, tono"
    )
    reporters = {}
    for path, start, end, client in rows:
        reporter = reporters.setdefault(path, PythonFileReporter(path, coverage=whole))
        for arc in reporter.translate_arcs([(start, end)]):
            found[path, *arc] = min(client, found.get((path, *arc), client))
    return found


def main():
    whole = combined()
    report = os.environ["COVERAGE_FILE"] + ".json"
    whole.json_report(outfile=report)
    taken = takers(whole)
    with open(report) as file:
        files = json.load(file)["files"]
    for path, told in files.items():
        module = next(name for name, end in zip(MODULES, FILES, strict=True) if path.endswith(end[1:]))
        for function, found in told["functions"].items():
            if not function:
                continue
            for start, end in sorted(found["executed_branches"] + found["missing_branches"]):
                client = taken.get((os.path.abspath(path), start, end))
                line = {"module": module, "function": function, "first": found["start_line"]}
                print(json.dumps(line | {"start": start, "end": end, "client": client}))


main()
sys.stdout.flush()
