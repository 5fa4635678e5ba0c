"""Somebody who looks at the dashboard, and notes everything that a browser could complain about."""

import os
import time
from urllib.parse import urlsplit

from application import TARGET

PICTURES = TARGET / "screenshots"
# Violations of the policy become complaints like any other.
REPORT = """addEventListener("securitypolicyviolation", (violation) =>
    console.error(`violates ${violation.effectiveDirective}: ${violation.blockedURI}`))"""


class Visitor:
    def __init__(self, browser, url, trouble=False, events=None, **options):
        """With `trouble`, requests may fail, and nothing else may; `events` takes over their route."""
        self.url, self.trouble = url, trouble
        self.complaints, self.requests = [], []
        self.context = browser.new_context(locale="en-GB", timezone_id="UTC", **options)
        self.context.add_init_script(REPORT)
        self.page = self.context.new_page()
        if events:
            self.page.route("**/events", events)
        self.page.on("console", self.hear)
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("response", self.see)
        self.context.on("request", lambda request: self.requests.append(request.url))

    def open(self):
        self.page.goto(self.url, wait_until="load")
        return self

    def hear(self, message):
        expected = self.trouble and message.text.startswith("Failed to load resource")
        # The page names its icon; a text cannot, and so the browser looks where icons used to be.
        expected |= message.location["url"].endswith("/favicon.ico")
        if message.type in ("error", "warning", "assert") and not expected:
            self.complaints.append(f"{message.type}: {message.text}")

    def see(self, response):
        if response.status >= 400 and not self.trouble:
            self.complaints.append(f"{response.status} of {response.url}")

    def strangers(self):
        """Requests that left the host."""
        home = urlsplit(self.url).netloc
        return [url for url in self.requests if urlsplit(url).netloc != home]

    def asked(self, path):
        """How often a path was requested."""
        return sum(urlsplit(url).path.endswith(path) for url in self.requests)

    def wait(self, seconds):
        self.page.wait_for_timeout(1000 * seconds)

    def until(self, condition, seconds=15):
        """Waits until the condition holds, and returns what it returned."""
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < deadline, f"not within {seconds} s; {self.text('main')}"
            self.wait(0.1)
        return value

    def until_found(self):
        """Waits for a coin: one worker's 200 hashes of a minute have none once in 400,000 times."""
        self.until(lambda: self.page.locator("#finds a").count(), 60)

    def text(self, selector):
        return self.page.locator(selector).inner_text()

    def number(self, selector):
        """The number shown, or None where there is none."""
        try:
            return float(self.text(selector).replace(",", ""))
        except ValueError:
            return None

    def live(self):
        return self.page.evaluate("document.documentElement.dataset.live")

    def stale(self):
        return self.page.locator("main.stale, main .stale").count() > 0

    def counts(self, seconds=15):
        """Waits for the count to go up."""
        before = self.number("#hashes") or 0
        self.until(lambda: (self.number("#hashes") or 0) > before, seconds)

    def picture(self, name, **options):
        """Keeps a picture; another run of the tests may do the same."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        path = PICTURES / f"{name}.png"
        draft = path.with_suffix(f".{os.getpid()}.png")
        draft.write_bytes(self.page.screenshot(full_page=True, **options))
        draft.replace(path)

    def close(self):
        self.page.remove_listener("console", self.hear)
        self.context.close()
