"""Shared fixtures: a browser, applications that have been mining for a while, and visitors."""

import shutil
import signal

import pytest
from playwright.sync_api import sync_playwright

from application import Application
from visitor import PICTURES, Visitor

# On SIGTERM, stop everything that the tests have started.
signal.signal(signal.SIGTERM, signal.default_int_handler)

FLAGS = [
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Disable DNS, so that only this host is reachable.
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
    """Starts all applications early, because a speed takes time to measure."""
    started = {}
    try:
        for name in ("canary", "one_worker", "ten_workers", "restartable"):
            started[name] = Application(tmp_path_factory.mktemp(name))
            started[name].add_worker()
        started["canary"].add_worker("v0.2", DELAY="3.1s")
        for _ in range(9):
            started["ten_workers"].add_worker()
        yield started
    finally:
        for application in started.values():
            application.stop()


@pytest.fixture
def canary(applications):
    """One worker, and another one of the slow version v0.2."""
    return applications["canary"]


@pytest.fixture
def one_worker(applications):
    """One worker."""
    return applications["one_worker"]


@pytest.fixture
def ten_workers(applications):
    """Ten workers."""
    return applications["ten_workers"]


@pytest.fixture
def restartable(applications):
    """One worker. Tests may stop any part, and must restart it."""
    return applications["restartable"]


@pytest.fixture
def classroom(tmp_path):
    """An application of its own, without workers."""
    application = Application(tmp_path, own_hostnames=True)
    yield application
    application.stop()


@pytest.fixture
def visit(browser):
    """Opens pages, and fails the test if the browser reports a problem."""
    visitors = []

    def visit(url, **options):
        visitors.append(Visitor(browser, url, **options))
        return visitors[-1].open()

    yield visit
    problems = [problem for visitor in visitors for problem in visitor.problems + visitor.external_requests()]
    for visitor in visitors:
        visitor.close()
    assert not problems


# ./check counts these lines.
def pytest_report_teststatus(report):
    if report.when == "call" or report.outcome != "passed":
        mark = {"passed": "ok - ", "skipped": "skipped: "}.get(report.outcome, "not ok - ")
        name = report.nodeid.rpartition("::test_")[2].translate(str.maketrans("_[-]", "    ")).strip()
        return report.outcome if report.when == "call" else "error", f"{mark}{name}\n", report.outcome


def pytest_terminal_summary(terminalreporter):
    for picture in sorted(PICTURES.glob("*.png")):
        terminalreporter.write_line(f"picture: {picture}")
