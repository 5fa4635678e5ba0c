"""Functions to read rendered objects."""

import dataclasses
import itertools
import math
import re

PROGRAMS = ("hasher", "rng", "webui", "worker")
APPS = (*PROGRAMS, "redis")
# The name of the Job that generates load, which is only in the overlay loadtest.
LOAD = "load"
ADMIN_PORT = 9000
ALTERNATIVES = ("rng-autoscaling", "rng-daemonset")
MONITORING = {"monitoring", "pod-monitor"}


@dataclasses.dataclass(frozen=True)
class Render:
    """A rendered combination of components. Renders share objects, so never modify them."""

    name: str
    components: frozenset
    objects: list

    def kind(self, *kinds):
        return [o for o in self.objects if o["kind"] in kinds]

    def workloads(self):
        return [o for o in self.objects if is_workload(o)]

    def pods(self):
        """The name and the pod template of each workload."""
        return [(o["metadata"]["name"], pod_template(o)) for o in self.workloads()]

    def matching(self, selector):
        return [(name, pod) for name, pod in self.pods() if matches(selector, pod["metadata"].get("labels", {}))]


def get(value, *keys, default=None):
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return default if value is None else value


def title(o):
    return f"{o['kind']} {o['metadata']['name']}"


def walk(value, path=()):
    """Yields every nested value with its path."""
    yield path, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from walk(inner, (*path, key))


def pod_template(o):
    if o["kind"] == "Pod":
        return o
    spec = get(o, "spec", "jobTemplate", "spec") or get(o, "spec")
    template = get(spec, "template")
    return template if get(template, "spec", "containers") else None


def is_workload(o):
    """Whether it runs pods permanently. The Job has a policy of its own."""
    return o["kind"] != "Job" and bool(pod_template(o))


def containers(pod):
    """All containers of a pod, including init and ephemeral ones."""
    lists = ("initContainers", "containers", "ephemeralContainers")
    return list(itertools.chain.from_iterable(get(pod, "spec", key, default=[]) for key in lists))


def ports(pod):
    return [port for container in containers(pod) for port in container.get("ports", [])]


def port_number(pod, port):
    """The number of the declared port with this name or number, or None."""
    for declared in ports(pod):
        if port in (declared["containerPort"], declared.get("name")):
            return declared["containerPort"]
    return None


def matches(selector, labels):
    """Whether a label selector matches. An empty selector matches everything."""
    for key, value in get(selector, "matchLabels", default={}).items():
        if labels.get(key) != value:
            return False
    for expression in get(selector, "matchExpressions", default=[]):
        key, values = expression["key"], expression.get("values", [])
        holds = {
            "In": labels.get(key) in values,
            "NotIn": labels.get(key) not in values,
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }
        if not holds[expression["operator"]]:
            return False
    return True


SUFFIXES = {
    "": 1,
    "m": 1e-3,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}


def quantity(text):
    number, suffix = re.fullmatch(r"([0-9.]+)([a-zA-Z]*)", str(text)).groups()
    return float(number) * SUFFIXES[suffix]


def seconds(text):
    """The seconds of a duration such as 5s, 200ms or 1m30s."""
    units = {"ms": 1e-3, "s": 1, "m": 60, "h": 3600}
    parts = re.findall(r"([0-9.]+)(ms|[smh])", text)
    assert "".join(map("".join, parts)) == text, text
    return sum(float(number) * units[unit] for number, unit in parts)


def share(value, total):
    """A number of pods, given as a number or as a percentage (rounded up)."""
    percent = re.fullmatch(r"(\d+)%", str(value))
    return math.ceil(total * int(percent[1]) / 100) if percent else int(value)
