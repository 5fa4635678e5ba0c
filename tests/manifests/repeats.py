"""Checks that each field of a patch is necessary: without it, the rendered text is different."""

import copy as copies
import dataclasses
import pathlib
import re

import yaml
from kube import ALTERNATIVES, title
from render import Loader, RenderError, all_components, copy, kustomization, load

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")
# Lists of a kustomization whose entries are tested one by one.
LISTS = ("components", "configMapGenerator", "images", "labels", "replacements", "replicas")


@dataclasses.dataclass(eq=False)
class Unit:
    """A part of a kustomization, and a copy of k8s without this part."""

    folder: pathlib.Path
    name: str
    targets: list
    root: pathlib.Path

    def job(self, root, others):
        """The combination to render: this unit and other components."""
        own = set()
        if self.folder.parent.name == "components" and self.folder.name != "registry":
            own = {self.folder.name}
        resource = "base" if self.folder.parent.name == "components" else self.folder
        # This overlay has every program, and the component as well.
        if self.folder.name == "registry":
            resource = "overlays/loadtest"
        return root / resource, tuple(root / "components" / c for c in sorted({*others, *own}))

    def partners(self, k8s):
        """The components that this unit may depend on."""
        if self.folder.parent.name != "components":
            return ["registry"]
        left_out = ALTERNATIVES[1] if self.folder.name == ALTERNATIVES[0] else ALTERNATIVES[0]
        return [c for c in all_components(k8s) if c not in ("registry", left_out)]


def no_repeats(k8s, renderer, only=None):
    """no patch repeats an existing field"""
    idle = still_idle(k8s, renderer, cut_out(k8s, renderer.folder(), only), lambda unit: [])
    # A unit without effect on the base may change another component.
    for unit in still_idle(k8s, renderer, idle, lambda unit: unit.partners(k8s)):
        yield f"{unit.folder}: {unit.name} changes nothing"


def cut_out(k8s, scratch, only):
    found = []
    for folder in [k8s / "base", *(k8s / "components").iterdir(), *(k8s / "overlays").iterdir()]:
        for name, targets, edit in units(folder) if only in (None, folder.name) else ():
            place = scratch / str(len(found))
            place.mkdir()
            found.append(Unit(folder.relative_to(k8s), name, targets, copy(k8s, place)))
            edit(found[-1].root / found[-1].folder)
    return found


def still_idle(k8s, renderer, units, others):
    """The units that do not change the result when these components are also used."""
    pairs = [(u, u.job(k8s, others(u)), u.job(u.root, others(u))) for u in units]
    jobs = list(dict.fromkeys(job for _, *both in pairs for job in both))
    found = dict(zip(jobs, renderer.render(jobs)))
    return [unit for unit, before, after in pairs if not changed(found[before], found[after], unit.targets)]


def changed(before, after, targets):
    if isinstance(after, RenderError) or isinstance(before, RenderError):
        return isinstance(after, RenderError) and not isinstance(before, RenderError)
    before, after = ({identity(o): o for o in found} for found in (before, after))
    hit = [i for i in before.keys() | after.keys() if any(matches(target, i) for target in targets)]
    differing = [i for i in before.keys() | after.keys() if before.get(i) != after.get(i)]
    return bool(differing) and all(i in differing for i in hit)


def identity(o):
    return "workload" if o["kind"] in WORKLOADS else o["kind"], o["metadata"]["name"]


def matches(target, found):
    kind = "workload" if target.get("kind") in (*WORKLOADS, None) else target["kind"]
    return kind == found[0] and re.fullmatch(target.get("name", ".*"), found[1])


def units(folder):
    """Yields each removable part of a kustomization: its name, the objects it must change, and the edit."""
    content = kustomization(folder)
    for key in LISTS:
        for i, entry in enumerate(content.get(key, [])):
            targets = [{"name": entry["name"]}] if key == "replicas" else []
            yield f"{key} {entry}", targets, lambda f, k=key, i=i: edit_kustomization(f, lambda c: c[k].pop(i))
    for i, patch in enumerate(content.get("patches", [])):
        path = patch.get("path")
        documents = load(folder / path) if path else list(yaml.load_all(patch["patch"], Loader))
        for name, targets, cut in patch_units(documents, patch.get("target")):
            yield name, targets, lambda f, i=i, path=path, cut=cut: edit_patch(f, i, path, cut)


def patch_units(documents, target):
    for d, document in enumerate(documents):
        if isinstance(document, list):
            for j, op in enumerate(document):
                yield f"{op['op']} {op['path']}", [target], lambda docs, d=d, j=j: docs[d].pop(j)
        elif "$patch" in document:
            # Without its target, the patch has no effect.
            yield f"delete {title(document)}", [target], lambda docs, d=d: docs.pop(d)
        else:
            targets = [target or {"kind": document["kind"], "name": document["metadata"]["name"]}]
            for path in leaves(document):
                name = f"{title(document)} {'.'.join(map(str, path))}"
                yield name, targets, lambda docs, d=d, path=path: cut(docs[d], path)


def leaves(document):
    """The paths of all fields, except those that identify the patched object."""
    identity = {("apiVersion",), ("kind",), ("metadata", "name")}

    def inside(value, path):
        if isinstance(value, dict):
            for key, inner in value.items():
                if not (isinstance(path[-1:] and path[-1], int) and key == "name"):
                    yield from inside(inner, (*path, key))
        elif isinstance(value, list) and any(isinstance(inner, dict) for inner in value):
            for i, inner in enumerate(value):
                yield from inside(inner, (*path, i))
        else:
            yield path

    return [path for path in inside(document, ()) if path not in identity]


def cut(document, path):
    *parents, last = path
    for key in parents:
        document = document[key]
    del document[last]


def edit_kustomization(folder, edit):
    content = copies.deepcopy(kustomization(folder))
    edit(content)
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(content))


def edit_patch(folder, number, path, edit):
    if path:
        documents = load(folder / path)
        edit(documents)
        (folder / path).write_text(yaml.safe_dump_all(documents))
        return

    def in_place(content):
        patch = content["patches"][number]
        documents = list(yaml.load_all(patch["patch"], Loader))
        edit(documents)
        if any(documents):
            patch["patch"] = yaml.safe_dump_all(documents) if len(documents) > 1 else yaml.safe_dump(documents[0])
        else:
            content["patches"].pop(number)

    edit_kustomization(folder, in_place)
