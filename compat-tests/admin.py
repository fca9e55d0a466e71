"""A browser's session with Django's admin: cookies, CSRF token, forms."""

from __future__ import annotations

import re
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar

from services import Service

TOKENS = "/admin/authtoken/tokenproxy/"


class AdminSession:
    """Logged in as a superuser."""

    def __init__(self, service: Service, username: str, password: str) -> None:
        self.base = service.base
        jar = urllib.request.HTTPCookieProcessor(CookieJar())
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), jar)
        self.log_in(username, password)

    def log_in(self, username: str, password: str) -> None:
        """Fills in the log-in form; a refused log-in shows the form again."""
        page = self.post("/admin/login/?next=/admin/", username=username, password=password)
        assert "Site administration" in page, page

    def get(self, path: str) -> str:
        """The page's text."""
        with self.opener.open(self.base + path, timeout=60) as answer:
            return str(answer.read().decode())

    def post(self, path: str, **fields: str) -> str:
        """Opens the form, sends it with its CSRF token, answers the page that follows."""
        match = re.search(r'name="csrfmiddlewaretoken" value="([A-Za-z0-9]+)"', self.get(path))
        assert match, f"no form at {path}"
        data = urllib.parse.urlencode(fields | {"csrfmiddlewaretoken": match[1]}).encode()
        request = urllib.request.Request(self.base + path, data, {"Referer": self.base + path})
        with self.opener.open(request, timeout=60) as answer:
            return str(answer.read().decode())

    def token_keys(self) -> list[str]:
        """The keys in the admin's list of tokens."""
        return re.findall(r"field-key[^>]*><a [^>]*>([^<]+)</a>", self.get(TOKENS))

    def add_token(self, user_id: int) -> str:
        """Makes a token for that user and answers its key."""
        before = set(self.token_keys())
        page = self.post(f"{TOKENS}add/", user=str(user_id))
        assert "was added successfully" in page, page
        (key,) = set(self.token_keys()) - before
        return key

    def delete_token(self, user_id: int) -> None:
        """Confirms the deletion of that user's token."""
        page = self.post(f"{TOKENS}{user_id}/delete/", post="yes")
        assert "was deleted successfully" in page, page
