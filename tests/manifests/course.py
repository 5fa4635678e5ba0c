"""Policies about k8s/dockercoins.yaml and k8s/course, which the course uses."""

import copy as copies

import schemas
from kube import ADMIN_PORT, APPS, containers, get
from render import kustomize, load, objects

LINES = 170
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


def plain(k8s, _):
    """k8s/course contains the objects of k8s/dockercoins.yaml, one per file, without all that a lesson can leave out"""
    files = {f.name: f for f in (k8s / "course").iterdir()}
    wanted = {f"{o['metadata']['name']}-{o['kind'].lower()}.yaml": reduced(o) for o in load(k8s / "dockercoins.yaml")}
    if files.keys() != wanted.keys():
        yield f"files: {sorted(files.keys() ^ wanted.keys())} missing or unknown"
    if (lines := sum(f.read_text().count("\n") for f in files.values())) > LINES:
        yield f"{lines} lines"
    for file in files.keys() & wanted.keys():
        found = load(files[file])
        if found != [wanted[file]]:
            yield f"{file}: {found} instead of {wanted[file]}"
        if any(unwanted in files[file].read_text() for unwanted in UNWANTED):
            yield f"{file}: a comment or a template"
        for o in found:
            yield from schemas.problems(o)


def reduced(o):
    """The object with only its names, labels, image and ports."""
    o = copies.deepcopy(o)
    if o["kind"] == "Service":
        for port in o["spec"]["ports"]:
            if port["targetPort"] == port["port"]:
                del port["targetPort"]
        return o
    template = o["spec"]["template"]
    template["spec"] = {"containers": [reduced_container(c) for c in containers(template)]}
    return o


def reduced_container(container):
    ports = [{"containerPort": p["containerPort"]} for p in container["ports"] if p["containerPort"] != ADMIN_PORT]
    kept = {"name": container["name"], "image": container["image"]}
    return kept | {"ports": ports} if ports else kept
