"""The page changes by itself: by events, by polling where there are none, by events again."""

FOCUSED = "document.activeElement.getAttribute('href') ?? document.activeElement.id"


def loaded_once(visitor):
    """Marks the document, and tells later whether it is still the same one."""
    visitor.page.evaluate("window.marked = true")
    return lambda: visitor.page.evaluate("window.marked === true")


def test_numbers_change_by_events_alone(canary, visit):
    visitor = visit(canary.url)
    same = loaded_once(visitor)
    visitor.until(lambda: visitor.live() == "events")
    for _ in range(3):
        visitor.counts()
    assert same() and visitor.live() == "events"
    assert visitor.asked("/events") == 1
    assert not visitor.asked("/json") and not visitor.asked("/fragment")


def test_without_events_the_page_polls_until_they_come(canary, visit):
    no_events, routes = [True], []
    refuse = lambda route: route.abort() if any(no_events) else route.continue_()
    # As a proxy does that holds back what it should pass on.
    hold = lambda route: routes.append(route) if any(no_events) else route.continue_()
    refused = visit(canary.url, trouble=True, events=refuse)
    held = visit(canary.url, trouble=True, events=hold)
    for visitor in (refused, held):
        visitor.until(lambda: visitor.live() == "polling")
        before = visitor.asked("/json")
        visitor.counts()
        visitor.counts()
        assert before < visitor.asked("/json") <= before + 10
        assert not visitor.stale()
    no_events.clear()
    for visitor in (refused, held):
        visitor.until(lambda: visitor.live() == "events", 20)
        before = visitor.asked("/json") + visitor.asked("/fragment")
        visitor.counts()
        visitor.counts()
        assert visitor.asked("/json") + visitor.asked("/fragment") == before
        assert visitor.live() == "events"
    for route in routes:
        route.abort()


def test_focus_and_selection_survive_updates(canary, visit):
    visitor = visit(canary.url)
    page = visitor.page
    visitor.until(lambda: page.locator("#workers tbody tr").count() == 2)
    visitor.until(lambda: page.locator("#finds a").count())
    page.locator("#finds a").first.focus()
    focused = page.evaluate(FOCUSED)
    assert focused.startswith("coins/0")
    version = page.locator("#workers tbody tr").last.locator("td").first
    version.select_text()
    selected = page.evaluate("getSelection().toString().trim()")
    assert selected == "v0.2"
    for _ in range(3):
        visitor.counts()
    assert page.evaluate("getSelection().toString().trim()") == selected
    assert page.evaluate(FOCUSED) == focused


def test_a_screen_reader_is_not_told_every_second(canary, visit):
    visitor = visit(canary.url)
    visitor.until(lambda: visitor.live() == "events")
    visitor.page.evaluate("""() => {
        window.spoken = [];
        const spoken = document.getElementById("spoken");
        new MutationObserver(() => window.spoken.push(spoken.textContent))
            .observe(spoken, { childList: true, characterData: true, subtree: true });
    }""")
    visitor.counts()
    visitor.counts()
    assert visitor.page.get_attribute("#spoken", "role") == "status"
    assert visitor.page.evaluate("window.spoken") == []
    assert visitor.page.locator("main [aria-live]:not([aria-live=off]), main [role=status]").count() == 0
