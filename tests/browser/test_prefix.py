"""Everything works behind a proxy that adds a path prefix."""

from urllib.parse import urlsplit

from proxy import PREFIX, prefixed


def test_everything_works_behind_a_path_prefix(canary, visit):
    with prefixed(canary.webui.address) as url:
        visitor = visit(url)
        assert visitor.page.url == f"{url}index.html"
        visitor.until(lambda: visitor.live() == "events")
        visitor.wait_for_count()
        visitor.wait_for_count()
        assert not visitor.request_count("/fragment")
        visitor.until_coin()
        visitor.page.locator("#recent-coins a").first.click()
        visitor.page.wait_for_url(f"{url}coins/0*")
        assert "agree:  yes" in visitor.text("body")
        visitor.requests_may_fail = True
        visitor.page.route("**/events", lambda route: route.abort())
        visitor.open()
        visitor.until(lambda: visitor.live() == "polling")
        visitor.wait_for_count()
        assert all(urlsplit(request).path.startswith(f"{PREFIX}/") for request in visitor.requests)
        for file in ("index.html", "dashboard.js", "favicon.svg", "events", "fragment"):
            assert visitor.request_count(f"/{file}"), file
