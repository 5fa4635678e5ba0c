"""What the tests share: a browser, applications that have been mining for a while, and visitors."""

import shutil
import signal

import pytest
from playwright.sync_api import sync_playwright

from application import Application
from visitor import PICTURES, Visitor

# When the tests are told to end, they end what they started.
signal.signal(signal.SIGTERM, signal.default_int_handler)

FLAGS = [
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # No name is looked up: what is not on this host cannot be reached.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
]


def launch(playwright):
    program = shutil.which("chromium") or shutil.which("google-chrome")
    return playwright.chromium.launch(executable_path=program, args=FLAGS)


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="session", autouse=True)
def applications(tmp_path_factory):
    """All of them start at once and early, because a speed takes time."""
    started = {}
    try:
        for name in ("canary", "lonely", "crowd", "fragile"):
            started[name] = Application(tmp_path_factory.mktemp(name))
            started[name].add_worker()
        started["canary"].add_worker("v0.2", DELAY="3.1s")
        for _ in range(9):
            started["crowd"].add_worker()
        yield started
    finally:
        for application in started.values():
            application.stop()


@pytest.fixture
def canary(applications):
    """One worker, and one of the slow version v0.2."""
    return applications["canary"]


@pytest.fixture
def lonely(applications):
    """One worker."""
    return applications["lonely"]


@pytest.fixture
def crowd(applications):
    """Ten workers."""
    return applications["crowd"]


@pytest.fixture
def fragile(applications):
    """One worker; whoever breaks something repairs it."""
    return applications["fragile"]


@pytest.fixture
def visit(browser):
    """Opens pages, and fails the test when a browser had anything to complain about."""
    visitors = []

    def visit(url, **options):
        visitors.append(Visitor(browser, url, **options))
        return visitors[-1].open()

    yield visit
    complaints = [complaint for visitor in visitors for complaint in visitor.complaints + visitor.strangers()]
    for visitor in visitors:
        visitor.close()
    assert not complaints


# ./check counts these lines.
def pytest_report_teststatus(report):
    if report.when == "call" or report.outcome != "passed":
        mark = {"passed": "ok - ", "skipped": "skipped: "}.get(report.outcome, "not ok - ")
        name = report.nodeid.rpartition("::test_")[2].translate(str.maketrans("_[-]", "    ")).strip()
        return report.outcome if report.when == "call" else "error", f"{mark}{name}\n", report.outcome


def pytest_terminal_summary(terminalreporter):
    for picture in sorted(PICTURES.glob("*.png")):
        terminalreporter.write_line(f"picture: {picture}")
