"""A person at the page: a real browser, moved by clicks and keys, that reads only what is visible.

Owns finding Debian's chromium and its driver, starting them, and what a person does with a page. Knows the words on the
page and their roles, not its code. Downloads nothing: where the browser is missing, ``missing()`` says so.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from selenium.common.exceptions import WebDriverException
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.select import Select

Found = TypeVar("Found")

WAIT_SECONDS = 30.0
LOOK_SECONDS = 0.1
SHOWN_CHARACTERS = 1500
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",  # chromium refuses its own sandbox to root, which is who CI is; it visits our page only
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-proxy-server",
    "--no-first-run",
    "--hide-scrollbars",
    "--force-device-scale-factor=1",
    "--lang=en-GB",
    # A mouse: without a screen chromium has none, and the page would show what it shows to fingers.
    "--blink-settings=primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4",
)


def missing() -> str | None:
    """What of the browser is not installed here; None where it is."""
    absent = [program for program in ("chromium", "chromedriver") if shutil.which(program) is None]
    return f"{' and '.join(absent)} not found: apt-get install chromium chromium-driver" if absent else None


class Visitor:
    """Somebody who looks at a page, clicks and types."""

    def __init__(self, driver: Chrome, pictures: Path | None = None) -> None:
        self._driver = driver
        self._pictures = pictures

    def visit(self, address: str, *, width: int = 1280, height: int = 800) -> None:
        """Open the page in a window of this size, in CSS pixels."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self._driver.get(address)

    def prefer(self, scheme: str) -> None:
        """Prefer ``dark`` or ``light``."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def picture(self, name: str) -> None:
        """Keep what is in view as ``name``.png, if pictures are wanted."""
        if self._pictures is not None:
            time.sleep(0.4)  # until nothing moves any more
            self._driver.save_screenshot(str(self._pictures / f"{name}.png"))

    def until(self, look: Callable[[], Found | None], what: str, seconds: float = WAIT_SECONDS) -> Found:
        """What ``look`` finds, as soon as it finds something; a page drawn anew meanwhile is looked at again."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                found = look()
            except WebDriverException:
                found = None
            if found:
                return found
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"after {seconds:.0f} s the page does not show {what}, but:\n{self.words()[-SHOWN_CHARACTERS:]}"
                )
            time.sleep(LOOK_SECONDS)

    def words(self, css: str = "body") -> str:
        """The visible text of a part of the page."""
        return "\n".join(element.text for element in self._driver.find_elements(By.CSS_SELECTOR, css))

    def sees(self, text: str, css: str = "body", seconds: float = WAIT_SECONDS) -> None:
        """Wait until the words are visible."""
        self.until(lambda: text in self.words(css), repr(text), seconds)

    def becomes(self, name: str) -> None:
        """Choose who one is."""

        def become() -> bool:
            Select(self._driver.find_element(By.ID, "seat")).select_by_visible_text(name)
            return True

        self.until(become, f"{name!r} among the people")

    def speaks(self, language: str) -> None:
        """Choose the language of Slack."""

        def chosen() -> bool:
            Select(self._driver.find_element(By.ID, "locale")).select_by_visible_text(language)
            return True

        self.until(chosen, f"{language!r} among the languages")

    def presses(self, name: str, css: str = "body", seconds: float = WAIT_SECONDS) -> None:
        """Press the last visible button of that name in this part of the page."""
        self.until(lambda: self._pressed(name, css), f"a button {name!r} in {css}", seconds)

    def _pressed(self, name: str, css: str) -> bool:
        buttons = [
            button for button in self._in(css, "button") if button.accessible_name == name and button.is_enabled()
        ]
        visible = [button for button in buttons if button.is_displayed()]
        if visible:
            visible[-1].click()
        return bool(visible)

    def presses_words(self, words: str) -> None:
        """Press the button that holds these words among others."""
        self.until(lambda: self._with_last(words, "button", lambda button: button.click()), f"a button with {words!r}")

    def points_at(self, text: str, css: str) -> None:
        """Move the mouse over the last part of the page that shows these words."""
        self.until(lambda: self._with_last(text, css, self._hover), repr(text))

    def scrolls_to(self, text: str, css: str) -> None:
        """Bring the top of the last part of the page that shows these words to the top."""
        script = "arguments[0].scrollIntoView({block: 'start'})"
        self.until(
            lambda: self._with_last(text, css, lambda part: self._driver.execute_script(script, part)), repr(text)
        )

    def writes(self, label: str, text: str, *, enter: bool = False) -> None:
        """Replace what stands in the field of that label; with ``enter``, press it afterwards."""

        def written() -> bool:
            fields = [field for field in self._in("body", "input, textarea") if field.is_displayed()]
            named = [field for field in fields if label in field.accessible_name]
            if named:
                named[-1].send_keys(Keys.CONTROL, "a")
                named[-1].send_keys(text, *([Keys.ENTER] if enter else []))
            return bool(named)

        self.until(written, f"a field {label!r}")

    def chooses(self, label: str, option: str) -> None:
        """Choose from the menu of that label."""

        def chosen() -> bool:
            menus = [menu for menu in self._in("body", "select") if label in menu.accessible_name]
            if menus:
                Select(menus[-1]).select_by_visible_text(option)
            return bool(menus)

        self.until(chosen, f"a menu {label!r}")

    def keys(self, *pressed: str) -> None:
        """Press keys, wherever the focus is."""
        ActionChains(self._driver).send_keys(*pressed).perform()

    def focus(self) -> str:
        """The accessible name of what has the focus."""
        return str(self._driver.switch_to.active_element.accessible_name)

    def asks(self, script: str) -> Any:
        """What a script finds in the page: for what nobody can see, such as the width of what is there."""
        return self._driver.execute_script(script)

    def complaints(self) -> list[str]:
        """What the browser's console says since it was last asked: errors, refused content, warnings."""
        return [
            entry["message"] for entry in self._driver.get_log("browser") if entry["level"] in {"SEVERE", "WARNING"}
        ]

    def _with_last(self, text: str, css: str, does: Callable[[WebElement], object]) -> bool:
        parts = [part for part in self._driver.find_elements(By.CSS_SELECTOR, css) if text in part.text]
        if parts:
            does(parts[-1])
        return bool(parts)

    def _hover(self, part: WebElement) -> None:
        ActionChains(self._driver).move_to_element(part).perform()

    def _in(self, css: str, tags: str) -> list[WebElement]:
        return [
            one
            for part in self._driver.find_elements(By.CSS_SELECTOR, css)
            for one in part.find_elements(By.CSS_SELECTOR, tags)
        ]


@contextmanager
def visitor(pictures: Path | None = None) -> Iterator[Visitor]:
    """A browser of one's own, until the block ends."""
    options = ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for argument in ARGUMENTS:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    logging.getLogger("selenium").setLevel(logging.WARNING)
    driver = Chrome(options=options, service=Service(str(shutil.which("chromedriver"))))
    try:
        yield Visitor(driver, pictures)
    finally:
        driver.quit()
