"""The lesson is above the fold, and the page says what happened and why."""

import signal

import pytest

from application import Service

SIZES = [(360, 740), (1280, 720), (1440, 900), (2560, 1440)]


@pytest.mark.parametrize("width, height", [(1280, 720), (1366, 768)])
def test_speed_lesson_and_curve_are_above_the_fold(width, height, ten_workers, visit):
    visitor = visit(ten_workers.url, viewport={"width": width, "height": height})
    visitor.until(lambda: "rng is" in visitor.text("#lesson"), 60)
    box = visitor.page.locator("#lesson").bounding_box()
    speed = visitor.page.locator(".speed").bounding_box()
    assert speed["y"] + speed["height"] <= box["y"] + 1 and box["y"] + box["height"] < height / 2
    assert visitor.page.evaluate("parseFloat(getComputedStyle(document.getElementById('lesson')).fontSize)") >= 24
    chart = visitor.page.locator("#chart > svg").bounding_box()
    assert chart["y"] + chart["height"] < height
    visitor.picture(f"fold-{width}")


def lesson(visitor):
    return visitor.plain("#lesson")


def health(visitor):
    return [" ".join(part.split()) for part in visitor.page.locator(".health li").all_inner_texts()]


def newest_event(visitor):
    events = visitor.page.locator("#events li")
    return " ".join(events.first.inner_text().split()) if events.count() else ""


def pictures(visitor, name):
    """Saves a picture at each size, light and dark, and in presentation mode."""
    for scheme in ("light", "dark"):
        visitor.page.emulate_media(color_scheme=scheme)
        for width, height in SIZES:
            visitor.page.set_viewport_size({"width": width, "height": height})
            visitor.picture(f"class-{name}-{scheme}-{width}")
    visitor.page.set_viewport_size({"width": 1280, "height": 720})
    visitor.page.keyboard.press("f")
    visitor.picture(f"class-{name}-present")
    visitor.page.keyboard.press("Escape")
    # Changes within ten seconds would be one event.
    visitor.wait(11)


def test_the_page_explains_each_step_of_a_lesson(classroom, visit):
    visitor = visit(classroom.url, requests_may_fail=True)
    visitor.until(lambda: "No worker is running." in lesson(visitor))
    assert health(visitor)[0].startswith("rng unknown")
    pictures(visitor, "1-nothing")

    classroom.add_worker()
    visitor.until(lambda: lesson(visitor).startswith("1 worker can do 3.3 /s; rng could let 10 through"))
    visitor.until(lambda: 2.5 < (visitor.number("#speed") or 0) < 4)
    assert "workers 0 → 1" in newest_event(visitor)
    pictures(visitor, "2-one-worker")

    for number, sentence in ((2, "2 workers can do 6.7 /s; rng could"), (3, "3 workers could do 10 /s; rng lets 10")):
        classroom.add_worker()
        visitor.until(lambda: lesson(visitor).startswith(sentence))
        visitor.until(lambda: 2.2 * number < (visitor.number("#speed") or 0) < 3.8 * number)
        visitor.wait(11)
    for _ in range(7):
        classroom.add_worker()
    visitor.until(lambda: lesson(visitor).startswith("10 workers could do 33 /s; rng lets 10 through"))
    assert "workers 3 → " in newest_event(visitor)
    visitor.until(lambda: 7 < (visitor.number("#speed") or 0) < 10.5)
    visitor.until(lambda: "(speed ×" in newest_event(visitor))
    assert health(visitor)[3].startswith("workers 10 of 10 work")
    pictures(visitor, "3-ten-workers")

    rng = Service(classroom.folder, "rng-2", "rng", own_hostname=True)
    try:
        for _ in range(5):
            classroom.add_worker(RNG_URL=rng.url)
        visitor.until(lambda: "2 rngs let 20 through" in lesson(visitor))
        visitor.until(lambda: "rngs 1 → 2" in newest_event(visitor))
        assert visitor.number("#rng-capacity") == 20
        pictures(visitor, "4-two-rngs")
        for worker in classroom.workers[10:]:
            assert worker.stop() == 0
        del classroom.workers[10:]
        visitor.until(lambda: lesson(visitor).startswith("10 workers could do 33 /s; rng lets 10 through"), 40)
        visitor.wait(11)
    finally:
        rng.stop()

    # A rollout, one worker after the other.
    for _ in range(10):
        classroom.add_worker("v0.2", DELAY="1.1s")
        classroom.workers.pop(0).stop()
        visitor.wait(1)
    visitor.until(lambda: "version v0.2 joined" in newest_event(visitor))
    visitor.until(lambda: lesson(visitor).startswith("10 workers can do 7.7 /s; rng could let 10 through"))
    visitor.until(lambda: "v0.2" in visitor.text("figcaption"), 30)
    pictures(visitor, "5-rollout")

    with classroom.rng.outage(signal.SIGKILL):
        visitor.until(lambda: lesson(visitor).startswith("rng is down:"))
        visitor.until(lambda: "rng went down" in newest_event(visitor))
        visitor.until(lambda: health(visitor)[0].startswith("rng down for"))
        visitor.until(lambda: visitor.number("#speed") == 0)
        pictures(visitor, "6-rng-down")
    visitor.until(lambda: lesson(visitor).startswith("10 workers can do 7.7 /s"))
    visitor.until(lambda: health(visitor)[0].startswith("rng ok for"))

    visitor.wait(11)
    for worker in classroom.workers[1:]:
        worker.child.terminate()
    visitor.until(lambda: lesson(visitor).startswith("1 worker can do 0.8 /s"))
    visitor.until(lambda: "workers 10 → 1" in newest_event(visitor))
    visitor.until(lambda: 0.3 < (visitor.number("#speed") or 0) < 1.5)
    pictures(visitor, "7-one-worker")
    assert visitor.page.locator("#chart path.mark").count() >= 6

    with classroom.redis.outage(signal.SIGTERM):
        visitor.until(lambda: health(visitor)[2].startswith("redis unreachable for"))
        visitor.until(lambda: "those of the last reading" in lesson(visitor))
        pictures(visitor, "8-redis-away")
    visitor.until(lambda: "redis was unreachable for" in newest_event(visitor), 30)
    visitor.until(lambda: lesson(visitor).startswith("1 worker can do"), 30)


def test_a_service_that_hangs_is_named(classroom, visit):
    visitor = visit(classroom.url)
    classroom.add_worker()
    visitor.until(lambda: visitor.number("#speed"), 30)
    with classroom.hasher.outage(signal.SIGSTOP):
        visitor.until(lambda: lesson(visitor).startswith("hasher is down: 1 of 1 worker waits."), 30)
        assert health(visitor)[1].startswith("hasher down for")
    visitor.until(lambda: health(visitor)[1].startswith("hasher ok"))


def test_a_page_that_has_polled_applies_patches_correctly(restartable, visit):
    visitor = visit(restartable.url, requests_may_fail=True)
    for _ in range(2):
        visitor.until(lambda: visitor.live() == "events", 20)
        # The page polls; then webui sends the events of the meantime as well.
        with restartable.webui.outage(signal.SIGSTOP):
            visitor.wait(5)
        visitor.until(lambda: visitor.live() == "events", 20)
        visitor.wait_for_count()
        ids = visitor.page.evaluate("[...document.querySelectorAll('main [id]')].map((element) => element.id)")
        assert len(ids) == len(set(ids)), ids
        assert visitor.page.locator("#dashboard > section").count() == 1
        assert visitor.page.locator("#workers tbody tr").count() == 1
