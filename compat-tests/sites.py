"""The settings of the sites that are compared: Django's names, given to both sides alike."""

from __future__ import annotations

from typing import Any

from sessions import FALLBACK

QUICK_HASH = {"PBKDF2_ITERATIONS": 1000}


def hashers(*names: str) -> dict[str, list[str]]:
    """Django's classes by their short names, in this order."""
    return {"PASSWORD_HASHERS": [f"django.contrib.auth.hashers.{name}PasswordHasher" for name in names]}


def middleware(before: str) -> dict[str, list[str]]:
    """Django's middleware, with the one that chooses a language in front of this one."""
    names = [
        "middleware.security.SecurityMiddleware",
        "contrib.sessions.middleware.SessionMiddleware",
        "middleware.common.CommonMiddleware",
        "middleware.csrf.CsrfViewMiddleware",
        "contrib.auth.middleware.AuthenticationMiddleware",
        "contrib.messages.middleware.MessageMiddleware",
        "middleware.clickjacking.XFrameOptionsMiddleware",
    ]
    place = next(i for i, name in enumerate(names) if name.endswith(before))
    names.insert(place, "middleware.locale.LocaleMiddleware")
    return {"MIDDLEWARE": [f"django.{name}" for name in names]}


def authentication(*names: str) -> dict[str, dict[str, Any]]:
    """DRF's own classes by their short names, in this order, for all views."""
    classes = [f"rest_framework.authentication.{name}Authentication" for name in names]
    schema = "drf_spectacular.openapi.AutoSchema"
    return {"REST_FRAMEWORK": {"DEFAULT_AUTHENTICATION_CLASSES": classes, "DEFAULT_SCHEMA_CLASS": schema}}


# The same as a setting of ours.
BASIC_AND_TOKEN = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "rest_framework.authentication.BasicAuthentication",
        "rest_framework.authentication.TokenAuthentication",
    ]
}


