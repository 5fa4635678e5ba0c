"""Behind a proxy that adds a path prefix everything works."""

from urllib.parse import urlsplit

from proxy import PREFIX, prefixed


def test_behind_a_path_prefix_everything_works(canary, visit):
    with prefixed(canary.webui.address) as url:
        visitor = visit(url)
        assert visitor.page.url == f"{url}index.html"
        visitor.until(lambda: visitor.live() == "events")
        visitor.counts()
        visitor.counts()
        assert not visitor.asked("/json")
        visitor.until_found()
        visitor.page.locator("#finds a").first.click()
        visitor.page.wait_for_url(f"{url}coins/0*")
        assert "agree:  yes" in visitor.text("body")
        visitor.trouble = True
        visitor.page.route("**/events", lambda route: route.abort())
        visitor.open()
        visitor.until(lambda: visitor.live() == "polling")
        visitor.counts()
        assert all(urlsplit(request).path.startswith(f"{PREFIX}/") for request in visitor.requests)
        for file in ("index.html", "dashboard.js", "favicon.svg", "events", "json", "fragment"):
            assert visitor.asked(f"/{file}"), file
