"""What the browser is allowed to do, which is little. That it stays on the host is checked on every visit."""


def directives(response):
    policy = response.headers["content-security-policy"]
    return {name: sources for name, *sources in (part.split() for part in policy.split(";") if part.strip())}


def test_the_policy_allows_our_own_files_and_what_is_in_the_page(canary, visit):
    visitor = visit(canary.url)
    policy = directives(visitor.page.reload())
    assert policy["default-src"] == ["'none'"]
    assert policy["base-uri"] == ["'none'"] and policy["form-action"] == ["'none'"]
    for name, sources in policy.items():
        for source in sources:
            assert source in ("'self'", "'none'") or source.startswith("'sha256-"), (name, source)
    # The page itself has no inline script.
    assert policy["script-src"] == ["'self'"]


def test_what_the_policy_forbids_does_not_happen_and_is_noticed(canary, visit):
    visitor = visit(canary.url)
    visitor.page.evaluate("""() => {
        document.body.setAttribute("style", "color: red");
        const script = document.createElement("script");
        script.textContent = "window.injected = true";
        document.body.append(script);
        const image = new Image();
        image.src = "http://192.0.2.1/pixel.png";
    }""")
    for directive in ("style-src", "script-src", "img-src"):
        visitor.until(lambda: f"violates {directive}" in " ".join(visitor.complaints))
    assert visitor.page.evaluate("window.injected") is None
    assert visitor.strangers() == ["http://192.0.2.1/pixel.png"]
    visitor.complaints.clear()
    visitor.requests.clear()
