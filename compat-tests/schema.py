"""What a database looks like: its tables, indexes and keys, and the rows that Django's migrate leaves."""

from __future__ import annotations

import re
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import psycopg

from postgres import binaries

TYPES = "SELECT id, app_label, model FROM django_content_type ORDER BY id"
PERMISSIONS = (
    "SELECT p.id, p.name, p.codename, c.app_label, c.model FROM auth_permission p "
    "JOIN django_content_type c ON c.id = p.content_type_id ORDER BY p.id"
)
MIGRATIONS = "SELECT app, name FROM django_migrations ORDER BY app, name"


def select(url: str, statement: str) -> list[tuple[Any, ...]]:
    """The rows of one statement, on either kind of database."""
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
            return connection.execute(statement).fetchall()
    with psycopg.connect(url) as connection:
        return connection.execute(statement.encode()).fetchall()


def execute(url: str, *statements: str) -> None:
    """Changes a database behind everybody's back."""
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
            for statement in statements:
                connection.execute(statement)
        return
    with psycopg.connect(url) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def rows(url: str, *, numbered: bool = True) -> list[list[tuple[Any, ...]]]:
    """Content types, permissions and migrations; of the migrations only the names.

    The numbers follow the order of INSTALLED_APPS (the site's is contenttypes, auth, authtoken) and,
    within an app, that of the Django that made them.
    """
    found = [select(url, statement) for statement in (TYPES, PERMISSIONS)]
    if not numbered:
        found = [sorted(row[1:] for row in table) for table in found]
    return [*found, select(url, MIGRATIONS)]


def shape(url: str) -> Any:
    """All that the database says about its tables."""
    return sqlite_shape(url) if url.startswith("sqlite") else postgres_shape(url)


def postgres_shape(url: str) -> str:
    """`pg_dump --schema-only` without the two lines that are random by intention."""
    argv = [str(binaries() / "pg_dump"), "--schema-only", url]
    dump = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert "CREATE TABLE public.authtoken_token" in dump
    return re.sub(r"^\\(un)?restrict .*\n", "", dump, flags=re.M)


def sqlite_shape(url: str) -> dict[str, Any]:
    """The pragmas of each table, and each index with its columns and its condition."""
    path = Path(url.removeprefix("sqlite:///"))
    with sqlite3.connect(path) as connection:

        def pragma(name: str, argument: str) -> list[Any]:
            return connection.execute(f"PRAGMA {name}('{argument}')").fetchall()

        found: dict[str, Any] = {}
        statement = "SELECT type, name, tbl_name FROM sqlite_master ORDER BY type, name"
        for kind, name, table in connection.execute(statement).fetchall():
            found[f"{kind} {name} of {table}"] = (
                [
                    pragma("table_info", name),
                    sorted(pragma("index_list", name)),
                    pragma("foreign_key_list", name),
                ]
                if kind == "table"
                else pragma("index_xinfo", name)
            )
    assert "table authtoken_token of authtoken_token" in found
    return found
