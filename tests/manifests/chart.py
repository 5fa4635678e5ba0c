"""Policies about the Helm chart. Each takes its folder."""

import importlib.util
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import schemas
import yaml
from kube import APPS, PROGRAMS, get, port_number, title
from render import ROOT, Loader, RenderError, load

CHART = ROOT / "charts/dockercoins"
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
# Of the package go-template, which exists for Linux on x86-64 only.
ENGINE = "import sys, go_template; go_template.render_template(*sys.argv[1:])"
HELM = shutil.which("helm") is not None
available = HELM or importlib.util.find_spec("go_template") is not None


def render(chart, *values):
    """The objects that the chart renders to with these values."""
    return helm(chart, *values) if HELM else stand_in(chart, *values)


def stand_in(chart, *values):
    """The same without Helm, by its template engine."""
    merged = load(chart / "values.yaml")[0]
    for layer in values:
        merge(merged, layer)
    text = "".join(file.read_text() for file in sorted((chart / "templates").iterdir()))
    # A function of Helm, in terms of the engine.
    text = text.replace("| quote", '| printf "%v" | printf "%q"')
    with tempfile.TemporaryDirectory() as scratch:
        template, data = pathlib.Path(scratch, "template"), pathlib.Path(scratch, "data")
        template.write_text(text)
        data.write_text(json.dumps({"Values": merged}))
        return objects(run(sys.executable, "-c", ENGINE, template, data, ""))


def merge(values, layer):
    for key, value in layer.items():
        if isinstance(value, dict) and isinstance(values.get(key), dict):
            merge(values[key], value)
        else:
            values[key] = value


def helm(chart, *values):
    options = []
    with tempfile.TemporaryDirectory() as scratch:
        for number, layer in enumerate(values):
            file = pathlib.Path(scratch, f"{number}.yaml")
            file.write_text(json.dumps(layer))
            options += ["--values", file]
        return objects(run("helm", "template", "dockercoins", chart, *options))


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RenderError(done.stderr.strip()[:300])
    return done.stdout


def objects(text):
    return [o for o in yaml.load_all(text, Loader) if o is not None]


def by_title(found):
    return {title(o): o for o in found}


def course():
    return by_title(o for file in (ROOT / "k8s/course").iterdir() for o in load(file))


def container(found, name):
    return by_title(found)[f"Deployment {name}"]["spec"]["template"]["spec"]["containers"][0]


def same(chart):
    """the chart renders the objects of k8s/course"""
    found, wanted = render(chart), course()
    if len(found) != len(wanted):
        yield f"{len(found)} objects"
    for key in by_title(found).keys() | wanted.keys():
        if by_title(found).get(key) != wanted.get(key):
            yield f"{key}: {by_title(found).get(key)}"


def single(chart):
    """none.yaml and one component render its objects, and nothing else"""
    [none] = load(chart / "none.yaml")
    if found := render(chart, none):
        yield f"none.yaml: {found}"
    for name in APPS:
        found = by_title(render(chart, none, {"components": {name: {"enabled": True}}}))
        if found != {key: o for key, o in course().items() if o["metadata"]["name"] == name}:
            yield f"{name}: {found}"


def settings(chart):
    """images, their Secret, replicas, variables and the type of a Service are settings"""
    env = {"DELAY": "0s", "CONCURRENCY": 8, "DEBUG": True}
    found = render(
        chart,
        {"registry": "registry.example.com/me", "tag": "v9", "pullSecret": "login"},
        {"components": {"worker": {"replicas": 0, "env": env}, "webui": {"serviceType": "LoadBalancer"}}},
    )
    for name in PROGRAMS:
        if container(found, name)["image"] != f"registry.example.com/me/{name}:v9":
            yield f"{name}: {container(found, name)['image']}"
    if container(found, "redis") != container(course().values(), "redis"):
        yield f"redis: {container(found, 'redis')}"
    if get(by_title(found)["Deployment rng"], "spec", "template", "spec", "imagePullSecrets") != [{"name": "login"}]:
        yield "the Secret for the registry is not a setting"
    if by_title(found)["Deployment worker"]["spec"]["replicas"] != 0:
        yield "replicas is not a setting"
    wanted = {"DELAY": "0s", "CONCURRENCY": "8", "DEBUG": "true"}
    if {e["name"]: e["value"] for e in container(found, "worker").get("env", [])} != wanted:
        yield f"variables: {container(found, 'worker').get('env')}"
    if by_title(found)["Service webui"]["spec"].get("type") != "LoadBalancer":
        yield "the type of a Service is not a setting"


def probes(chart):
    """probes: true sets the probes of the base, and redis stays without"""
    found = render(chart, {"probes": True})
    base = {o["metadata"]["name"]: o["spec"]["template"] for o in load(ROOT / "k8s/dockercoins.yaml")
            if o["kind"] == "Deployment"}  # fmt: skip
    for name in APPS:
        for probe in PROBES:
            wanted = dict(base[name]["spec"]["containers"][0][probe]) if name in PROGRAMS else None
            if wanted:
                wanted["httpGet"] |= {"port": port_number(base[name], get(wanted, "httpGet", "port"))}
            if container(found, name).get(probe) != wanted:
                yield f"{name}: {probe} {container(found, name).get(probe)}"


def valid(chart):
    """what the chart renders is valid in every release"""
    for o in render(chart, {"probes": True}):
        yield from schemas.problems(o)


POLICIES = (same, single, settings, probes, valid)
