"""The site under coverage.py: which branches of Django and DRF ran for which client.

A client is known by its address, so that each case can have one of its own (127.0.0.0/8 is all ours).
COVERAGE_FILE  where the measurement goes
"""

import atexit
import os

import coverage

MODULES = [
    "rest_framework.authentication",
    "rest_framework.negotiation",
    "rest_framework.parsers",
    "rest_framework.renderers",
    "rest_framework.request",
    "rest_framework.views",
    "rest_framework.metadata",
    "rest_framework.fields",
    "rest_framework.serializers",
    "rest_framework.exceptions",
    "rest_framework.authtoken.models",
    "rest_framework.authtoken.serializers",
    "rest_framework.authtoken.views",
    "django.contrib.auth.hashers",
    "django.contrib.auth.backends",
    "django.middleware.common",
    "django.middleware.security",
    "django.middleware.clickjacking",
    "django.http.request",
    "django.http.multipartparser",
]
FILES = ["*/" + name.replace(".", "/") + ".py" for name in MODULES]


def measurement(**options):
    """Branches of these modules only, in files that are put together later."""
    return coverage.Coverage(
        data_file=os.environ["COVERAGE_FILE"], config_file=False, branch=True, include=FILES, **options
    )


def measured(application):
    """The application, each request in the context of its client."""
    running = coverage.Coverage.current()

    def asked(environ, start_response):
        running.switch_context(environ["REMOTE_ADDR"])
        return application(environ, start_response)

    return asked


if "COVERAGE_START" in os.environ:
    measuring = measurement(data_suffix=True)
    measuring.start()
    # Before coverage's own last act, which does not always write.
    atexit.register(measuring.save)
    from project.wsgi import application as site

    application = measured(site)
