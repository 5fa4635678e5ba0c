"""The cursor on the chart, moved by mouse and keyboard, agrees with the drawn curve."""

import re
from datetime import datetime, timezone

import pytest

# The top curve on the screen and the speeds of the gridlines. The cursor is computed from other data.
DRAWN = """() => {
    const chart = document.getElementById("chart");
    const lines = [...chart.querySelectorAll("line")];
    const scale = [...chart.querySelectorAll("text")].filter((text) => /^[0-9.]+$/.test(text.textContent)).map((text) => {
        const line = lines.find((line) => line.getAttribute("y1") === text.getAttribute("y"));
        return [line.getBoundingClientRect().top, Number(text.textContent)];
    });
    const path = [...chart.querySelectorAll("path.line")].at(-1);
    const matrix = path.getScreenCTM();
    const length = path.getTotalLength();
    const curve = Array.from({ length: 2001 }, (_, i) => {
        const { x, y } = path.getPointAtLength((length * i) / 2000).matrixTransform(matrix);
        return [x, y];
    });
    const box = chart.querySelector("svg").getBoundingClientRect();
    const cursor = chart.querySelector("line.cursor").getBoundingClientRect();
    return { scale, curve, left: box.left, width: box.width, top: box.top, height: box.height, cursor: cursor.left,
        words: document.getElementById("cursor").textContent, spoken: chart.getAttribute("aria-valuetext"),
        focused: document.activeElement.id, now: Number(chart.getAttribute("aria-valuemax")) };
}"""
SPAN = 300


def chart_state(visitor):
    return visitor.page.evaluate(DRAWN)


def wait_for_curve(visitor, seconds):
    """Waits until the curve covers this number of seconds, and returns the state of the chart."""

    def long_enough():
        state = chart_state(visitor) if visitor.page.locator("#chart path.line").count() else None
        return state and (state["curve"][-1][0] - state["curve"][0][0]) / state["width"] * SPAN > seconds and state

    return visitor.until(long_enough, 30)


def check_cursor(state):
    """Checks that time and speed of the cursor agree with the curve, within a step, and returns the speed."""
    speed = float(re.search(r"([\d.]+) hashes per second", state["words"])[1])
    (y0, speed0), (y1, speed1) = state["scale"][0], state["scale"][-1]
    second = state["width"] / SPAN
    near = [y for x, y in state["curve"] if abs(x - state["cursor"]) <= 2.5 * second]
    speeds = [speed0 + (y - y0) / (y1 - y0) * (speed1 - speed0) for y in near]
    assert min(speeds) - 0.1 <= speed <= max(speeds) + 0.1, (speed, min(speeds), max(speeds))
    ago = SPAN * (1 - (state["cursor"] - state["left"]) / state["width"])
    moment = datetime.fromtimestamp(state["now"] - ago, timezone.utc)
    hours, minutes, seconds = map(int, re.match(r"(\d+):(\d+):(\d+)", state["words"]).groups())
    shown = moment.replace(hour=hours, minute=minutes, second=seconds, microsecond=0)
    assert abs((shown - moment).total_seconds()) <= 2, (state["words"], moment)
    return speed


def test_hover_shows_time_and_speed_of_the_curve(canary, visit):
    visitor = visit(canary.url)
    state = wait_for_curve(visitor, 12)
    assert state["words"] == ""
    speeds = set()
    for seconds in (1, 4, 7, 10):
        x = state["left"] + state["width"] * (1 - seconds / SPAN)
        visitor.page.mouse.move(x, state["top"] + state["height"] / 2)
        state = chart_state(visitor)
        assert abs(state["cursor"] - x) <= 1.5
        speeds.add(check_cursor(state))
    assert all(speed > 0 for speed in speeds)
    assert "v0.1" in state["words"] and "v0.2" in state["words"]
    # The cursor stays below the pointer while the curve moves.
    before = state["words"]
    visitor.until(lambda: chart_state(visitor)["words"] not in ("", before))
    check_cursor(chart_state(visitor))
    # A screenshot of the whole page may move the pointer off the chart.
    visitor.picture("hover")
    visitor.page.mouse.move(5, 5)
    assert chart_state(visitor)["words"] == ""


@pytest.mark.parametrize("window", [1, 5, 30])
def test_the_past_does_not_change(window, canary, visit):
    visitor = visit(f"{canary.url}index.html?window={window}")
    visitor.until(lambda: visitor.page.locator("#chart path.line").count())
    # Until the cursor stands on a point.
    visitor.page.locator("#chart").focus()
    for _ in range(2):
        visitor.page.keyboard.press("ArrowLeft")
    visitor.until(lambda: "hashes per second" in visitor.text("#cursor"), 60)
    readings = set()
    for _ in range(5):
        visitor.wait(1)
        readings.add((chart_state(visitor)["words"], visitor.page.get_attribute("#chart", "aria-valuenow")))
    assert len(readings) == 1, readings


def test_the_window_is_kept_in_the_url(canary, visit):
    visitor = visit(canary.url)
    for minutes in (1, 30, 5):
        visitor.page.get_by_role("link", name=f"{minutes} min", exact=True).click()
        visitor.page.wait_for_url(f"**/index.html?window={minutes}")
        visitor.until(lambda: visitor.live() == "events")
        visitor.wait_for_count()
        assert f"over the last {minutes} minute" in visitor.text("figcaption")
        assert visitor.page.get_by_role("figure", name=f"Speed over the last {minutes} minute").count() == 1
        assert visitor.text("nav [aria-current]") == f"{minutes} min"
        assert f"−{minutes} min" in visitor.page.locator("#chart .time").text_content()
        visitor.picture(f"window-{minutes}")


def test_the_keyboard_moves_the_cursor(canary, visit):
    visitor = visit(canary.url)
    wait_for_curve(visitor, 12)
    press = visitor.page.keyboard.press
    visitor.page.locator("#chart").focus()
    positions = [chart_state(visitor)["cursor"]]
    for key in ("ArrowLeft", "ArrowLeft", "ArrowLeft"):
        press(key)
        state = chart_state(visitor)
        check_cursor(state)
        assert state["spoken"] == state["words"]
        positions.append(state["cursor"])
    assert positions == sorted(positions, reverse=True) and positions[0] - positions[-1] > 3, positions
    press("ArrowRight")
    assert chart_state(visitor)["cursor"] > positions[-1]
    visitor.wait_for_count()
    assert chart_state(visitor)["focused"] == "chart" and chart_state(visitor)["words"]
    press("Home")
    state = chart_state(visitor)
    assert abs(state["cursor"] - state["left"]) < 2
    press("End")
    state = chart_state(visitor)
    assert abs(state["cursor"] - state["left"] - state["width"]) < state["width"] / 100
    press("Escape")
    assert chart_state(visitor)["words"] == ""
