"""What the dashboard of Grafana asks Prometheus."""

import json

from documented import ROOT

PATH = ROOT / "monitoring/grafana/dashboards/dockercoins.json"
# What Grafana would put in the place of its variables.
VARIABLES = {"$__rate_interval": "10s", "$__range": "20s", "$namespace": ".*"}


def load():
    return json.loads(PATH.read_text())


def queries():
    """Title and query of each target."""
    for panel in load()["panels"]:
        for target in panel.get("targets", []):
            query = target["expr"]
            for name, value in VARIABLES.items():
                query = query.replace(name, value)
            yield panel["title"], query


def problems():
    """the dashboard of Grafana is whole"""
    content = load()
    defined = {f"${{{variable['name']}}}" for variable in content["templating"]["list"]}
    seen, places = set(), set()
    for panel in content["panels"]:
        title, place = panel["title"], panel["gridPos"]
        if panel["id"] in seen:
            yield f"{title}: another panel has its id"
        seen.add(panel["id"])
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        if cells & places or place["x"] + place["w"] > 24:
            yield f"{title}: does not fit where it is"
        places |= cells
        if panel["type"] != "row" and not panel["targets"]:
            yield f"{title}: asks nothing"
        for asked in (panel, *panel.get("targets", [])):
            if panel["type"] != "row" and asked["datasource"]["uid"] not in defined:
                yield f"{title}: no such data source"
    yield from (f"{title}: {query} has a variable" for title, query in queries() if "$" in query)
