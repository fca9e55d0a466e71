"""Rows of `django_session`, signed here as Django signs them, and wrong where a case wants that."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import zlib
from dataclasses import dataclass

BACKEND = "django.contrib.auth.backends.ModelBackend"
SECRET_KEY = "for-comparison-only-" + "0" * 40
FALLBACK = "a former key, with a comma"
DATA_SALT = "django.contrib.sessions.SessionStore"
HASH_SALT = "django.contrib.auth.models.AbstractBaseUser.get_session_auth_hash"


def salted_hmac(salt: str, value: str, secret: str) -> bytes:
    """`django.utils.crypto.salted_hmac` with SHA-256."""
    key = hashlib.sha256((salt + secret).encode()).digest()
    return hmac.new(key, value.encode(), "sha256").digest()


def base64_of(raw: bytes) -> str:
    """Django's own: of URLs, without padding."""
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


@dataclass(frozen=True)
class Session:
    """A session of a user; `user` is a name, and for a name that nobody has a user that is gone."""

    name: str
    user: str
    backend: str = BACKEND
    signed_by: str = SECRET_KEY
    hashed_by: str = SECRET_KEY
    password: str = ""
    without: tuple[str, ...] = ()
    note: str = ""
    packed: bool = False
    expired: bool = False
    data: str = ""

    @property
    def key(self) -> str:
        """As long as Django's own."""
        return self.name.ljust(32, "0")

    @property
    def expire_date(self) -> str:
        """Of both databases, in UTC."""
        return "2020-01-01 00:00:00" if self.expired else "2099-12-31 23:59:59.5"

    def session_data(self, user_id: str, encoded: str) -> str:
        """The column of that name; `encoded` is the user's hash."""
        if self.data:
            return self.data
        told = {
            "note": self.note,
            "_auth_user_id": user_id,
            "_auth_user_backend": self.backend,
            "_auth_user_hash": salted_hmac(HASH_SALT, self.password or encoded, self.hashed_by).hex(),
        }
        raw = json.dumps({name: value for name, value in told.items() if name not in self.without}).encode()
        value = ("." + base64_of(zlib.compress(raw)) if self.packed else base64_of(raw)) + ":1vNabc"
        return f"{value}:{base64_of(salted_hmac(DATA_SALT + 'signer', value, self.signed_by))}"


def name_of(key: str) -> str:
    """The name of a session in a case, or that it is one that Django made."""
    return key.rstrip("0") if key.endswith("00") else "of Django's own"
