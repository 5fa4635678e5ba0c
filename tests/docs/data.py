"""Checks of blocks that are data."""

import json
import pathlib
import sys

import yaml

sys.path.append(str(pathlib.Path(__file__).parents[1] / "manifests"))
import schemas  # noqa: E402

# `documented.py` of tests/monitoring reads the queries in docs/observability.md.
QUERIES = "docs/observability.md"
OTHERS = {"text", "html", "promql", "sh", "yaml", "json"}
# Objects that are not Kubernetes's own.
FOREIGN = ("argoproj.io/", "kind.x-k8s.io/", "kustomize.config.k8s.io/", "monitoring.coreos.com/")


def problems(page):
    """blocks of YAML and JSON parse, and their objects are valid in Kubernetes"""
    for block in page.blocks:
        where = f"{page.name}:{block.line}"
        if block.language not in OTHERS:
            yield f"{where}: unknown language {block.language}"
        if block.language == "promql" and page.name != QUERIES:
            yield f"{where}: only queries in {QUERIES} are checked"
        if block.language == "yaml":
            yield from (f"{where}: {problem}" for problem in objects(block.text))
        if block.language == "json":
            try:
                json.loads(block.text)
            except ValueError as error:
                yield f"{where}: {error}"


def objects(text):
    """The problems of YAML that may contain objects of Kubernetes."""
    try:
        documents = list(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        yield f"YAML: {' '.join(str(error).split())}"
        return
    for o in documents:
        if isinstance(o, dict) and {"apiVersion", "kind"} <= o.keys() and not o["apiVersion"].startswith(FOREIGN):
            found = {schemas.problem(o, release) for release in schemas.RELEASES} - {None}
            yield from (f"{o['kind']}: {problem}" for problem in found)
