"""A headless Chromium that tells of every request it makes and of every breach of a page's policy."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

T = TypeVar("T")
# No host but this machine has a name, and nothing is asked for that a page did not ask for.
ARGUMENTS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic",
    "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--window-size=1200,1500", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]  # fmt: skip
WATCH = """
    window.breaches = [];
    document.addEventListener("securitypolicyviolation", event =>
        window.breaches.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`));
"""
NETWORK = "Network.requestWillBeSent"


class Browser:
    """One window."""

    def __init__(self, *, javascript: bool = True) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = found("chromium")
        for argument in ARGUMENTS:
            options.add_argument(argument)
        if not javascript:
            settings = {"profile.managed_default_content_settings.javascript": 2}
            options.add_experimental_option("prefs", settings)
        options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(found("chromedriver")))
        self.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
        self.requests: list[str] = []
        self.errors: list[str] = []

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.driver.quit()

    def open(self, url: str) -> None:
        """Goes to a page."""
        self.driver.get(url)

    def one(self, selector: str, within: WebElement | None = None) -> WebElement:
        """Waits until there is such an element, and it can be seen."""

        def seen(driver: webdriver.Chrome) -> WebElement | None:
            elements = (within or driver).find_elements(By.CSS_SELECTOR, selector)
            return next((element for element in elements if element.is_displayed()), None)

        return self.until(seen)

    def until(self, seen: Callable[[webdriver.Chrome], T | None]) -> T:
        """Waits until something is so."""
        found = WebDriverWait(self.driver, 30).until(seen)
        assert found is not None
        return found

    def screenshot(self, path: Path, of: WebElement) -> None:
        """Keeps what is seen from there on."""
        self.driver.execute_script("arguments[0].scrollIntoView()", of)
        path.parent.mkdir(parents=True, exist_ok=True)
        assert self.driver.save_screenshot(str(path))

    def breaches(self) -> list[str]:
        """What the policy of the page has refused so far; it is empty where nothing is watched, too."""
        found: list[str] | None = self.driver.execute_script("return window.breaches")
        return found or []

    def collect(self) -> None:
        """Reads the browser's logs, which tell everything once only."""
        events = [json.loads(entry["message"])["message"] for entry in self._log("performance")]
        self.requests += [event["params"]["request"]["url"] for event in events if event["method"] == NETWORK]
        self.errors += [str(entry["message"]) for entry in self._log("browser")]

    def _log(self, name: str) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = self.driver.get_log(name)  # type: ignore[no-untyped-call]
        return entries


def found(program: str) -> str:
    """Where it is."""
    path = shutil.which(program)
    assert path, f"{program} is missing; scripts/test installs it"
    return path
