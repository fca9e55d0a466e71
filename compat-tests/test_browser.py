"""The pages in a real browser: what is seen there works, and nothing leaves the page's origin."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

import wire
from bench import Bench
from browser import Browser
from clients import ALICE, KEY
from services import PROJECT, Pair, Service, start_binary
from sites import QUICK_HASH

pytestmark = [
    pytest.mark.usefixtures("binary"),
    pytest.mark.newest_only,
    pytest.mark.parametrize("kind", ["sqlite"]),
]

SCREENSHOTS = PROJECT / "target/screenshots"


@pytest.fixture
def service(bench: Bench, pair: Pair, kind: str) -> Iterator[Service]:
    with closing(bench.database(pair, kind)) as database:
        database.reset([ALICE])
        with start_binary(pair, database.url, QUICK_HASH, bench.log("ours")) as service:
            yield service


def assert_nothing_left(browser: Browser, service: Service) -> None:
    """No request elsewhere, no breach of the policy, no error on the console."""
    browser.collect()
    elsewhere = [url for url in browser.requests if not url.startswith((f"{service.base}/", "data:"))]
    assert f"{service.base}/api/schema/" in {url.split("?")[0] for url in browser.requests}
    assert elsewhere == []
    assert browser.breaches() == []
    assert browser.errors == []


def test_swagger_ui_logs_in_and_reads_the_secret(service: Service) -> None:
    with Browser() as browser:
        browser.open(f"{service.base}/api/schema/swagger-ui/")
        login = browser.one(".opblock-post")
        browser.one(".opblock-summary", login).click()
        browser.one(".try-out__btn", login).click()
        for name, text in (("username", ALICE.name), ("password", ALICE.password)):
            field = browser.one(f"tr[data-property-name='{name}'] input", login)
            field.send_keys(Keys.CONTROL, "a")
            field.send_keys(text)
        browser.one(".execute", login).click()
        answer = browser.one(".live-responses-table .response", login)
        assert browser.one(".response-col_status", answer).text.startswith("200")
        assert f'"token": "{KEY}"' in answer.text
        browser.screenshot(SCREENSHOTS / "swagger-ui-login.png", login)

        browser.one(".btn.authorize").click()
        browser.one(".auth-container input").send_keys(f"Token {KEY}")
        browser.one(".auth-container button[type=submit]").click()
        browser.one(".btn-done").click()
        secret = browser.one("#operations-secret-secret_retrieve")
        browser.one(".opblock-summary", secret).click()
        browser.one(".try-out__btn", secret).click()
        browser.one(".execute", secret).click()
        answer = browser.one(".live-responses-table .response", secret)
        assert browser.one(".response-col_status", answer).text.startswith("200")
        assert '"message": "This is a secret message."' in answer.text
        browser.screenshot(SCREENSHOTS / "swagger-ui-secret.png", secret)
        assert_nothing_left(browser, service)
        assert KEY not in " ".join(browser.requests)


def test_redoc_shows_every_operation(service: Service) -> None:
    with Browser() as browser:
        browser.open(f"{service.base}/api/schema/redoc/")
        for operation in ("api_token_auth_create", "secret_retrieve", "api_schema_retrieve"):
            browser.one(f"[id$='operation/{operation}'] h2")
        browser.screenshot(SCREENSHOTS / "redoc.png", browser.one("body"))
        assert_nothing_left(browser, service)


def test_a_breach_of_the_policy_and_a_request_elsewhere_would_be_seen(service: Service) -> None:
    """The watch itself is watched."""
    with Browser() as browser:
        browser.open(f"{service.base}/api/schema/redoc/")
        browser.one("h1")
        browser.driver.execute_script(
            "const image = new Image(); image.src = 'http://elsewhere.invalid/x.png';"
            "document.body.append(image);"
        )
        breach = browser.until(lambda _: browser.breaches())
        assert breach[0].startswith("img-src http://elsewhere.invalid")
        browser.collect()
        assert browser.errors


@pytest.mark.parametrize("javascript", [True, False], ids=["javascript", "no-javascript"])
def test_the_browsable_page_shows_request_and_answer_and_leads_on(service: Service, javascript: bool) -> None:
    with Browser(javascript=javascript) as browser:
        browser.open(f"{service.base}/secret/?note=<b>&q='x'")
        body = browser.one("body")
        told = body.text
        for part in (
            "GET /secret/?note=%3Cb%3E&q=%27x%27",
            "HTTP 401 Unauthorized",
            "www-authenticate: Token",
            '{\n    "detail": "Authentication credentials were not provided."\n}',
            f"curl -H 'Authorization: Token YOUR-TOKEN' '{service.base}/secret/'",
            f"curl -d username=NAME -d password=PASSWORD '{service.base}/api-token-auth/'",
        ):
            assert part in told, part
        # The style is applied: the policy allows it.
        assert browser.one("pre").value_of_css_property("border-top-style") == "solid"
        name = "browsable" if javascript else "browsable-no-javascript"
        browser.screenshot(SCREENSHOTS / f"{name}.png", body)
        assert browser.breaches() == []
        links = [link.get_attribute("href") for link in body.find_elements(By.CSS_SELECTOR, "a")]
        assert len(links) == 4
        for link in links:
            assert link and link.startswith(f"{service.base}/")
            status = wire.simple(service.address, "GET", link.removeprefix(service.base)).status
            assert status == (401 if "/secret/" in link else 200), link
        browser.collect()
        assert [url for url in browser.requests if not url.startswith(f"{service.base}/secret/")] in (
            [],
            [f"{service.base}/favicon.ico"],
        )
