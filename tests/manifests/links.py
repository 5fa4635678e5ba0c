"""Policies about references between objects."""

import functools
import re

from kube import ADMIN_PORT, APPS, LOAD, MONITORING, PROGRAMS, get, is_workload, matches, pod_template
from kube import port_number, ports, share, title
from render import ROOT, load

PORTS = {"hasher": 80, "redis": 6379, "rng": 80, "webui": 80}
ADAPTER = ROOT / "k8s/components/rng-autoscaling/prometheus-adapter.values.yaml"


def objects(render):
    """five programs and four Services, each object once and without a namespace"""
    if sorted(name for name, _ in render.pods()) != sorted(APPS):
        yield f"workloads: {sorted(name for name, _ in render.pods())}"
    for o in render.workloads():
        if o["kind"] not in ("Deployment", "StatefulSet", "DaemonSet"):
            yield f"{title(o)} is not a Deployment, StatefulSet or DaemonSet"
    found = {o["metadata"]["name"]: [p["port"] for p in o["spec"]["ports"]] for o in render.kind("Service")}
    if found != {name: [port] for name, port in PORTS.items()}:
        yield f"services: {found}"
    titles = [title(o) for o in render.objects]
    for o in render.objects:
        if titles.count(title(o)) > 1:
            yield f"{title(o)} exists twice"
        if "namespace" in o["metadata"]:
            yield f"{title(o)} is in a namespace"


def labels(render):
    """app=<name> on objects, selectors and pods"""
    for o in render.objects:
        name = o["metadata"]["name"]
        expected = {"app": name}
        if name in APPS and get(o, "metadata", "labels", "app") != name:
            yield f"{title(o)}: its labels lack app={name}"
        if o["kind"] == "Service" and o["spec"].get("selector") != expected:
            yield f"{title(o)}: selects {o['spec'].get('selector')}"
        if is_workload(o):
            if o["spec"].get("selector") != {"matchLabels": expected}:
                yield f"{title(o)}: selects {o['spec'].get('selector')}"
            if get(pod_template(o), "metadata", "labels", "app") != name:
                yield f"{title(o)}: its pods lack app={name}"


def selectors(render):
    """every selector matches pods, and that of a workload only its own"""
    monitored = bool(MONITORING & render.components)
    for o in render.objects:
        spec = o.get("spec", {})
        if is_workload(o):
            found = [name for name, _ in render.matching(spec["selector"])]
            if found != [o["metadata"]["name"]]:
                yield f"{title(o)}: its selector matches {found}"
            own = pod_template(o)["metadata"]["labels"]
            for constraint in get(pod_template(o), "spec", "topologySpreadConstraints", default=[]):
                if not matches(constraint["labelSelector"], own) or not constraint["labelSelector"]:
                    yield f"{title(o)}: spreads pods other than its own"
        elif o["kind"] == "NetworkPolicy":
            unused = spec["podSelector"] == {"matchLabels": {"monitoring": "enabled"}} and not monitored
            if bool(render.matching(spec["podSelector"])) == unused:
                yield f"{title(o)}: its selector matches {'unexpected pods' if unused else 'no pod'}"
            for direction, side in ("ingress", "from"), ("egress", "to"):
                for rule in spec.get(direction, []):
                    for peer in rule.get(side, []):
                        yield from peer_problems(render, o, peer)
        elif "selector" in spec and o["kind"] != "Service":
            if not render.matching(spec["selector"]):
                yield f"{title(o)}: its selector matches no pod"


def peer_problems(render, o, peer):
    if "namespaceSelector" in peer or "podSelector" not in peer:
        return
    selector = peer["podSelector"]
    if not render.matching(selector):
        yield f"{title(o)}: a peer matches no pod"
    for expression in selector.get("matchExpressions", []):
        for value in expression.get("values", []):
            # The policies also allow load in renders without its Job.
            if value != LOAD and not render.matching({"matchLabels": {expression["key"]: value}}):
                yield f"{title(o)}: no pod has {expression['key']}={value}"


def services(render):
    """each Service has pods that declare its port"""
    for o in render.kind("Service"):
        found = render.matching({"matchLabels": get(o, "spec", "selector", default={"": ""})})
        if len(found) != 1:
            yield f"{title(o)}: pods of {[name for name, _ in found]}"
        for port in o["spec"]["ports"]:
            for name, pod in found:
                if port_number(pod, port.get("targetPort", port["port"])) is None:
                    yield f"{title(o)}: {name} declares no port {port.get('targetPort')}"


def backends(o):
    """The Services and ports to which an object forwards."""
    spec = o.get("spec", {})
    if o["kind"] == "Ingress":
        found = [path["backend"] for rule in spec.get("rules", []) for path in rule["http"]["paths"]]
        for backend in found + [b for b in [spec.get("defaultBackend")] if b]:
            service = backend["service"]
            yield service["name"], service["port"].get("number") or service["port"].get("name")
    elif o["kind"] == "HTTPRoute":
        for rule in spec["rules"]:
            for backend in rule["backendRefs"]:
                yield backend["name"], backend["port"]
    elif o["kind"] == "StatefulSet":
        yield spec.get("serviceName"), None


