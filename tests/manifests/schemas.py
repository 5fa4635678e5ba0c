"""Validates objects against the schemas of several releases of Kubernetes."""

import functools
import json
import pathlib

import jsonschema
import kubernetes_validate
from kube import title
from kubernetes_validate import utils

# An old release that clusters still use, and all supported ones in November 2026.
RELEASES = ("1.30", "1.35", "1.36", "1.37")
CUSTOM = {
    ("gateway.networking.k8s.io/v1", "HTTPRoute"): "httproute-v1.json",
    ("gateway.networking.k8s.io/v1", "TLSRoute"): "tlsroute-v1.json",
    ("monitoring.coreos.com/v1", "PodMonitor"): "podmonitor-v1.json",
}
# Kinds that have no schema here.
UNKNOWN = {"ClusterPolicy", "GitRepository", "PrometheusRule"}
utils.schema_contents = functools.cache(utils.schema_contents)


@functools.cache
def custom(file):
    schema = json.loads((pathlib.Path(__file__).parent / "schemas" / file).read_text())
    return jsonschema.Draft202012Validator(schema)


def problems(o):
    """The problems of an object in all releases."""
    for release in RELEASES if o["kind"] not in UNKNOWN else ():
        if found := problem(o, release):
            yield f"{title(o)} in {release}: {found}"


def problem(o, release):
    """The problem of an object, or None."""
    file = CUSTOM.get((o["apiVersion"], o["kind"]))
    try:
        if file:
            custom(file).validate(o)
        elif kubernetes_validate.validate(o, release, strict=True) != release:
            return f"no schemas of {release}"
    except jsonschema.ValidationError as error:
        return f"{'.'.join(map(str, error.absolute_path))}: {error.message[:300]}"
    except kubernetes_validate.SchemaNotFoundError:
        return f"no schema for {o['apiVersion']} {o['kind']}"
    return None
