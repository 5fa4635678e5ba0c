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
