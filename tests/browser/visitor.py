"""Opens the dashboard in a browser, and records requests and problems."""

import os
import time
from urllib.parse import urlsplit

from application import TARGET

PICTURES = TARGET / "screenshots"
# Reports violations of the Content-Security-Policy as errors.
REPORT = """addEventListener("securitypolicyviolation", (violation) =>
    console.error(`violates ${violation.effectiveDirective}: ${violation.blockedURI}`))"""


class Visitor:
    def __init__(self, browser, url, requests_may_fail=False, events=None, **options):
        """With `requests_may_fail`, failed requests are not problems. `events` handles requests of /events."""
        self.url, self.requests_may_fail = url, requests_may_fail
        self.problems, self.requests = [], []
        self.context = browser.new_context(locale="en-GB", timezone_id="UTC", **options)
        self.context.add_init_script(REPORT)
        self.page = self.context.new_page()
        if events:
            self.page.route("**/events", events)
        self.page.on("console", self.on_console)
        self.page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        self.page.on("response", self.on_response)
        self.context.on("request", lambda request: self.requests.append(request.url))

    def open(self):
        self.page.goto(self.url, wait_until="load")
        return self

    def on_console(self, message):
        expected = self.requests_may_fail and message.text.startswith("Failed to load resource")
        # A page of plain text has no link to an icon, so the browser requests the default one.
        expected |= message.location["url"].endswith("/favicon.ico")
        if message.type in ("error", "warning", "assert") and not expected:
            self.problems.append(f"{message.type}: {message.text}")

    def on_response(self, response):
        if response.status >= 400 and not self.requests_may_fail:
            self.problems.append(f"{response.status} of {response.url}")

    def external_requests(self):
        """The URLs of requests to other hosts."""
        home = urlsplit(self.url).netloc
        return [url for url in self.requests if urlsplit(url).netloc != home]

    def request_count(self, path):
        """The number of requests for a path."""
        return sum(urlsplit(url).path.endswith(path) for url in self.requests)

    def wait(self, seconds):
        self.page.wait_for_timeout(1000 * seconds)

    def until(self, condition, seconds=15):
        """Waits until the condition returns a true value, and returns it."""
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < deadline, f"not within {seconds} s; {self.text('main')}"
            self.wait(0.1)
        return value

    def until_coin(self):
        """Waits for a coin. A minute of one worker (200 hashes) has no coin once in 400,000 times."""
        self.until(lambda: self.page.locator("#recent-coins a").count(), 60)

    def text(self, selector):
        return self.page.locator(selector).inner_text()

    def plain(self, selector):
        """The text in one line, with usual spaces."""
        return " ".join(self.text(selector).split())

    def number(self, selector):
        """The displayed number, or None."""
        try:
            return float(self.text(selector).replace(",", ""))
        except ValueError:
            return None

    def live(self):
        return self.page.evaluate("document.documentElement.dataset.live")

    def stale(self):
        return self.page.locator("main.stale, main .stale").count() > 0

    def wait_for_count(self, seconds=15):
        """Waits until the number of hashes increases."""
        before = self.number("#hashes") or 0
        self.until(lambda: (self.number("#hashes") or 0) > before, seconds)

    def picture(self, name, **options):
        """Saves a screenshot, safely even if another run of the tests does the same."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        path = PICTURES / f"{name}.png"
        draft = path.with_suffix(f".{os.getpid()}.png")
        draft.write_bytes(self.page.screenshot(full_page=True, **options))
        draft.replace(path)

    def close(self):
        self.page.remove_listener("console", self.on_console)
        self.context.close()
