"""The server renders a complete page; the script only updates it."""

import json
import re
from urllib.request import urlopen

SENTENCE = "Without JavaScript this page loads itself again every five seconds."


def test_without_javascript_the_page_is_complete(canary, visit):
    visitor = visit(canary.url, java_script_enabled=False)
    page = visitor.page
    # Without JavaScript, reload until there is a speed.
    line = page.locator("#chart svg path.line").last
    for _ in range(20):
        if visitor.number("#speed") and len(re.findall(r"\d+", line.get_attribute("d"))) >= 4:
            break
        visitor.wait(1)
        page.reload()
    with urlopen(f"{canary.url}json") as response:
        counters = json.load(response)
    assert 0 < visitor.number("#hashes") <= int(counters["hashes"]) < visitor.number("#hashes") + 20
    assert 0 <= visitor.number("#coins") <= counters["coins"] < visitor.number("#coins") + 10
    assert 2 < visitor.number("#speed") < 5
    assert visitor.number("#raw") is not None
    assert 2 < visitor.number("#worker-capacity") < 5
    assert line.bounding_box()["height"] > 0
    assert page.locator("#workers tbody tr").count() == 2
    assert page.locator("#stages svg rect").count() >= 3
    assert "ms" in visitor.text("#stages")
    assert page.locator("noscript p").is_visible() and visitor.text("noscript p") == SENTENCE
    assert not visitor.request_count("/events") and not visitor.request_count("/fragment") and not visitor.request_count("/json")
    visitor.picture("without-javascript")


def test_without_javascript_the_page_loads_itself_again(canary, visit):
    visitor = visit(canary.url, java_script_enabled=False)
    before = visitor.number("#hashes")
    visitor.until(lambda: visitor.number("#hashes") != before, 20)


def test_with_javascript_the_notice_is_hidden(canary, visit):
    assert SENTENCE not in visit(canary.url).text("body")


def test_the_title_is_that_of_the_original(canary, visit):
    assert visit(canary.url).page.title() == "DockerCoin Miner WebUI"
