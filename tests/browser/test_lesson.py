"""The lesson is above the fold, and the page says what happened and why."""

import signal

import pytest


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


def test_the_page_explains_each_step_of_a_lesson(classroom, visit):
    visitor = visit(classroom.url, viewport={"width": 1280, "height": 720})
    visitor.until(lambda: "No worker is running." in lesson(visitor))
    assert health(visitor)[0].startswith("rng unknown")

    classroom.add_worker()
    visitor.until(lambda: lesson(visitor).startswith("1 worker can do 3.3 /s; rng could let 10 through"))
    visitor.until(lambda: 2.5 < (visitor.number("#speed") or 0) < 4)
    assert "workers 0 → 1" in newest_event(visitor)

    visitor.wait(11)
    for _ in range(9):
        classroom.add_worker()
    visitor.until(lambda: lesson(visitor).startswith("10 workers could do 33 /s; rng lets 10 through"))
    assert "workers 1 → " in newest_event(visitor)
    visitor.until(lambda: 7 < (visitor.number("#speed") or 0) < 10.5)
    visitor.until(lambda: "(speed ×" in newest_event(visitor))
    assert health(visitor)[3].startswith("workers 10 of 10 work")
    visitor.picture("class-ten-workers")

    visitor.wait(11)
    classroom.add_worker("v0.2", DELAY="1.1s")
    visitor.until(lambda: "version v0.2 joined" in newest_event(visitor))
    visitor.until(lambda: "v0.2" in visitor.text("figcaption"), 30)
    visitor.picture("class-canary")

    visitor.wait(11)
    with classroom.rng.outage(signal.SIGKILL):
        visitor.until(lambda: lesson(visitor).startswith("rng does not respond:"))
        visitor.until(lambda: "rng went down" in newest_event(visitor))
        visitor.until(lambda: health(visitor)[0].startswith("rng does not respond for"))
        visitor.until(lambda: visitor.number("#speed") == 0)
        visitor.picture("class-rng-down")
    visitor.until(lambda: lesson(visitor).startswith("11 workers could do 34 /s"))
    visitor.until(lambda: health(visitor)[0].startswith("rng ok for"))

    visitor.wait(11)
    for worker in classroom.workers[1:]:
        worker.child.terminate()
    visitor.until(lambda: lesson(visitor).startswith("1 worker can do 3.3 /s"))
    visitor.until(lambda: "workers 11 → 1, version v0.2 left" in newest_event(visitor))
    visitor.until(lambda: 2.5 < (visitor.number("#speed") or 0) < 4)
    visitor.picture("class-one-worker")
    marks = visitor.page.locator("#chart path.mark").count()
    assert marks >= 4, marks


def test_a_service_that_hangs_is_named(classroom, visit):
    visitor = visit(classroom.url)
    classroom.add_worker()
    visitor.until(lambda: visitor.number("#speed"), 30)
    with classroom.hasher.outage(signal.SIGSTOP):
        visitor.until(lambda: lesson(visitor).startswith("hasher does not respond: 1 of 1 worker waits."))
        assert health(visitor)[1].startswith("hasher does not respond for")
    visitor.until(lambda: health(visitor)[1].startswith("hasher ok"))
