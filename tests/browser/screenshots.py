"""Takes the screenshots of the documentation."""

import io
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from application import ROOT, Application
from conftest import launch
from visitor import Visitor

# For docs/dashboard.png: pairs of a share of the total time and the number of workers to add then.
WORKERS_ADDED = [(0, 1), (0.3, 2), (0.6, 7)]


def main(seconds):
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        applications = {}
        for name in ("dashboard", "dashboard-1", "dashboard-3", "dashboard-10"):
            (folder / name).mkdir()
            applications[name] = Application(folder / name, own_hostnames=True)
            stack.callback(applications[name].stop)
        for name, application in applications.items():
            for _ in range(int(name.partition("-")[2] or 0)):
                application.add_worker()
        start = time.monotonic()
        applications["dashboard"].add_worker("v0.2", DELAY="3.1s")
        for share, workers in WORKERS_ADDED:
            time.sleep(max(0, start + share * seconds - time.monotonic()))
            for _ in range(workers):
                applications["dashboard"].add_worker()
        time.sleep(max(0, start + seconds - time.monotonic()))
        playwright = stack.enter_context(sync_playwright())
        browser = launch(playwright)
        for name, application in applications.items():
            visitor = Visitor(browser, application.url, viewport={"width": 1000, "height": 800}).open()
            visitor.wait_for_count()
            # The upper part of the page, including the bottleneck.
            stages = visitor.page.locator("#stages").bounding_box()
            height = stages["y"] + stages["height"] + 24
            clip = {"x": 0, "y": 0, "width": 1000, "height": height} if name == "dashboard" else None
            path = ROOT / "docs" / f"{name}.png"
            picture = Image.open(io.BytesIO(visitor.page.screenshot(full_page=True, clip=clip))).convert("RGB")
            # A third of the size, without a visible difference.
            picture.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
            print(f"{path}: {path.stat().st_size // 1000} kB")
            visitor.close()
        browser.close()


main(float(sys.argv[1]))
