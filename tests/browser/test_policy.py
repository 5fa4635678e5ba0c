"""The Content-Security-Policy restricts the browser. Every visit checks that it stays on this host."""


def directives(response):
    policy = response.headers["content-security-policy"]
    return {name: sources for name, *sources in (part.split() for part in policy.split(";") if part.strip())}


def test_the_policy_allows_only_our_own_files_and_styles(canary, visit):
    visitor = visit(canary.url)
    policy = directives(visitor.page.reload())
    assert policy["default-src"] == ["'none'"]
    assert policy["base-uri"] == ["'none'"] and policy["form-action"] == ["'none'"]
    for name, sources in policy.items():
        for source in sources:
            assert source in ("'self'", "'none'") or source.startswith("'sha256-"), (name, source)
    # The page itself has no inline script.
    assert policy["script-src"] == ["'self'"]


def test_violations_of_the_policy_are_blocked_and_reported(canary, visit):
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
        visitor.until(lambda: f"violates {directive}" in " ".join(visitor.problems))
    assert visitor.page.evaluate("window.injected") is None
    assert visitor.external_requests() == ["http://192.0.2.1/pixel.png"]
    visitor.problems.clear()
    visitor.requests.clear()
