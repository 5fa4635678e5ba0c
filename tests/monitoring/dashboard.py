"""The queries of the Grafana dashboard."""

import json

from documented import ROOT

PATH = ROOT / "monitoring/grafana/dashboards/dockercoins.json"
# Values for the variables that Grafana replaces.
VARIABLES = {"$__rate_interval": "10s", "$__range": "20s", "$namespace": ".*"}


def load():
    return json.loads(PATH.read_text())


def queries():
    """The title of the panel and the query of each target."""
    for panel in load()["panels"]:
        for target in panel.get("targets", []):
            query = target["expr"]
            for name, value in VARIABLES.items():
                query = query.replace(name, value)
            yield panel["title"], query


def problems():
    """the Grafana dashboard is consistent"""
    content = load()
    defined = {f"${{{variable['name']}}}" for variable in content["templating"]["list"]}
    seen, places = set(), set()
    for panel in content["panels"]:
        title, place = panel["title"], panel["gridPos"]
        if panel["id"] in seen:
            yield f"{title}: another panel has the same id"
        seen.add(panel["id"])
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        if cells & places or place["x"] + place["w"] > 24:
            yield f"{title}: overlaps another panel or the edge"
        places |= cells
        if panel["type"] != "row" and not panel["targets"]:
            yield f"{title}: has no query"
        for part in (panel, *panel.get("targets", [])):
            if panel["type"] != "row" and part["datasource"]["uid"] not in defined:
                yield f"{title}: no such data source"
    yield from (f"{title}: {query} has a variable" for title, query in queries() if "$" in query)
