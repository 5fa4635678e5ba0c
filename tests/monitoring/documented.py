"""Reads the metrics, alerts and queries in docs/observability.md, and the rules."""

import pathlib
import re
from typing import NamedTuple

import yaml

ROOT = pathlib.Path(__file__).parents[2]
PAGE = (ROOT / "docs/observability.md").read_text()
SERVICES = ("rng", "hasher", "worker", "webui")


class Metric(NamedTuple):
    type: str
    labels: frozenset
    services: frozenset


def metrics():
    """The table of metrics as a dictionary by name."""
    found = {}
    for row in re.findall(r"^\| (`[a-z_]+` \| (?:counter|gauge|histogram|info) \|.*) \|$", PAGE, re.MULTILINE):
        name, kind, labels, services, _ = (cell.strip() for cell in row.split("|"))
        services = SERVICES if services == "all" else services.split()
        labels = frozenset(label.strip("`") for label in labels.split())
        found[name.strip("`")] = Metric(kind, labels, frozenset(services))
    return found


def series(name, metric):
    """The names of the series that Prometheus stores for a metric."""
    return {f"{name}_{part}" for part in ("bucket", "sum", "count")} if metric.type == "histogram" else {name}


def queries():
    """The PromQL queries of the page."""
    blocks = re.findall(r"^```promql\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line and not line.startswith("#")]


def anchors():
    """The anchors of the page's headings."""
    titles = re.findall(r"^#+ (.*)", PAGE, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def rules():
    """All rules in monitoring/rules, each with its file."""
    for file in sorted((ROOT / "monitoring/rules").glob("*.yml")):
        for group in yaml.safe_load(file.read_text())["groups"]:
            yield from ((file, rule) for rule in group["rules"])


def selected(query):
    """The names of the metrics in a query."""
    query = re.sub(r'"[^"]*"|\$\w+', "", query)
    query = re.sub(r"\{[^}]*\}|\[[^]]*\]|\b(by|on|group_left|group_right) *\([^)]*\)", " ", query)
    names = re.findall(r"(?<![\w.:])[a-zA-Z_:][\w:]*(?! *\()(?![\w:])", query)
    return set(names) - {"and", "or", "unless", "bool", "Inf", "NaN"}