def routes(render):
    """objects that forward to a Service use an existing Service and port"""
    services = {o["metadata"]["name"]: o for o in render.kind("Service")}
    for o in render.objects:
        found = list(backends(o))
        if o["kind"] in ("Ingress", "HTTPRoute") and {name for name, _ in found} != {"webui"}:
            yield f"{title(o)}: forwards to {found}"
        for name, port in found:
            known = [
                p for s in [services.get(name)] if s for e in s["spec"]["ports"] for p in (e["port"], e.get("name"))
            ]
            if not known or port not in (None, *known):
                yield f"{title(o)}: no Service {name} with port {port}"


def autoscaler(render):
    """each autoscaler has a target, which sets no replicas, and a metric of the adapter"""
    rules = load(ADAPTER)[0]["rules"]["custom"]
    offered = {rule["name"]["as"] for rule in rules if rule["seriesQuery"].startswith(rule["name"]["as"] + "{")}
    for o in render.kind("HorizontalPodAutoscaler"):
        ref = o["spec"]["scaleTargetRef"]
        target = [w for w in render.workloads() if w["kind"] == ref["kind"] and w["metadata"]["name"] == ref["name"]]
        if not target or target[0]["apiVersion"] != ref.get("apiVersion") or ref["kind"] == "DaemonSet":
            yield f"{title(o)}: no {ref['kind']} {ref['name']} to scale"
        if any("replicas" in w["spec"] for w in target):
            yield f"{title(o)}: its target sets replicas"
        if o["spec"].get("minReplicas", 1) > o["spec"]["maxReplicas"]:
            yield f"{title(o)}: minReplicas above maxReplicas"
        for name in metrics(o):
            if name not in offered:
                yield f"{title(o)}: the adapter has no rule for {name}"


def metrics(o):
    return [get(m, "pods", "metric", "name") for m in o["spec"]["metrics"]]


@functools.cache
def source(crate):
    return "".join(file.read_text() for file in sorted((ROOT / crate / "src").rglob("*.rs")))


def metrics_exist(render):
    """the metrics and paths in the manifests exist in the sources"""
    for o in render.kind("HorizontalPodAutoscaler"):
        for name in metrics(o):
            registered = rf'register\w*\(\s*"{re.escape(name)}"'
            if not re.search(registered, source(o["spec"]["scaleTargetRef"]["name"])):
                yield f"{title(o)}: no metric {name} in rng/src"
    paths = {get(pod, "metadata", "annotations", "prometheus.io/path") for _, pod in render.pods()}
    paths |= {e.get("path", "/metrics") for o in render.kind("PodMonitor") for e in o["spec"]["podMetricsEndpoints"]}
    for path in paths - {None}:
        if f'"{path}"' not in source("chassis"):
            yield f"no {path} in chassis/src"


def monitoring(render):
    """Prometheus finds all four programs with a monitoring component, and none without one"""
    marked = {name for name, pod in render.pods() if get(pod, "metadata", "labels", "monitoring") == "enabled"}
    if marked != set(PROGRAMS if MONITORING & render.components else ()):
        yield f"monitoring=enabled on {sorted(marked)}"
    for name, pod in render.pods():
        notes = get(pod, "metadata", "annotations", default={})
        scraped = notes.get("prometheus.io/scrape") == "true"
        if scraped != (name in PROGRAMS and "monitoring" in render.components):
            yield f"{name}: scraped by annotation: {scraped}"
        if scraped and notes.get("prometheus.io/port") != str(ADMIN_PORT):
            yield f"{name}: not scraped on the admin port"
    for o in render.kind("PodMonitor"):
        for name, pod in render.matching(o["spec"]["selector"]):
            for endpoint in o["spec"]["podMetricsEndpoints"]:
                named = [p["containerPort"] for p in ports(pod) if p.get("name") == endpoint["port"]]
                if named != [ADMIN_PORT]:
                    yield f"{title(o)}: {endpoint['port']} of {name} is not the admin port"


def budgets(render):
    """disruption budgets never block a drain"""
    for o in render.kind("PodDisruptionBudget"):
        spec = o["spec"]
        if spec.get("unhealthyPodEvictionPolicy") != "AlwaysAllow":
            yield f"{title(o)}: unhealthy pods block a drain"
        for name, _ in render.matching(spec["selector"]):
            [workload] = [w for w in render.workloads() if w["metadata"]["name"] == name]
            if workload["kind"] == "DaemonSet":
                yield f"{title(o)}: {name} is a DaemonSet, which has no number of replicas"
            scaled = [h["spec"].get("minReplicas", 1) for h in render.kind("HorizontalPodAutoscaler")
                      if h["spec"]["scaleTargetRef"]["name"] == name]  # fmt: skip
            replicas = scaled[0] if scaled else workload["spec"].get("replicas", 1)
            if "minAvailable" in spec:
                spare = replicas - share(spec["minAvailable"], replicas)
            else:
                spare = share(spec["maxUnavailable"], replicas)
            if spare < 1:
                yield f"{title(o)}: none of the {replicas} pods can be evicted"
