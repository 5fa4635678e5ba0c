"""The application in one process, as on a laptop."""

import signal

import pytest

from application import TARGET, Process


@pytest.fixture
def laptop(tmp_path):
    ports = [option for name in ("webui", "rng", "hasher", "admin") for option in (f"--{name}-port", "0")]
    command = [TARGET / "release" / "dockercoins", "--data", tmp_path / "data", *ports]
    process = Process(tmp_path / "dockercoins.log", command)
    yield process
    process.stop()


def test_the_application_in_one_process_mines_and_stops(laptop, visit):
    visitor = visit(laptop.wait_for_log(r"http://localhost:\d+/")[0])
    visitor.until(lambda: visitor.number("#speed"), 30)
    # One hash in sixteen is a coin.
    visitor.until(lambda: visitor.number("#coins"), 60)
    assert visitor.number("#hashes") > 0
    # The chart starts five minutes ago, before the application did.
    chart = visitor.page.locator("#chart > svg").bounding_box()
    visitor.page.mouse.move(chart["x"] + 3, chart["y"] + 50)
    assert "no reading" in visitor.text("#cursor")
    visitor.until(lambda: visitor.live() == "events")
    visitor.wait_for_count()
    visitor.requests_may_fail = True
    assert laptop.stop(signal.SIGINT) == 0
    assert "coin" in "".join(laptop.log.read_text().splitlines()[-3:])
