"""Checks of files, without running a program."""

import re

import yaml
from documented import PAGE, ROOT, anchors, metrics, queries, rules, selected, series
from dashboard import queries as dashboard_queries


def known_names():
    """rules, dashboard and page use only documented metrics"""
    known = {"up", "ALERTS"} | {rule["record"] for _, rule in rules() if "record" in rule}
    for name, metric in metrics().items():
        known |= series(name, metric)
    used = [(file.name, rule["expr"]) for file, rule in rules()]
    used += [*dashboard_queries(), *(("the page", query) for query in queries())]
    for where, query in used:
        yield from (f"{where}: {name} in {query}" for name in selected(query) - known)


def runbooks():
    """each alert has a summary, a description, a severity, and its own section in the page"""
    for _, rule in rules():
        name = rule.get("alert")
        if not name:
            continue
        notes = rule["annotations"]
        if notes.get("runbook_url") != f"docs/observability.md#{name.lower()}" or name.lower() not in anchors():
            yield f"{name}: no section in the page"
        if not notes.get("summary") or not notes.get("description"):
            yield f"{name}: no summary or description"
        severity = rule["labels"]["severity"]
        section = PAGE.split(f"### {name}\n")[-1].split("\n###")[0]
        if f"*{severity}*" not in section:
            yield f"{name}: its section does not contain {severity}"
    known = {rule.get("alert") for _, rule in rules()}
    for name in re.findall(r"\bDockerCoins[A-Z]\w+", PAGE):
        if name not in known:
            yield f"no alert has the name {name}"


def recorded_names():
    """names of recording rules are level:metric:operations"""
    for _, rule in rules():
        name = rule.get("record", "a:b:c")
        if not re.fullmatch(r"[a-z_]+:[a-z_]+:[a-z0-9_]+", name):
            yield name


def compose():
    """Prometheus and Grafana have their own profile, are hardened, pinned and read-only, and listen on this host only"""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    for name, service in services.items():
        if (service.get("profiles") == ["monitoring"]) != (name in ("prometheus", "grafana")):
            yield f"{name}: profiles {service.get('profiles')}"
    for name in ("prometheus", "grafana"):
        service = services[name]
        if not (service["read_only"] and service["cap_drop"] == ["ALL"] and service["security_opt"]):
            yield f"{name}: not hardened"
        if not re.fullmatch(r"[a-z/]+:v?\d+\.\d+\.\d+", service["image"]):
            yield f"{name}: {service['image']} is not pinned"
        yield from (f"{name}: {port} is open to other hosts" for port in service["ports"] if not port.startswith("127.0.0.1:"))
        for source, _, *mode in (volume.split(":") for volume in service["volumes"]):
            if source.startswith(".") and (mode != ["ro"] or not (ROOT / source).is_dir()):
                yield f"{name}: {source} {mode}"


CHECKS = (known_names, runbooks, recorded_names, compose)
