"""Cheap hashers, so that thousands of comparisons fit into minutes."""

from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher, PBKDF2SHA1PasswordHasher


class SitePBKDF2PasswordHasher(PBKDF2PasswordHasher):
    """`pbkdf2_sha256` with the site's own iteration count."""

    iterations = settings.ITERATIONS


class SitePBKDF2SHA1PasswordHasher(PBKDF2SHA1PasswordHasher):
    """The same for `pbkdf2_sha1`."""

    iterations = settings.ITERATIONS
