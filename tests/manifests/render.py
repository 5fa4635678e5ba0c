"""Renders combinations of components with kubectl."""

import concurrent.futures
import functools
import itertools
import json
import os
import pathlib
import re
import shutil
import subprocess

import yaml
from kube import ALTERNATIVES, Render

ROOT = pathlib.Path(__file__).resolve().parents[2]
BATCH = 8
# kubectl is faster with less garbage collection.
ENV = {**os.environ, "GOGC": "400"}
NAMESPACE = re.compile(r"^  namespace: (r\d+)$", re.MULTILINE)
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class RenderError(Exception):
    pass


def load(path):
    return [o for o in yaml.load_all(path.read_text(), Loader) if o is not None]


def kustomization(folder):
    return load(folder / "kustomization.yaml")[0]


@functools.cache
def parse(document):
    return yaml.load(document, Loader)


def kustomize(folder):
    """The rendered text of a folder."""
    done = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, env=ENV)
    if done.returncode or "# Warning" in done.stderr:
        raise RenderError(done.stderr.strip()[-300:])
    return done.stdout


def write(folder, **content):
    (folder / "kustomization.yaml").write_text(json.dumps(content))


def objects(text):
    return [o for o in map(parse, text.split("\n---\n")) if o]


def copy(original, folder):
    """A copy of a folder that can be modified."""
    return pathlib.Path(shutil.copytree(original, folder / original.name)).resolve()


def in_parallel(function, items):
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(function, items))


class Renderer:
    """Renders many folders in few processes, each in a temporary namespace that is removed from the result."""

    def __init__(self, scratch):
        self.scratch = scratch
        self.numbers = itertools.count()

    def folder(self):
        folder = self.scratch / f"r{next(self.numbers)}"
        folder.mkdir()
        return folder

    def render(self, combinations):
        """The objects, or a RenderError, for each pair of a resource folder and a list of component folders."""
        combinations = list(combinations)
        batches = [combinations[i : i + BATCH] for i in range(0, len(combinations), BATCH)]
        return list(itertools.chain.from_iterable(in_parallel(self.batch, batches)))

    def batch(self, combinations):
        folders = []
        for resource, components in combinations:
            folder = self.folder()
            paths = [os.path.relpath(f, folder) for f in (resource, *components)]
            write(folder, resources=paths[:1], components=paths[1:], namespace=folder.name)
            folders.append(folder)
        together = self.folder()
        write(together, resources=[f"../{f.name}" for f in folders])
        try:
            text = kustomize(together)
        except RenderError as error:
            if len(combinations) == 1:
                return [error]
            half = len(combinations) // 2
            return self.batch(combinations[:half]) + self.batch(combinations[half:])
        found = {f.name: [] for f in folders}
        for document in text.split("\n---\n"):
            found[NAMESPACE.search(document)[1]].append(parse(NAMESPACE.sub("", document)))
        return [found[f.name] for f in folders]


def all_components(k8s):
    return sorted(f.name for f in (k8s / "components").iterdir())


def overlays(k8s):
    return sorted(f.name for f in (k8s / "overlays").iterdir())


def used_components(folder):
    """The components that a folder uses, including those of its resources."""
    content, used = kustomization(folder), set()
    for component in content.get("components", []):
        used.add(pathlib.PurePath(component).name)
    for resource in content.get("resources", []):
        if (folder / resource).is_dir():
            used |= used_components((folder / resource).resolve())
    return used - {"registry"}


def allowed(components):
    return not set(ALTERNATIVES) <= set(components)


def plan(k8s):
    """The name, resource and components of every combination to render."""
    components = all_components(k8s)
    yield "base", "base", ()
    for component in components:
        yield f"base + {component}", "base", (component,)
    for pair in filter(allowed, itertools.combinations(components, 2)):
        yield f"base + {' + '.join(pair)}", "base", pair
    for left_out in ALTERNATIVES:
        yield f"everything but {left_out}", "base", tuple(c for c in components if c != left_out)
    for overlay in overlays(k8s):
        used = used_components(k8s / "overlays" / overlay)
        yield overlay, f"overlays/{overlay}", ()
        for component in components:
            if component not in used and allowed(used | {component}):
                yield f"{overlay} + {component}", f"overlays/{overlay}", (component,)


def combinations(k8s, planned):
    return [(k8s / resource, [k8s / "components" / c for c in components]) for _, resource, components in planned]


def render_plan(k8s, renderer, names=None):
    """The renders of the plan, or only those with the given names, and the errors."""
    planned = [p for p in plan(k8s) if names is None or p[0] in names]
    renders, errors = [], []
    for (name, resource, components), found in zip(planned, renderer.render(combinations(k8s, planned))):
        if isinstance(found, RenderError):
            errors.append(f"{name}: {found}")
        else:
            renders.append(Render(name, frozenset(used_components(k8s / resource) | set(components)), found))
    return renders, errors
