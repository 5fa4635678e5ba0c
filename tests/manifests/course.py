"""Policies about k8s/dockercoins.yaml, which the course uses."""

from kube import APPS, containers, get
from render import kustomize, objects

UNWANTED = ("#", "{{", "namespace:", "strategy:", "updateStrategy:", "minReadySeconds:", "NetworkPolicy")
SERVICES = {"hasher": (80, None), "redis": (6379, None), "rng": (80, None), "webui": (80, "NodePort")}


def rendered(k8s, _):
    """k8s/dockercoins.yaml is the rendered k8s/base"""
    if (k8s / "dockercoins.yaml").read_text() != kustomize(k8s / "base"):
        yield "k8s/dockercoins.yaml is out of date: run scripts/render"


def contract(k8s, _):
    """k8s/dockercoins.yaml contains exactly what the course expects"""
    text = (k8s / "dockercoins.yaml").read_text()
    for unwanted in UNWANTED:
        if unwanted in text:
            yield f"{unwanted} is in the file"
    found = objects(text)
    kinds = sorted((o["apiVersion"], o["kind"], o["metadata"]["name"]) for o in found)
    wanted = [("apps/v1", "Deployment", name) for name in APPS] + [("v1", "Service", name) for name in SERVICES]
    if kinds != sorted(wanted):
        yield f"objects: {kinds}"
        return
    for o in found:
        name = o["metadata"]["name"]
        labels = {"app": name}
        if o["metadata"]["labels"] != labels:
            yield f"{name}: labels {o['metadata']['labels']}"
        if o["kind"] == "Service":
            if o["spec"]["selector"] != labels:
                yield f"{name}: selects {o['spec']['selector']}"
            ports = [port["port"] for port in o["spec"]["ports"]]
            if (*ports, o["spec"].get("type")) != SERVICES[name]:
                yield f"{name}: ports {ports}, type {o['spec'].get('type')}"
            continue
        pod = o["spec"]["template"]
        if (o["spec"]["selector"], pod["metadata"]["labels"]) != ({"matchLabels": labels}, labels):
            yield f"{name}: selects {o['spec']['selector']}"
        image = "redis:8-alpine" if name == "redis" else f"127.0.0.1:5000/{name}:v0.1"
        if [(c["name"], c["image"]) for c in containers(pod)] != [(name, image)]:
            yield f"{name}: containers {[(c['name'], c['image']) for c in containers(pod)]}"
        if get(o, "spec", "replicas") != 1:
            yield f"{name}: {get(o, 'spec', 'replicas')} replicas"
