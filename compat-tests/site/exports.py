"""Runs export_settings.py for one site after another: one JSON order a line in, one JSON answer a line out.

Each run is a fork of this process, which has read what does not depend on settings, and no more.
"""

import importlib
import json
import os
import runpy
import sys
import tempfile
import traceback

for module in (
    "asyncio", "django.contrib.auth.hashers", "django.contrib.postgres.fields", "django.core.management",
    "django.core.serializers.json", "django.db.backends.sqlite3.base", "django.forms", "django.http",
    "django.template.loader", "django.test.client", "django.urls", "django.views.generic", "inspect",
    "jsonschema", "psycopg",
):  # fmt: skip
    importlib.import_module(module)


def run(script, env, out, err):
    """The script as the only thing that a process of that environment does; its exit code."""
    os.dup2(out.fileno(), 1)
    os.dup2(err.fileno(), 2)
    os.environ.clear()
    os.environ.update(env)
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        if isinstance(end.code, str):
            sys.stderr.write(end.code)
        return int(bool(end.code))
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def answer(script, env):
    """What a fork of this process has written, and its exit code."""
    with tempfile.TemporaryFile("w+b") as out, tempfile.TemporaryFile("w+b") as err:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                status = run(script, env, out, err)
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        told = []
        for file in (out, err):
            file.seek(0)
            told.append(file.read().decode())
    return {"status": status, "stdout": told[0], "stderr": told[1]}


for line in sys.stdin:
    print(json.dumps(answer(**json.loads(line))), flush=True)
