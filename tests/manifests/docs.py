"""Policies about the YAML in the documentation."""

import re
import sys

import chart
import schemas
import yaml
from kube import get, pod_template, title
from render import ROOT, Loader, RenderError, copy, kustomize, load, objects

sys.path.append(str(ROOT / "tests/docs"))
from pages import pages  # noqa: E402

KUSTOMIZATION = {"components", "images", "namePrefix", "patches", "replacements", "resources"}
BASE = re.compile(r"https://github\.com/OWNER/REPO//k8s/([\w/-]+)\?ref=\w+")


def examples(k8s, renderer):
    """objects in the documentation are valid, and kustomizations render"""
    for page in pages():
        for block in page.code("yaml"):
            yield from (f"{page.name}:{block.line}: {problem}" for problem in problems(block.text, k8s, renderer))


def problems(text, k8s, renderer):
    try:
        documents = list(yaml.load_all(text, Loader))
    except yaml.YAMLError as error:
        yield str(error)
        return
    for o in documents:
        if not isinstance(o, dict):
            continue
        if "kind" in o and "apiVersion" in o:
            yield from object_problems(o)
        elif is_kustomization(o):
            yield from kustomization_problems(o, k8s, renderer)
        elif chart.CHART.name in o:
            yield from values_problems(o[chart.CHART.name])


def is_kustomization(o):
    return bool(o.keys() & KUSTOMIZATION) and all(isinstance(o[k], (list, str)) for k in o.keys() & KUSTOMIZATION)


def object_problems(o):
    if o["kind"] == "HelmRelease":
        yield from release_problems(get(o, "spec", "chart", "spec", "chart"), get(o, "spec", "values", default={}))
    elif o["kind"] in ("Application", "ApplicationSet"):
        spec = o["spec"] if o["kind"] == "Application" else o["spec"]["template"]["spec"]
        source = spec["source"]
        if not (ROOT / source["path"]).is_dir():
            yield f"{title(o)}: no folder {source['path']}"
        for file in get(source, "helm", "valueFiles", default=[]):
            if not (ROOT / source["path"] / file).is_file():
                yield f"{title(o)}: no file {file} in {source['path']}"
    else:
        yield from schemas.problems(o)


def release_problems(path, values):
    if ROOT / str(path) != chart.CHART:
        yield f"no chart {path}"
    yield from values_problems(values)


def values_problems(values):
    """Problems of values for our chart."""
    [defaults] = load(chart.CHART / "values.yaml")
    components = values.get("components", {})
    for unknown in [*(values.keys() - defaults.keys()), *(components.keys() - defaults["components"].keys())]:
        yield f"{unknown} is no value of the chart"
    if chart.available:
        for o in chart.render(chart.CHART, values):
            yield from object_problems(o)


def kustomization_problems(o, k8s, renderer):
    """Problems of the content of k8s/overlays/mine/kustomization.yaml."""
    folder = copy(k8s, renderer.folder()) / "overlays/mine"
    folder.mkdir()
    # Snippets for an overlay leave out what they add to.
    text = BASE.sub(r"../../\1", yaml.safe_dump({"resources": ["../../base"]} | o))
    (folder / "kustomization.yaml").write_text(text)
    try:
        found = objects(kustomize(folder))
    except RenderError as error:
        yield str(error)
        return
    for rendered in found:
        yield from object_problems(rendered)
    yield from address_problems(found)


def address_problems(found):
    """Addresses in variables that are no Service."""
    services = {o["metadata"]["name"] for o in found if o["kind"] == "Service"}
    for o in found:
        for container in get(pod_template(o), "spec", "containers", default=[]):
            urls = {v["name"]: v["value"] for v in container.get("env", []) if v["name"].endswith("_URL")}
            for name, url in urls.items():
                if re.sub(r"^\w+://(.*@)?|[:/].*", "", url) not in services:
                    yield f"{title(o)}: {name} is {url}"
            # The name of the Service that the program asks for by default.
            for peer in {"webui": ["redis"], "worker": ["hasher", "redis", "rng"]}.get(container["name"], []):
                if f"{peer.upper()}_URL" not in urls and peer not in services:
                    yield f"{title(o)}: no Service {peer}"
