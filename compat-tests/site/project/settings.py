"""The reference site: a fresh project's settings, with DEBUG off and the token endpoints added.

The environment says what differs from run to run:
DATABASE_URL   where the rows are (`postgres://…` or `sqlite:////absolute/path`)
SITE_SETTINGS  a JSON object of further settings, Django's names; PBKDF2_ITERATIONS is ours,
               CONN_MAX_AGE is the database's, the paths have our names
SITE_APPS      `bare` leaves out admin, sessions, messages and the schema
"""

import json
import os
import re
from urllib.parse import parse_qsl, unquote, urlsplit

from django.conf import global_settings


def database(url):
    """The DATABASES entry that a DATABASE_URL stands for."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": unquote(parts.path)[1:]}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path[1:]),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(parts.hostname or ""),
        "PORT": parts.port,
        "OPTIONS": dict(parse_qsl(parts.query)),
    }


BARE = os.environ.get("SITE_APPS") == "bare"

SECRET_KEY = "for-comparison-only-" + "0" * 40
DEBUG = False
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"
DATABASES = {"default": database(os.environ["DATABASE_URL"])}
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True
STATIC_URL = "static/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "rest_framework",
    "rest_framework.authtoken",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
if not BARE:
    INSTALLED_APPS += [
        "drf_spectacular",
        "django.contrib.admin",
        "django.contrib.sessions",
        "django.contrib.messages",
        "django.contrib.staticfiles",
    ]
    MIDDLEWARE = [
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ]

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.TokenAuthentication"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}
LOGIN_PATH, SECRET_PATH, SCHEMA_PATH = "/api-token-auth/", "/secret/", "/api/schema/"

OVERRIDES = json.loads(os.environ.get("SITE_SETTINGS", "{}"))
SPECTACULAR_SETTINGS = {
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": OVERRIDES.pop("SCHEMA_PATH_PREFIX", None),
}
DATABASES["default"]["CONN_MAX_AGE"] = OVERRIDES.pop("CONN_MAX_AGE", 0)
if "REPLICA_URL" in OVERRIDES:
    DATABASES["replica"] = database(OVERRIDES.pop("REPLICA_URL")) | {"TEST": {"MIRROR": "default"}}
if "DISABLE_SERVER_SIDE_CURSORS" in OVERRIDES:
    DATABASES["default"]["DISABLE_SERVER_SIDE_CURSORS"] = OVERRIDES.pop("DISABLE_SERVER_SIDE_CURSORS")
ITERATIONS = OVERRIDES.pop("PBKDF2_ITERATIONS", None)
PASSWORD_HASHERS = OVERRIDES.pop("PASSWORD_HASHERS", global_settings.PASSWORD_HASHERS)
if ITERATIONS is not None:
    # The way Django documents for another iteration count: a subclass in place of its own.
    SITE_HASHERS = {
        f"django.contrib.auth.hashers.{name}": f"project.hashers.Site{name}"
        for name in ("PBKDF2PasswordHasher", "PBKDF2SHA1PasswordHasher")
    }
    PASSWORD_HASHERS = [SITE_HASHERS.get(path, path) for path in PASSWORD_HASHERS]
# Django wants these compiled.
DISALLOWED_USER_AGENTS = [re.compile(pattern) for pattern in OVERRIDES.pop("DISALLOWED_USER_AGENTS", [])]
if "URL_FORMAT_OVERRIDE" in OVERRIDES:
    REST_FRAMEWORK["URL_FORMAT_OVERRIDE"] = OVERRIDES.pop("URL_FORMAT_OVERRIDE")
if "AUTH_USER_MODEL" in OVERRIDES:
    INSTALLED_APPS.append("accounts")
globals().update(OVERRIDES)
