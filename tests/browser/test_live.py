"""The page updates itself: by events, by polling if there are none, and by events again."""

FOCUSED = "document.activeElement.getAttribute('href') ?? document.activeElement.id"


def reload_detector(visitor):
    """Marks the document, and returns a function that tests whether it is still the same one."""
    visitor.page.evaluate("window.marked = true")
    return lambda: visitor.page.evaluate("window.marked === true")


def test_numbers_change_by_events_alone(canary, visit):
    visitor = visit(canary.url)
    is_same_document = reload_detector(visitor)
    visitor.until(lambda: visitor.live() == "events")
    for _ in range(3):
        visitor.wait_for_count()
    assert is_same_document() and visitor.live() == "events"
    assert visitor.request_count("/events") == 1
    assert not visitor.request_count("/json") and not visitor.request_count("/fragment")


def test_without_events_the_page_polls(canary, visit):
    no_events, routes = [True], []
    refuse = lambda route: route.abort() if any(no_events) else route.continue_()
    # Like a proxy that buffers the events.
    hold = lambda route: routes.append(route) if any(no_events) else route.continue_()
    refused = visit(canary.url, requests_may_fail=True, events=refuse)
    held = visit(canary.url, requests_may_fail=True, events=hold)
    for visitor in (refused, held):
        visitor.until(lambda: visitor.live() == "polling")
        before = visitor.request_count("/fragment")
        visitor.wait_for_count()
        visitor.wait_for_count()
        assert before < visitor.request_count("/fragment") <= before + 10
        assert not visitor.stale()
    no_events.clear()
    for visitor in (refused, held):
        visitor.until(lambda: visitor.live() == "events", 20)
        before = visitor.request_count("/fragment")
        visitor.wait_for_count()
        visitor.wait_for_count()
        assert visitor.request_count("/fragment") == before
        assert visitor.live() == "events"
    for route in routes:
        route.abort()


def test_focus_and_selection_survive_updates(canary, visit):
    visitor = visit(canary.url)
    page = visitor.page
    visitor.until(lambda: page.locator("#workers tbody tr").count() == 2)
    visitor.until(lambda: page.locator("#recent-coins a").count())
    page.locator("#recent-coins a").first.focus()
    focused = page.evaluate(FOCUSED)
    assert focused.startswith("coins/0")
    version = page.locator("#workers tbody tr").first.locator("td").first
    version.select_text()
    selected = page.evaluate("getSelection().toString().trim()")
    assert selected == "v0.2"
    for _ in range(3):
        visitor.wait_for_count()
    assert page.evaluate("getSelection().toString().trim()") == selected
    assert page.evaluate(FOCUSED) == focused


def test_a_screen_reader_does_not_announce_each_update(canary, visit):
    visitor = visit(canary.url)
    visitor.until(lambda: visitor.live() == "events")
    visitor.page.evaluate("""() => {
        window.spoken = [];
        const spoken = document.getElementById("spoken");
        new MutationObserver(() => window.spoken.push(spoken.textContent))
            .observe(spoken, { childList: true, characterData: true, subtree: true });
    }""")
    visitor.wait_for_count()
    visitor.wait_for_count()
    assert visitor.page.get_attribute("#spoken", "role") == "status"
    assert visitor.page.evaluate("window.spoken") == []
    assert visitor.page.locator("main [aria-live]:not([aria-live=off]), main [role=status]").count() == 0
