"""axe-core finds no violation in any state of the page."""

import signal

import pytest
from axe_playwright_python.sync_playwright import Axe

from test_looks import settled

OPTIONS = {"resultTypes": ["violations"], "rules": {"target-size": {"enabled": True}}}


def violations(visitor):
    return Axe().run(visitor.page, options=OPTIONS).generate_report()


@pytest.mark.parametrize("width", [360, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_with_two_versions(scheme, width, canary, visit):
    visitor = settled(visit(canary.url, color_scheme=scheme, viewport={"width": width, "height": 900}))
    assert violations(visitor).startswith("Found 0"), violations(visitor)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_presentation_mode(scheme, canary, visit):
    visitor = visit(f"{canary.url}index.html?present", color_scheme=scheme)
    visitor.until(lambda: visitor.page.locator("#chart path.line").count() == 2, 60)
    assert violations(visitor).startswith("Found 0"), violations(visitor)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_while_redis_is_unreachable(scheme, restartable, visit):
    visitor = visit(restartable.url, color_scheme=scheme, requests_may_fail=True)
    visitor.until(lambda: visitor.number("#speed"))
    visitor.until_coin()
    with restartable.redis.outage(signal.SIGTERM):
        visitor.until(visitor.stale)
        for width in (360, 1440):
            visitor.page.set_viewport_size({"width": width, "height": 900})
            assert violations(visitor).startswith("Found 0"), violations(visitor)
    visitor.until(lambda: not visitor.stale())


def test_axe_finds_violations(canary, visit):
    visitor = visit(canary.url)
    visitor.page.evaluate("document.querySelector('h1').append(new Image())")
    visitor.page.evaluate("document.documentElement.removeAttribute('lang')")
    report = violations(visitor)
    assert "image-alt" in report and "html-has-lang" in report
