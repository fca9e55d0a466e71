"""A pytest plugin that makes DRF's own tests talk to a running server instead of to views in their process.

The tests keep their code: their client encodes a request as ever, and here it goes out over HTTP. What they
write is committed, for the server is another process on the same database.
SERVICE        host:port of the server
"""

import http.client
import json
import os
from collections import Counter

import pytest

os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"

import django
import django.test
from project import settings

# The tests' own model.
settings.INSTALLED_APPS.append("tests.authentication")
django.setup()

import rest_framework.authtoken.serializers  # noqa: E402
import rest_framework.test  # noqa: E402

# The tests' URLs, and those of the site that stand for them.
PATHS = {"/token/": "/secret/", "/auth-token/": "/api-token-auth/"}
SENT = Counter()


class Answer:
    """As much of a response as the tests look at."""

    def __init__(self, response):
        self.status_code = response.status
        self.headers = response.headers
        self.content = response.read()

    @property
    def data(self):
        return json.loads(self.content)

    def __getitem__(self, name):
        return self.headers[name]


class Client(rest_framework.test.APIClient):
    """DRF's test client up to the point where the request would be given to a view."""

    def request(self, **environ):
        # The site's view answers GET only, where the tests' view answers POST as well.
        path = PATHS[environ["PATH_INFO"]]
        method = "GET" if path == "/secret/" else environ["REQUEST_METHOD"]
        named = self._credentials | environ
        headers = {
            name.removeprefix("HTTP_").replace("_", "-"): value
            for name, value in named.items()
            if name.startswith("HTTP_") and name != "HTTP_COOKIE"
        }
        body = environ["wsgi.input"].read() if "wsgi.input" in environ else b""
        if body:
            headers["Content-Type"] = environ["CONTENT_TYPE"]
        connection = http.client.HTTPConnection(os.environ["SERVICE"], timeout=60)
        connection.request(method, path, body, headers)
        SENT[os.environ["PYTEST_CURRENT_TEST"].split(" ")[0]] += 1
        try:
            return Answer(connection.getresponse())
        finally:
            connection.close()


class LoginSerializer:
    """Stands for the serializer where a test asks it whether a login is right."""

    def __init__(self, data):
        self.data = data

    def is_valid(self):
        return Client().post("/auth-token/", self.data, format="json").status_code == 200


rest_framework.test.APIClient = Client
rest_framework.authtoken.serializers.AuthTokenSerializer = LoginSerializer
django.test.TestCase = django.test.TransactionTestCase


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """A test that asked nobody proves nothing about the server."""
    yield
    assert SENT[item.nodeid], "this test sent no request"
