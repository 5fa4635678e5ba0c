"""The page explains why ten workers are only three times as fast as one."""

import re

# The milliseconds of each stage in the list, and the share of the bar that is marked as waiting.
STAGES = """() => {
    const list = [...document.querySelectorAll("#stages dl div")];
    const bar = document.querySelector("#stages svg.bar").getBoundingClientRect().width;
    const widths = (selector) => [...document.querySelectorAll(selector)].map((part) => part.getBoundingClientRect().width);
    return {
        ms: Object.fromEntries(list.map((stage) => [stage.querySelector("dt").textContent,
            Number(stage.querySelector("dd").textContent.replace(/[^0-9.]/g, ""))])),
        waiting: widths("#stages svg.bar .waiting rect").reduce((sum, width) => sum + width, 0) / bar,
        whole: widths("#stages svg.bar rect").reduce((sum, width) => sum + width, 0) / bar,
    };
}"""


def settled(visitor, expected):
    """Waits for a speed near the expected one, and for the stages."""
    visitor.until(lambda: abs((visitor.number("#speed") or 0) - expected) < 0.15 * expected, 60)
    visitor.until(lambda: visitor.page.locator("#stages svg.bar").count())
    stages = visitor.page.evaluate(STAGES)
    assert 0.98 < stages["whole"] < 1.01, stages
    queue = stages["ms"]["queue of rng"] / sum(stages["ms"].values())
    assert abs(stages["waiting"] - queue) < 0.02, stages
    return stages["ms"], queue


def test_one_worker_does_not_wait(one_worker, visit):
    visitor = visit(one_worker.url)
    ms, queue = settled(visitor, 3.2)
    assert queue < 0.1
    for stage in ("pause of worker", "delay of rng", "delay of hasher"):
        assert ms[stage] >= 95, ms
    assert visitor.number("#worker-capacity") == 3.3 and visitor.number("#rng-capacity") == 10
    assert "1 worker can do 3.3 /s; rng could let 10 through: rng is 3" in visitor.plain("#lesson")
    assert "Another worker would help." in visitor.text("#lesson")
    visitor.picture("one-worker")


def test_ten_workers_wait_for_rng(ten_workers, visit):
    visitor = visit(ten_workers.url)
    ms, queue = settled(visitor, 9.7)
    assert 0.55 < queue < 0.8, ms
    assert ms["queue of rng"] == max(ms.values())
    assert visitor.number("#worker-capacity") == 33.3 and visitor.number("#rng-capacity") == 10
    assert 80 < float(visitor.text("#rng-busy").removesuffix("%")) <= 100
    assert "10 workers could do 33 /s; rng lets 10 through: rng is" in visitor.plain("#lesson")
    assert "Another rng would help, another worker would not." in visitor.text("#lesson")
    assert visitor.page.locator("#workers tbody tr").count() == 10
    visitor.picture("ten-workers")


def test_the_slow_version_has_its_own_band_and_row(canary, visit):
    visitor = visit(canary.url)
    visitor.until(lambda: visitor.page.locator("#chart path.line").count() == 2, 60)
    names = visitor.page.eval_on_selector_all("#chart path.line", "lines => lines.map((line) => line.dataset.name)")
    assert sorted(names) == ["v0.1", "v0.2"]
    legend = visitor.text("#dashboard figcaption")
    assert "v0.1" in legend and "v0.2" in legend
    visitor.until(lambda: visitor.page.locator("#workers tbody tr").count() == 2)
    speeds = {}
    for row in visitor.page.locator("#workers tbody tr").all():
        cells = [cell.strip() for cell in row.locator("th, td").all_inner_texts()]
        assert cells[0] and cells[2] == "1", cells
        speeds[cells[1]] = float(cells[4])
    # Eleven times slower; a busy machine slows the usual version down, but hardly the slow one.
    assert speeds["v0.1"] < 3.5 and 0.1 <= speeds["v0.2"] < speeds["v0.1"] / 3, speeds
    # The slow worker comes first.
    assert visitor.text("#workers tbody tr >> nth=0 >> .version").strip() == "v0.2"
    # The bands are stacked: the upper edge is the total speed.
    shown = dict(re.findall(r"(v0\.\d)\s+([\d.]+)", legend))
    assert abs(sum(map(float, shown.values())) - visitor.number("#speed")) < 0.5
