"""Edits of the course in a running container are visible after a reload."""

import shutil
import subprocess

import pytest

from application import ROOT

STYLES = """() => ({
    size: getComputedStyle(document.querySelector("#chart")).fontSize,
    colour: getComputedStyle(document.querySelector("#chart path.line")).stroke,
})"""


@pytest.fixture
def edited(canary, tmp_path):
    """A webui with its own folder of files."""
    files = tmp_path / "files"
    shutil.copytree(ROOT / "webui" / "files", files)
    webui = canary.add_webui("edited", FILES=str(files))
    yield webui.url, files / "index.html"
    webui.stop()


def test_inline_style_script_and_foreign_images_of_a_student_work(edited, visit):
    url, index = edited
    foreign = url.replace("127.0.0.1", "localhost") + "favicon.svg"
    page = index.read_text().replace("<main", f"""<p id="mine" style="color: rgb(1, 2, 3)" onclick="this.textContent = 'clicked'">click</p>
        <script>document.title = "mine"</script><img id="foreign" src="{foreign}" alt=""><main""", 1)
    index.write_text(page)
    visitor = visit(url)
    assert visitor.page.evaluate("getComputedStyle(document.getElementById('mine')).color") == "rgb(1, 2, 3)"
    assert visitor.page.title() == "mine"
    visitor.page.click("#mine")
    assert visitor.text("#mine") == "clicked"
    visitor.until(lambda: visitor.page.evaluate("document.getElementById('foreign').naturalWidth") > 0)
    assert visitor.external_requests() == [foreign]
    visitor.requests.clear()
    visitor.until(lambda: visitor.live() == "events")


def test_a_file_that_cannot_be_used_is_named(edited, visit):
    url, index = edited
    index.write_bytes(b"<h1>\xff</h1>")
    visitor = visit(url)
    assert "index.html is not used: stream did not contain valid UTF-8" in visitor.plain("p.notice")
    assert visitor.number("#hashes") is not None


def test_labels_and_graph_change_as_in_the_course(edited, visit):
    url, index = edited
    visitor = visit(url)
    page = visitor.page
    visitor.until(lambda: page.locator("#chart path.line").count() and visitor.number("#speed"))
    assert page.evaluate(STYLES) == {"size": "15px", "colour": "rgb(70, 130, 180)"}
    for edit in ("s/15px/50px/", "s/steelblue/green/"):
        subprocess.run(["sed", "-i", edit, index], check=True)
    page.reload()
    visitor.until(lambda: page.locator("#chart path.line").count())
    assert page.evaluate(STYLES) == {"size": "50px", "colour": "rgb(0, 128, 0)"}
    visitor.until(lambda: visitor.live() == "events")
    visitor.wait_for_count()
    visitor.picture("live-edit")
