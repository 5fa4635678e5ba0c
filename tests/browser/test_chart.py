"""The cursor on the chart, by mouse and by keyboard, against what is drawn."""

import re
from datetime import datetime, timezone

# The top curve on the screen, and the speeds that the gridlines stand for: nothing that the cursor is computed from.
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
        focused: document.activeElement.id, now: Number(chart.dataset.now) };
}"""
SPAN = 300


def drawn(visitor):
    return visitor.page.evaluate(DRAWN)


def curve_when(visitor, seconds):
    """Waits for a curve that is this long, and goes on to its end."""

    def long_enough():
        state = drawn(visitor) if visitor.page.locator("#chart path.line").count() else None
        return state and (state["curve"][-1][0] - state["curve"][0][0]) / state["width"] * SPAN > seconds and state

    return visitor.until(long_enough, 30)


def agrees(state):
    """The cursor stands at this moment, and says what the curve shows there, within a step of the curve."""
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


def test_hover_shows_the_time_and_the_speed_that_are_drawn(canary, visit):
    visitor = visit(canary.url)
    state = curve_when(visitor, 12)
    assert state["words"] == ""
    speeds = set()
    for seconds in (1, 4, 7, 10):
        x = state["left"] + state["width"] * (1 - seconds / SPAN)
        visitor.page.mouse.move(x, state["top"] + state["height"] / 2)
        state = drawn(visitor)
        assert abs(state["cursor"] - x) <= 1.5
        speeds.add(agrees(state))
    assert all(speed > 0 for speed in speeds)
    assert "v0.1" in state["words"] and "v0.2" in state["words"]
    # The pointer stays, so the cursor stays, while time passes below it.
    before = state["words"]
    visitor.until(lambda: drawn(visitor)["words"] not in ("", before))
    agrees(drawn(visitor))
    # A picture of the whole page may take the pointer off the chart.
    visitor.picture("hover")
    visitor.page.mouse.move(5, 5)
    assert drawn(visitor)["words"] == ""


def test_the_keyboard_moves_the_cursor(canary, visit):
    visitor = visit(canary.url)
    curve_when(visitor, 12)
    press = visitor.page.keyboard.press
    visitor.page.locator("#chart").focus()
    at = [drawn(visitor)["cursor"]]
    for key in ("ArrowLeft", "ArrowLeft", "ArrowLeft"):
        press(key)
        state = drawn(visitor)
        agrees(state)
        assert state["spoken"] == state["words"]
        at.append(state["cursor"])
    assert at == sorted(at, reverse=True) and at[0] - at[-1] > 3, at
    press("ArrowRight")
    assert drawn(visitor)["cursor"] > at[-1]
    visitor.counts()
    assert drawn(visitor)["focused"] == "chart" and drawn(visitor)["words"]
    press("Home")
    state = drawn(visitor)
    assert abs(state["cursor"] - state["left"]) < 2
    press("End")
    state = drawn(visitor)
    assert abs(state["cursor"] - state["left"] - state["width"]) < state["width"] / 100
    press("Escape")
    assert drawn(visitor)["words"] == ""
