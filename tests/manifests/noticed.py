"""Applies each mutation of mutations.py and checks that its policy detects it."""

import copy as copies
import pathlib
import tempfile

import chart
import docs
import files
import mutations
import orders
import schemas
from kube import title
from policies import POLICIES
from render import copy, in_parallel, render_plan
from repeats import no_repeats


def run(k8s, renderer, renders):
    """Yields the name of each policy and the mutations that it does not detect."""
    named = {r.name: r for r in renders}
    for policy in POLICIES:
        changes = mutations.RENDERED.get(policy, [])
        missed = [describe(change) for change in changes if not detects(policy, change, named)]
        yield outcome(policy.__doc__, changes, missed)
    missed = [f"{describe(change)} in {release}" for change in mutations.INVALID for release in schemas.RELEASES
              if not any(schemas.problem(o, release) for o in mutate(change, named))]  # fmt: skip
    yield outcome("valid in every release", mutations.INVALID, missed)
    for policy in files.POLICIES:
        changes = mutations.IN_FILES.get(policy, [])
        missed = [describe(change) for change in changes if not on_copy(k8s, change, lambda k: list(policy(k, renderer)))]
        yield outcome(policy.__doc__, changes, missed)
    for policy in chart.POLICIES if chart.available else ():
        changes = mutations.IN_CHART.get(policy, [])
        detected = in_parallel(
            lambda change: on_copy(chart.CHART, change, lambda copied: list(policy(copied))), changes
        )
        missed = [describe(change) for change, found in zip(changes, detected) if not found]
        yield outcome(policy.__doc__, changes, missed)
    missed = [
        describe(change)
        for folder, *change in mutations.REPEATED
        if not on_copy(k8s, change, lambda k: list(no_repeats(k, renderer, only=folder)))
    ]
    yield outcome(no_repeats.__doc__, mutations.REPEATED, missed)
    found = in_parallel(lambda text: list(docs.problems(text, k8s, renderer)), mutations.EXAMPLES)
    missed = [("a block", text, "no problem") for text, problems in zip(mutations.EXAMPLES, found) if not problems]
    yield outcome(docs.examples.__doc__, mutations.EXAMPLES, [describe(m) for m in missed])
    yield from whole(k8s, renderer)


def whole(k8s, renderer):
    """The same for the checks of whole renders."""
    pair = ["base + redis-password + redis-persistence"]
    for name, change, policy in (
        (
            "render errors",
            ("components/ingress/kustomization.yaml", "ingress.yaml", "missing.yaml"),
            lambda k: render_plan(k, renderer, ["base + ingress"])[1],
        ),
        (
            "an order that matters",
            ("components/redis-password/kustomization.yaml", "{group: apps, name: redis}", "{kind: Deployment, name: redis}"),
            lambda k: list(orders.differences(k, renderer, render_plan(k, renderer, pair)[0])),
        ),
        (
            orders.rejections.__doc__,
            ("components/rng-daemonset/kustomization.yaml", "    - {op: remove, path: /spec/replicas}\n", ""),
            lambda k: list(orders.rejections(k, renderer)),
        ),
    ):  # fmt: skip
        yield outcome(name, [change], [] if on_copy(k8s, change, policy) else [describe(change)])


def outcome(name, changes, missed):
    return f"detects mutations ({len(changes)}): {name}", [f"not detected: {m}" for m in missed] or (
        [] if changes else ["no mutation"]
    )


def describe(change):
    place, path, value = change[:3]
    return f"{place or 'added'} {path or ''} {'gone' if value is mutations.GONE else value}"


def detects(policy, change, named):
    before = named[change[3] if len(change) > 3 else mutations.FULL]
    after = type(before)(before.name, before.components, mutate(change, named))
    return set(policy(after)) - set(policy(before))


def mutate(change, named):
    place, path, value = change[:3]
    found = copies.deepcopy(named[change[3] if len(change) > 3 else mutations.FULL].objects)
    if place is None:
        return [*found, value]
    [changed] = [o for o in found if title(o) == place]
    if not path:
        return [o for o in found if o is not changed]
    put(changed, path.split(), copies.deepcopy(value) if value is not mutations.GONE else mutations.GONE)
    return found


def put(inside, path, value):
    *parents, last = path
    for key in parents:
        inside = inside[int(key)] if isinstance(inside, list) else inside.setdefault(key, {})
    if last == "-":
        inside.append(value)
        return
    last = int(last) if isinstance(inside, list) else last
    if value is mutations.GONE:
        del inside[last]
    else:
        inside[last] = value


def on_copy(folder, change, policy):
    file, old, new = change
    with tempfile.TemporaryDirectory() as scratch:
        other = copy(folder, pathlib.Path(scratch))
        path = other / file
        path.parent.mkdir(exist_ok=True)
        text = path.read_text() if old is not None else ""
        assert old is None or old in text, f"{file} does not contain {old!r}"
        path.write_text(text.replace(old, new, 1) if old is not None else new)
        return policy(other)