# By the name that cases ask for with `site`.
SITES: dict[str, dict[str, Any]] = {
    "plain": QUICK_HASH,
    "default-iterations": {},
    "hosts": QUICK_HASH | {"ALLOWED_HOSTS": [".example.com", "api.test", "[::1]"]},
    "no-append-slash": QUICK_HASH | {"APPEND_SLASH": False},
    # One hash takes long enough to do something else meanwhile.
    "slow": {"PBKDF2_ITERATIONS": 8_000_000},
    "proxy": QUICK_HASH
    | {
        "ALLOWED_HOSTS": [".example.com"],
        "USE_X_FORWARDED_HOST": True,
        "SECURE_PROXY_SSL_HEADER": ["HTTP_X_FORWARDED_PROTO", "https"],
        "SECURE_HSTS_SECONDS": 3600,
    },
    "hsts-preload": QUICK_HASH
    | {
        "SECURE_PROXY_SSL_HEADER": ["HTTP_X_SCHEME", "on"],
        "SECURE_HSTS_SECONDS": 31536000,
        "SECURE_HSTS_INCLUDE_SUBDOMAINS": True,
        "SECURE_HSTS_PRELOAD": True,
    },
    "old-hashers": QUICK_HASH | hashers("PBKDF2", "BCrypt", "MD5"),
    # Up to Django 5.0.
    "removed-hashers": QUICK_HASH | hashers("PBKDF2", "SHA1", "UnsaltedMD5", "UnsaltedSHA1"),
    "argon2-first": hashers("Argon2", "BCryptSHA256", "MD5"),
    "bcrypt-first": hashers("BCryptSHA256", "Argon2", "MD5"),
    "plain-bcrypt-first": hashers("BCrypt", "Argon2", "MD5"),
    "scrypt-first": hashers("Scrypt", "Argon2", "MD5"),
    "sha1-first": QUICK_HASH | hashers("PBKDF2SHA1", "MD5"),
    "md5-first": hashers("MD5", "Argon2"),
    "other-paths": QUICK_HASH
    | {"LOGIN_PATH": "/api/v1/log-in/", "SECRET_PATH": "/api/v1/me/", "SCHEMA_PATH": "/api/docs/"},
    "prefix": QUICK_HASH
    | {"LOGIN_PATH": "/api/v1/log-in/", "SECRET_PATH": "/api/v1/me/", "SCHEMA_PATH_PREFIX": "/api"},
    "no-security-headers": QUICK_HASH
    | {
        "SECURE_CONTENT_TYPE_NOSNIFF": False,
        "SECURE_REFERRER_POLICY": "",
        "SECURE_CROSS_ORIGIN_OPENER_POLICY": "",
    },
    "other-security-headers": QUICK_HASH
    | {
        "SECURE_REFERRER_POLICY": "no-referrer, strict-origin",
        "SECURE_CROSS_ORIGIN_OPENER_POLICY": "unsafe-none",
    },
    "no-body-limits": QUICK_HASH
    | {"DATA_UPLOAD_MAX_MEMORY_SIZE": None, "DATA_UPLOAD_MAX_NUMBER_FIELDS": None},
    "frame-options": QUICK_HASH | {"X_FRAME_OPTIONS": "SAMEORIGIN"},
    # Two paths and a prefix, no secret view of the site's own URLs, two keywords.
    "bearer": QUICK_HASH
    | {
        "ROOT_URLCONF": "project.several",
        "REST_FRAMEWORK": {
            "DEFAULT_AUTHENTICATION_CLASSES": [
                "project.authentication.BearerAuthentication",
                "rest_framework.authentication.TokenAuthentication",
            ]
        },
    },
    # Three routes, a prefix and one keyword, which is not Token.
    "prefix-bearer": QUICK_HASH
    | {
        "ROOT_URLCONF": "project.prefixed",
        "REST_FRAMEWORK": {"DEFAULT_AUTHENTICATION_CLASSES": ["project.authentication.BearerAuthentication"]},
    },
    "token-basic": QUICK_HASH | authentication("Token", "Basic"),
    "basic-token": QUICK_HASH | authentication("Basic", "Token"),
    # DRF's defaults and tokens behind them, in German; what a reverse proxy with https adds.
    "drf-defaults": QUICK_HASH
    | authentication("Session", "Basic", "Token")
    | middleware("CommonMiddleware")
    | {
        "LANGUAGE_CODE": "de",
        "SECRET_KEY_FALLBACKS": ["another one", FALLBACK],
        "SECURE_PROXY_SSL_HEADER": ["HTTP_X_FORWARDED_PROTO", "https"],
        "CSRF_TRUSTED_ORIGINS": ["https://trusted.example.com", "https://*.example.org"],
    },
    "token-session": QUICK_HASH
    | authentication("Token", "Session")
    | {
        "ALLOWED_HOSTS": ["testserver", ".example.com"],
        "SECURE_PROXY_SSL_HEADER": ["HTTP_X_FORWARDED_PROTO", "https"],
        "SESSION_COOKIE_NAME": "visit",
        "SESSION_COOKIE_DOMAIN": "example.com",
        "SESSION_COOKIE_PATH": "/api",
        "SESSION_COOKIE_SAMESITE": None,
        "CSRF_COOKIE_NAME": "proof",
        "CSRF_HEADER_NAME": "HTTP_X_PROOF",
        "CSRF_COOKIE_DOMAIN": "example.com",
    },
    "german": QUICK_HASH | {"LANGUAGE_CODE": "de"},
    "japanese": QUICK_HASH | {"LANGUAGE_CODE": "ja"},
    "russian": QUICK_HASH | {"LANGUAGE_CODE": "ru"},
    "russian-off": QUICK_HASH | {"LANGUAGE_CODE": "ru", "USE_I18N": False},
    # All of Django's languages.
    "locale": QUICK_HASH
    | middleware("CommonMiddleware")
    | {"ALLOWED_HOSTS": ["testserver"], "DATA_UPLOAD_MAX_NUMBER_FIELDS": 3},
    # A few, one of which Django has no catalogue for; and a cookie of the site's own.
    "locale-behind": QUICK_HASH
    | middleware("CsrfViewMiddleware")
    | {
        "ALLOWED_HOSTS": ["testserver"],
        "DATA_UPLOAD_MAX_NUMBER_FIELDS": 3,
        "LANGUAGE_CODE": "ar",
        "LANGUAGE_COOKIE_NAME": "site_language",
        "LANGUAGES": [[code, code] for code in ("de", "pt-BR", "ja", "qq-de", "en-gb", "zh-hant", "hi")],
    },
    "locale-off": QUICK_HASH | middleware("CommonMiddleware") | {"LANGUAGE_CODE": "ja-JP", "USE_I18N": False},
    "url-format": QUICK_HASH | {"URL_FORMAT_OVERRIDE": "as"},
    "https": QUICK_HASH
    | {
        "ALLOWED_HOSTS": [".example.com"],
        "SECURE_SSL_REDIRECT": True,
        "SECURE_REDIRECT_EXEMPT": ["^app/secret/$", r"\.txt$"],
        "SECURE_PROXY_SSL_HEADER": ["HTTP_X_FORWARDED_PROTO", "https"],
        "SECURE_HSTS_SECONDS": 60,
        "FORCE_SCRIPT_NAME": "/app",
    },
    "https-host": QUICK_HASH
    | {
        "ALLOWED_HOSTS": [".example.com"],
        "SECURE_SSL_REDIRECT": True,
        "SECURE_SSL_HOST": "secure.example.org:8443",
        "SECURE_REDIRECT_EXEMPT": ["^secret"],
        "DISALLOWED_USER_AGENTS": ["^Bad", "(?i)crawler"],
        "SECURE_REFERRER_POLICY": ["no-referrer", "strict-origin"],
        "SECURE_CROSS_ORIGIN_OPENER_POLICY": None,
        "SECURE_CONTENT_TYPE_NOSNIFF": False,
    },
    "www": QUICK_HASH
    | {
        "PREPEND_WWW": True,
        "USE_X_FORWARDED_HOST": True,
        "USE_X_FORWARDED_PORT": True,
        "SECURE_PROXY_SSL_HEADER": ["HTTP_X_FORWARDED_PROTO", "https"],
        "FORCE_SCRIPT_NAME": "//app/",
    },
}

# Sites with a user model of their own: all cases that look at users run on them too.
SITES |= {
    name: QUICK_HASH | {"AUTH_USER_MODEL": f"accounts.{model}"}
    for name, model in (
        ("email-user", "EmailUser"),
        ("number-user", "NumberUser"),
        ("bare-user", "BareUser"),
    )
}
USER_SITES = ("email-user", "number-user", "bare-user")
# The sites that stand for all: the seed, those, one with DRF's defaults, one with a prefix and Bearer.
OTHER_SITES = (*USER_SITES, "drf-defaults", "prefix-bearer")
SIX_SITES = ("plain", *OTHER_SITES)
