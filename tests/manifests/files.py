"""Policies about the files under k8s/. Each takes a copy of this folder and a renderer."""

import os
import pathlib

import by_hand
import course
import network
import yaml
from kube import LOAD, PROGRAMS, Render, title, walk
from render import (
    Loader,
    RenderError,
    combinations,
    copy,
    kustomization,
    kustomize,
    objects,
    plan,
    used_components,
    write,
)

RENDERED = "dockercoins.yaml"
# Used by Helm only.
VALUES = "components/rng-autoscaling/prometheus-adapter.values.yaml"


def files(k8s):
    return [f for f in sorted(k8s.rglob("*")) if f.is_file()]


def no_orphans(k8s, _):
    """every file is used by a kustomization"""
    used = {k8s / RENDERED, k8s / VALUES, *(k8s / "course").iterdir()}
    for folder in [*(k8s / "components").iterdir(), *(k8s / "overlays").iterdir()]:
        used |= reached(k8s, folder)
    yield from (f"{f.relative_to(k8s)}: unused" for f in files(k8s) if f not in used)
    yield from (f"{f.relative_to(k8s)}: missing" for f in used if not f.is_file())


def reached(k8s, folder):
    """The files of a kustomization and of the folders that it references."""
    found = {folder / "kustomization.yaml"}
    if (folder / "kustomization.yaml").is_file():
        names = [value for _, value in walk(kustomization(folder)) if isinstance(value, str) and "\n" not in value]
        for named in ((folder / name).resolve() for name in names):
            if named.is_file():
                found.add(named)
            elif named.is_dir() and named.parent in (k8s, k8s / "components", k8s / "overlays"):
                found |= reached(k8s, named)
    return found


def no_secrets(k8s, _):
    """no file contains a secret"""
    for file in files(k8s):
        if file.suffix in (".yaml", ".yml", ".json"):
            for content in yaml.load_all(file.read_text(), Loader):
                for path, value in walk(content):
                    if path[-1:] == ("kind",) and value == "Secret" or path[-1:] == ("secretGenerator",):
                        yield f"{file.relative_to(k8s)} contains a Secret"


def named_once(k8s, _):
    """registry and tag occur once, apart from the files that scripts/render writes"""
    settings = dict(line.split("=", 1) for line in (k8s / "components/registry/images.env").read_text().split())
    written = {k8s / RENDERED, *(k8s / "course").iterdir()}
    texts = {f.relative_to(k8s): f.read_text() for f in files(k8s) if f not in written}
    for setting, value in settings.items():
        found = [str(name) for name, text in texts.items() for _ in range(text.count(value))]
        if len(found) != 1:
            yield f"{setting} {value} is in {', '.join(found)}"


def apart(k8s, _):
    """plain manifests and kustomizations are in different folders, so that kubectl apply -f accepts the folder"""
    found = [f.name for f in k8s.iterdir() if f.is_file()]
    if found != [RENDERED]:
        yield f"k8s contains {found}"


def sorted_components(k8s, _):
    """overlays and the base apply components in alphabetical order"""
    for folder in [k8s / "base", *(k8s / "overlays").iterdir()]:
        named = [pathlib.PurePath(c).name for c in kustomization(folder).get("components", [])]
        if named != sorted(named):
            yield f"{folder.name}: {named}"


def images_follow(k8s, renderer):
    """another REGISTRY and TAG change the images of our programs and nothing else"""
    registry, tag = "ghcr.io/me/dockercoins", "v9"
    other = copy(k8s, renderer.folder())
    (other / "components/registry/images.env").write_text(f"REGISTRY={registry}\nTAG={tag}\n")
    planned = [p for p in plan(k8s) if p[0].startswith("everything") or not p[2]]
    found = renderer.render([*combinations(k8s, planned), *combinations(other, planned)])
    for (name, _, _), before, after in zip(planned, found, found[len(planned) :]):
        if isinstance(before, RenderError) or isinstance(after, RenderError):
            yield f"{name}: {before if isinstance(before, RenderError) else after}"
            continue
        changed = {k: v for old, new in zip(before, after) for k, v in changes(old, new, title(old)).items()}
        images = sorted(str(new) for _, new in changed.values())
        wanted = [*PROGRAMS, *(LOAD for o in before if o["kind"] == "Job")]
        if len(before) != len(after) or images != sorted(f"{registry}/{p}:{tag}" for p in wanted):
            yield f"{name}: {changed}"


def labelled(k8s, renderer):
    """labels of an overlay in all selectors change no connection that the network policies allow"""
    labels = [{"includeSelectors": True, "pairs": {"team": "blue"}}]
    for overlay, components in ("production", ()), ("loadtest", ("monitoring", "network-policies")):
        folder = renderer.folder()
        write(
            folder,
            resources=[os.path.relpath(k8s / "overlays" / overlay, folder)],
            components=[os.path.relpath(k8s / "components" / c, folder) for c in components],
            labels=labels,
        )
        used = used_components(k8s / "overlays" / overlay) | set(components)
        render = Render(f"{overlay} with labels", frozenset(used), objects(kustomize(folder)))
        yield from (f"{render.name}: {problem}" for problem in network.arrows(render))


POLICIES = (
    no_orphans,
    no_secrets,
    named_once,
    apart,
    sorted_components,
    images_follow,
    course.rendered,
    course.contract,
    course.plain,
    by_hand.by_hand,
    labelled,
)


def changes(old, new, path):
    """The paths at which two values differ, with both values."""
    if type(old) is type(new) and isinstance(old, dict) and old.keys() == new.keys():
        return {k: v for key in old for k, v in changes(old[key], new[key], f"{path} {key}").items()}
    if type(old) is type(new) and isinstance(old, list) and len(old) == len(new):
        return {k: v for i in range(len(old)) for k, v in changes(old[i], new[i], f"{path} {i}").items()}
    return {} if old == new else {path: (old, new)}
