"""Checks everything under k8s/ and charts/: python tests/manifests. Requires kubectl and tests/requirements.txt."""

import collections
import pathlib
import shutil
import sys
import tempfile

try:
    import kubernetes_validate  # noqa: F401
except ImportError as error:
    print(f"skipped: {error}: install tests/requirements.txt")
    sys.exit(77)
if not shutil.which("kubectl"):
    print("skipped: no kubectl, which renders the manifests")
    sys.exit(77)

import chart
import docs
import files
import noticed
import orders
import repeats
import schemas
from kube import title
from policies import POLICIES
from render import ROOT, Renderer, render_plan

failed = False


def report(name, problems):
    """Prints the outcome, with each problem once, even if many renders have it."""
    global failed
    grouped = collections.defaultdict(list)
    for where, problem in problems:
        grouped[problem].append(where)
    print("not ok -" if grouped else "ok -", name)
    for problem, places in grouped.items():
        more = f" and {len(places) - 1} more" if len(places) > 1 else ""
        print(f"    {problem}" + (f" ({places[0]}{more})" if places[0] else ""))
    failed = failed or bool(grouped)


def plain(problems):
    return [("", problem) for problem in problems]


with tempfile.TemporaryDirectory() as scratch:
    k8s = ROOT / "k8s"
    renderer = Renderer(pathlib.Path(scratch))
    renders, errors = render_plan(k8s, renderer)
    report(f"kubectl renders {len(renders)} combinations", plain(errors))
    if errors:
        sys.exit(1)
    report("they render the same one by one and in any order", plain(orders.differences(k8s, renderer, renders)))
    report(orders.rejections.__doc__, plain(orders.rejections(k8s, renderer)))
    unique = {id(o): (r.name, o) for r in reversed(renders) for o in r.objects}.values()
    for release in schemas.RELEASES:
        found = ((where, o, schemas.problem(o, release)) for where, o in unique)
        report(f"valid in Kubernetes {release}", [(where, f"{title(o)}: {p}") for where, o, p in found if p])
    for policy in POLICIES:
        report(policy.__doc__, [(r.name, problem) for r in renders for problem in policy(r)])
    for policy in files.POLICIES:
        report(policy.__doc__, plain(policy(k8s, renderer)))
    for policy in chart.POLICIES if chart.available else ():
        report(f"charts: {policy.__doc__}", plain(policy(chart.CHART)))
    if not chart.available:
        print("charts: not checked, because there is neither helm nor the package go-template")
    report(docs.examples.__doc__, plain(docs.examples(k8s, renderer)))
    report(repeats.no_repeats.__doc__, plain(repeats.no_repeats(k8s, renderer)))
    for name, problems in noticed.run(k8s, renderer, renders):
        report(name, plain(problems))
sys.exit(failed)
