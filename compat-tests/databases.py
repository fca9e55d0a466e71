"""The two tables that the comparison looks at: filled before a case, read before and after it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import psycopg

JOINED = "2025-03-04 05:06:07.891011"
CREATED = "2026-01-02 03:04:05.678901"

Row = Mapping[str, Any]
Table = dict[str, Row]


@dataclass(frozen=True)
class User:
    """A user that a case needs, as a row and perhaps a token row."""

    name: str
    password: str
    encoded: str
    token: str | None = None
    active: bool = True
    created: str = CREATED


@dataclass(frozen=True)
class Snapshot:
    """Every row of both tables, each table by its primary key."""

    users: Table
    tokens: Table

    def name_of(self, user_id: object) -> str:
        """The name of the user with that id, for a reader of a report."""
        row = self.users.get(str(user_id))
        return str(row["username"]) if row else f"user {user_id}"


def changes(before: Snapshot, after: Snapshot) -> list[str]:
    """What happened between two snapshots: `+ token bob`, `~ password mallory`, `- user carol`."""
    found = []
    for what, old, new in (("user", before.users, after.users), ("token", before.tokens, after.tokens)):
        for key in sorted(old.keys() | new.keys()):
            row = new.get(key) or old[key]
            shot = after if key in new else before
            name = row["username"] if what == "user" else shot.name_of(row["user_id"])
            if key not in old:
                found.append(f"+ {what} {name}")
            elif key not in new:
                found.append(f"- {what} {name}")
            else:
                found += [f"~ {column} {name}" for column in row if old[key][column] != row[column]]
    return sorted(found)


USER_COLUMNS = (
    "id, password, last_login, is_superuser, username, first_name, last_name, email, is_staff, "
    "is_active, date_joined"
)
TOKEN_COLUMNS = "key, created, user_id"
SELECTS = (f"SELECT {USER_COLUMNS} FROM auth_user", f"SELECT {TOKEN_COLUMNS} FROM authtoken_token")


def user_rows(users: Iterable[User]) -> list[tuple[Any, ...]]:
    """Rows of auth_user, ids counted from 1; SQL types are those of both databases."""
    return [
        (number, user.encoded, None, False, user.name, "", "", "", False, user.active, JOINED)
        for number, user in enumerate(users, 1)
    ]


def token_rows(users: Iterable[User]) -> list[tuple[Any, ...]]:
    """Rows of authtoken_token for the users that have one."""
    return [(user.token, user.created, number) for number, user in enumerate(users, 1) if user.token]


def inserts(mark: str) -> tuple[str, str]:
    """The two INSERT statements in a driver's placeholder style."""
    return (
        f"INSERT INTO auth_user ({USER_COLUMNS}) VALUES ({', '.join([mark] * 11)})",
        f"INSERT INTO authtoken_token ({TOKEN_COLUMNS}) VALUES ({', '.join([mark] * 3)})",
    )


class Database(Protocol):
    """A database of the comparison, whichever kind."""

    kind: str
    url: str

    def reset(self, users: Iterable[User]) -> None:
        """Leaves exactly these users and their tokens."""

    def snapshot(self) -> Snapshot:
        """All rows as they are now."""

    def close(self) -> None:
        """Gives up the connection."""


class PostgresDatabase:
    """A database of the throw-away cluster."""

    kind = "postgres"

    def __init__(self, url: str) -> None:
        self.url = url
        self.connection = psycopg.connect(url, autocommit=True, options="-c timezone=UTC")

    def reset(self, users: Iterable[User]) -> None:
        """One transaction, so that no server ever sees half of it."""
        users = list(users)
        with self.connection.transaction(), self.connection.cursor() as cursor:
            cursor.execute("DELETE FROM authtoken_token")
            # What the admin writes down refers to users.
            cursor.execute("DELETE FROM django_admin_log")
            cursor.execute("DELETE FROM auth_user")
            for statement, rows in zip(inserts("%s"), (user_rows(users), token_rows(users)), strict=True):
                cursor.executemany(statement, rows)
            # A user made later (through the admin, say) must not meet an id of ours.
            cursor.execute("SELECT setval(pg_get_serial_sequence('auth_user', 'id'), 1000)")

    def snapshot(self) -> Snapshot:
        """Values as the driver types them, times in UTC."""
        tables: list[Table] = []
        for statement in SELECTS:
            cursor = self.connection.execute(statement)
            names = [column.name for column in cursor.description or ()]
            tables.append({str(row[0]): dict(zip(names, row, strict=True)) for row in cursor})
        return Snapshot(*tables)

    def close(self) -> None:
        """Closes the connection; the database goes with the cluster."""
        self.connection.close()


class SqliteDatabase:
    """A database file."""

    kind = "sqlite"

    def __init__(self, path: Path) -> None:
        self.url = f"sqlite:///{path}"
        self.connection = sqlite3.connect(path, timeout=30, isolation_level=None)
        self.connection.execute("PRAGMA synchronous = OFF")

    def reset(self, users: Iterable[User]) -> None:
        """One transaction, so that no server ever sees half of it."""
        users = list(users)
        run = self.connection.execute
        run("BEGIN IMMEDIATE")
        run("DELETE FROM authtoken_token")
        run("DELETE FROM django_admin_log")
        run("DELETE FROM auth_user")
        for statement, rows in zip(inserts("?"), (user_rows(users), token_rows(users)), strict=True):
            self.connection.executemany(statement, rows)
        run("COMMIT")

    def snapshot(self) -> Snapshot:
        """Values in SQLite's own storage classes: a time is the exact text that was written."""
        tables: list[Table] = []
        for statement in SELECTS:
            cursor = self.connection.execute(statement)
            names = [column[0] for column in cursor.description]
            tables.append({str(row[0]): dict(zip(names, row, strict=True)) for row in cursor})
        return Snapshot(*tables)

    def close(self) -> None:
        """Closes the file; it goes with the run's folder."""
        self.connection.close()
