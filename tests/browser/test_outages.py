"""The page shows outages and their duration, and recovers automatically."""

import re
import signal

import pytest

from test_live import reload_detector


@pytest.fixture
def visitor(restartable, visit):
    visitor = visit(restartable.url, requests_may_fail=True)
    visitor.until(lambda: visitor.live() == "events")
    visitor.until(lambda: visitor.number("#speed"))
    assert not visitor.stale() and visitor.text(".notice") == ""
    return visitor


def seconds(visitor):
    """The seconds of the outage in the notice, or None."""
    found = re.search(r"(\d+) s\b", visitor.plain(".notice"))
    return int(found[1]) if found else None


def check_outage(visitor, words):
    """Checks that the page shows the problem, counts the seconds, and keeps the numbers, marked as old."""
    visitor.until(lambda: words in visitor.text(".notice"))
    visitor.until(lambda: words in visitor.text("#spoken"))
    assert visitor.stale()
    hashes, since = visitor.number("#hashes"), seconds(visitor)
    visitor.until(lambda: seconds(visitor) >= since + 2, 6)
    assert visitor.number("#hashes") == hashes and visitor.stale()


def check_recovery(visitor, is_same_document):
    visitor.until(lambda: visitor.live() == "events" and not visitor.stale(), 20)
    visitor.wait_for_count(20)
    assert visitor.text(".notice") == "" and is_same_document()


@pytest.mark.parametrize("stop_signal", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "silent"])
def test_the_page_recovers_after_webui_was(stop_signal, visitor, restartable):
    is_same_document = reload_detector(visitor)
    with restartable.webui.outage(stop_signal):
        check_outage(visitor, "Connection lost")
        assert visitor.live() == "lost"
        visitor.picture("webui-silent" if stop_signal == signal.SIGSTOP else "webui-unreachable")
    check_recovery(visitor, is_same_document)
    visitor.until(lambda: "fresh again" in visitor.text("#spoken"))


def test_the_error_page_of_a_proxy_is_not_shown(visitor, restartable):
    is_same_document = reload_detector(visitor)
    paths = ["**/events", "**/fragment"]
    with restartable.webui.outage(signal.SIGKILL):
        for path in paths:
            visitor.page.route(path, lambda route: route.fulfill(status=503, body="<h1>no endpoints</h1>"))
        check_outage(visitor, "Connection lost")
        for path in paths:
            visitor.page.unroute(path)
    check_recovery(visitor, is_same_document)


@pytest.mark.parametrize(
    "stop_signal, words",
    [(signal.SIGTERM, "redis is unreachable"), (signal.SIGSTOP, "redis does not respond")],
    ids=["stopped", "silent"],
)
def test_the_page_recovers_after_redis_was(stop_signal, words, visitor, visit, restartable):
    is_same_document = reload_detector(visitor)
    with restartable.redis.outage(stop_signal):
        check_outage(visitor, words)
        assert visitor.live() == "events"
        # A new visitor sees the same.
        late = visit(restartable.url, requests_may_fail=True, java_script_enabled=False)
        assert late.stale() and words in late.text(".notice")
        assert late.number("#hashes") == visitor.number("#hashes")
        visitor.picture("redis-silent" if stop_signal == signal.SIGSTOP else "redis-unreachable")
    check_recovery(visitor, is_same_document)
