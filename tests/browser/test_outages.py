"""What is away is shown as away, with the time since, and the page recovers by itself."""

import re
import signal

import pytest

from test_live import loaded_once


@pytest.fixture
def visitor(fragile, visit):
    visitor = visit(fragile.url, trouble=True)
    visitor.until(lambda: visitor.live() == "events")
    visitor.until(lambda: visitor.number("#speed"))
    assert not visitor.stale() and visitor.text(".notice") == ""
    return visitor


def seconds(visitor):
    """The time since that the notice tells."""
    found = re.search(r"(\d+) s\b", visitor.text(".notice"))
    return int(found[1]) if found else None


def frozen(visitor, words):
    """The page says what is wrong, counts the seconds, and keeps numbers that it marks as old."""
    visitor.until(lambda: words in visitor.text(".notice"))
    visitor.until(lambda: words in visitor.text("#spoken"))
    assert visitor.stale()
    hashes, since = visitor.number("#hashes"), seconds(visitor)
    visitor.until(lambda: seconds(visitor) >= since + 2, 6)
    assert visitor.number("#hashes") == hashes and visitor.stale()


def fresh(visitor, same):
    visitor.until(lambda: visitor.live() == "events" and not visitor.stale(), 20)
    visitor.counts(20)
    assert visitor.text(".notice") == "" and same()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "silent"])
def test_webui_that_comes_back_is_found_again_after(how, visitor, fragile):
    same = loaded_once(visitor)
    with fragile.webui.away(how):
        frozen(visitor, "Connection lost")
        assert visitor.live() == "lost"
        visitor.picture("webui-silent" if how == signal.SIGSTOP else "webui-away")
    fresh(visitor, same)
    visitor.until(lambda: "fresh again" in visitor.text("#spoken"))


def test_the_error_page_of_a_proxy_is_no_dashboard(visitor, fragile):
    same = loaded_once(visitor)
    paths = ["**/events", "**/json", "**/fragment"]
    with fragile.webui.away(signal.SIGKILL):
        for path in paths:
            visitor.page.route(path, lambda route: route.fulfill(status=503, body="<h1>no endpoints</h1>"))
        frozen(visitor, "Connection lost")
        for path in paths:
            visitor.page.unroute(path)
    fresh(visitor, same)


@pytest.mark.parametrize(
    "how, words",
    [(signal.SIGTERM, "redis is away"), (signal.SIGSTOP, "redis does not answer")],
    ids=["stopped", "silent"],
)
def test_redis_that_comes_back_is_read_again_after(how, words, visitor, visit, fragile):
    same = loaded_once(visitor)
    with fragile.redis.away(how):
        frozen(visitor, words)
        assert visitor.live() == "events"
        # Who comes only now sees the same.
        late = visit(fragile.url, trouble=True, java_script_enabled=False)
        assert late.stale() and words in late.text(".notice")
        assert late.number("#hashes") == visitor.number("#hashes")
        visitor.picture("redis-silent" if how == signal.SIGSTOP else "redis-away")
    fresh(visitor, same)
