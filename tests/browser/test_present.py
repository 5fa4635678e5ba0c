"""The presentation mode fills a projector's screen, and can be read from the back of the room."""

import signal

import pytest

from test_looks import TEXTS, assert_no_collisions

SIZES = """() => {
    const size = (selector) => parseFloat(getComputedStyle(document.querySelector(selector)).fontSize) / innerHeight;
    return { speed: size("#speed"), lesson: size("#lesson"), axis: size("#chart text"),
        height: document.scrollingElement.scrollHeight, width: document.scrollingElement.scrollWidth };
}"""


@pytest.mark.parametrize("width, height", [(1280, 720), (1920, 1080), (1024, 768)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_screen_is_filled_with_large_text(scheme, width, height, ten_workers, visit):
    viewport = {"width": width, "height": height}
    visitor = visit(f"{ten_workers.url}index.html?present", viewport=viewport, color_scheme=scheme)
    visitor.until(lambda: "rng is" in visitor.text("#lesson"), 60)
    sizes = visitor.page.evaluate(SIZES)
    assert sizes["speed"] > 0.15 and sizes["lesson"] > 0.05 and sizes["axis"] > 0.035, sizes
    assert sizes["height"] <= height and sizes["width"] <= width, sizes
    for selector in ("#speed", "#lesson", "#chart > svg", "#stages .bar"):
        assert visitor.page.locator(selector).is_visible(), selector
    for selector in (".health", ".figures", "#workers", "#recent-coins", "header a", "nav"):
        assert not visitor.page.locator(selector).is_visible(), selector
    assert_no_collisions(visitor.page.evaluate(TEXTS), width)
    visitor.picture(f"present-{scheme}-{width}")


def test_f_enters_and_escape_leaves(one_worker, visit):
    visitor = visit(one_worker.url + "index.html?window=1")
    is_presenting = lambda: not visitor.page.locator(".health").is_visible()
    assert not is_presenting()
    visitor.page.keyboard.press("f")
    assert is_presenting() and "present" in visitor.page.url and "window=1" in visitor.page.url
    visitor.page.reload()
    assert is_presenting()
    visitor.wait_for_count()
    assert is_presenting()
    visitor.page.keyboard.press("Escape")
    assert not is_presenting() and visitor.page.url.endswith("index.html?window=1")
    visitor.page.get_by_role("link", name="Present (f)").click()
    visitor.page.wait_for_url("**/index.html?present")
    assert is_presenting()


def test_an_outage_is_shown(restartable, visit):
    visitor = visit(f"{restartable.url}index.html?present", requests_may_fail=True, viewport={"width": 1280, "height": 720})
    visitor.until(lambda: visitor.number("#speed"), 30)
    with restartable.redis.outage(signal.SIGTERM):
        visitor.until(lambda: "redis is unreachable" in visitor.text(".notice"))
        visitor.picture("present-outage")
    visitor.until(lambda: not visitor.stale(), 30)
