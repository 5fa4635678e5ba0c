"""Compares renders that must be equal."""

from kube import ALTERNATIVES, title
from render import RenderError, combinations, in_parallel, kustomize, objects, plan

# The order of these pairs matters; the alphabetical one is correct.
ORDERED = {("disruption-budgets", "rng-daemonset"), ("rng-daemonset", "topology-spread")}


def unordered(value):
    """The value with sorted environment variables, because their order does not matter here."""
    if isinstance(value, dict):
        value = {key: unordered(item) for key, item in value.items()}
        if "env" in value:
            value["env"].sort(key=lambda variable: variable["name"])
    elif isinstance(value, list):
        value = [unordered(item) for item in value]
    return value


def as_set(found):
    return sorted(unordered(found), key=title)


def differences(k8s, renderer, renders):
    """Yields renders that batches or the order of components change."""
    expected = {r.name: r.objects for r in renders}
    alone = [(name, k8s / folder) for name, folder, components in plan(k8s) if not components and name in expected]
    for (name, _), text in zip(alone, in_parallel(lambda job: kustomize(job[1]), alone)):
        if objects(text) != expected[name]:
            yield f"{name}: renders differently in a batch"
    pairs = [p for p in plan(k8s) if p[1] == "base" and len(p[2]) == 2 and p[0] in expected]
    backwards = [(name, resource, components[::-1]) for name, resource, components in pairs]
    for (name, _, pair), found in zip(pairs, renderer.render(combinations(k8s, backwards))):
        if isinstance(found, RenderError):
            yield f"{name}: does not render backwards: {found}"
        elif (as_set(found) == as_set(expected[name])) == (pair in ORDERED):
            yield f"{name}: the order {'no longer matters' if pair in ORDERED else 'matters'}"


def rejections(k8s, renderer):
    """kustomize rejects both alternatives together"""
    [found] = renderer.render(combinations(k8s, [("both", "base", ALTERNATIVES)]))
    if not isinstance(found, RenderError):
        yield f"{' and '.join(ALTERNATIVES)} render"
