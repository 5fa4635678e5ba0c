"""The Tab key reaches everything, with a visible focus."""

NAMES = """() => [...document.querySelectorAll("a[href], button, input, select, summary, [tabindex]")]
    .filter((element) => element.checkVisibility() && element.tabIndex >= 0)
    .map((element) => element.getAttribute("href") ?? element.id)"""
FOCUS = """() => {
    const element = document.activeElement;
    const { outlineStyle, outlineWidth, outlineColor } = getComputedStyle(element);
    const { top, bottom } = element.getBoundingClientRect();
    return { name: element.getAttribute("href") ?? element.id, outlineStyle, outlineWidth: parseFloat(outlineWidth),
        outlineColor, onScreen: bottom > 0 && top < innerHeight, body: element === document.body };
}"""


def test_tab_reaches_everything_with_a_visible_focus(canary, visit):
    visitor = visit(canary.url)
    visitor.until_coin()
    names = visitor.page.evaluate(NAMES)
    assert "chart" in names and len(names) >= 2
    reached = []
    for _ in range(len(names) + 3):
        visitor.page.keyboard.press("Tab")
        focus = visitor.page.evaluate(FOCUS)
        if focus["body"]:
            break
        assert focus["outlineStyle"] != "none" and focus["outlineWidth"] >= 2, focus
        assert focus["onScreen"], focus
        reached.append(focus["name"])
    # A coin found in the meantime is above the others.
    assert [name for name in names if name in reached] == [name for name in reached if name in names]
    missing = set(names) - set(reached) & set(visitor.page.evaluate(NAMES))
    assert not missing - set(reached), missing


def test_enter_opens_a_coin_and_back_returns(canary, visit):
    visitor = visit(canary.url)
    visitor.until_coin()
    visitor.page.locator("#recent-coins a").first.focus()
    visitor.page.keyboard.press("Enter")
    visitor.page.wait_for_url("**/coins/0*")
    visitor.page.go_back()
    visitor.until(lambda: visitor.live() == "events")
    visitor.wait_for_count()
