"""Computes from the network policies which connections are allowed."""

import dataclasses
import ipaddress
import itertools

from kube import LOAD, MONITORING, PROGRAMS, get, matches, pod_template, port_number, ports, title
from links import backends

OWN = "here"
PUBLIC = "webui:80/TCP"
NAME_SERVERS = (
    "the name server",
    "the node's name server",
    "the name server in a pod of the node",
    "the cloud's name server",
)
ARROWS = {
    "worker -> rng:80/TCP",
    "worker -> hasher:80/TCP",
    "worker -> redis:6379/TCP",
    "webui -> redis:6379/TCP",
    "a pod elsewhere -> webui:80/TCP",
    "the internet -> webui:80/TCP",
    *(
        f"{program} -> {server}:53/{protocol}"
        for program in ("worker", "webui")
        for server in NAME_SERVERS
        for protocol in ("TCP", "UDP")
    ),
}
# The load generator may connect to what a worker may connect to.
LOAD_ARROWS = {arrow.replace("worker", LOAD) for arrow in ARROWS if arrow.startswith("worker ->")}
SCRAPES = {f"prometheus -> {program}:9000/TCP" for program in PROGRAMS}


@dataclasses.dataclass
class Actor:
    name: str
    ip: str
    namespace: str | None = None
    labels: dict = dataclasses.field(default_factory=dict)
    template: dict | None = None


OUTSIDE = [
    Actor("a pod elsewhere", "10.42.1.1", "elsewhere"),
    Actor("the internet", "203.0.113.7"),
    Actor("a pod of the system", "10.42.1.4", "kube-system"),
    Actor("prometheus", "10.42.1.2", "monitoring", {"app.kubernetes.io/name": "prometheus"}),
    Actor("the name server", "10.42.1.3", "kube-system", {"k8s-app": "kube-dns"}),
    Actor("the node's name server", "169.254.20.10"),
    Actor("the name server in a pod of the node", "10.42.1.5", "kube-system", {"k8s-app": "node-local-dns"}),
    Actor("the cloud's name server", "169.254.169.254"),
]
ANY_POD = OUTSIDE[0].name


def arrows(render):
    """the network policies allow exactly the connections of the diagram"""
    policies = render.kind("NetworkPolicy")
    if bool(policies) != ("network-policies" in render.components):
        yield "there are network policies without their component, or none with it"
    if not policies:
        return
    found, one_sided = allowed_arrows(render, policies)
    wanted = ARROWS | (SCRAPES if MONITORING & render.components else set())
    wanted |= LOAD_ARROWS if render.kind("Job") else set()
    for arrow in sorted(found - wanted):
        yield f"not expected: {arrow}"
    for arrow in sorted(wanted - found):
        yield f"missing: {arrow}"
    for arrow in sorted(one_sided):
        yield f"allowed at one end only: {arrow}"
    for o in render.kind("Ingress", "HTTPRoute"):
        for name, _ in backends(o):
            [service] = [s for s in render.kind("Service") if s["metadata"]["name"] == name] or [{}]
            for port in get(service, "spec", "ports", default=[]):
                for pod_name, pod in render.matching({"matchLabels": service["spec"]["selector"]}):
                    number = port_number(pod, port.get("targetPort", port["port"]))
                    if f"{ANY_POD} -> {pod_name}:{number}/TCP" not in found:
                        yield f"{title(o)}: does not reach {pod_name}:{number}"


def allowed_arrows(render, policies):
    """The connections that both ends allow, and those that only one end allows."""
    pods = [
        Actor(o["metadata"]["name"], f"10.42.0.{i}", OWN, pod_template(o)["metadata"]["labels"], pod_template(o))
        for i, o in enumerate([*render.workloads(), *render.kind("Job")], 1)
    ]
    pods.append(Actor("a stranger among the pods", "10.42.0.99", OWN, {}, {"spec": {}}))
    rules = [r for p in policies for way in ("ingress", "egress") for r in p["spec"].get(way) or []]
    numbers = {53, 31337, *(port["containerPort"] for pod in pods for port in ports(pod.template))}
    numbers |= {
        p[key] for r in rules for p in r.get("ports", []) for key in ("port", "endPort") if isinstance(p.get(key), int)
    }
    found, one_sided = set(), set()
    for source in pods + OUTSIDE:
        for target in pods + OUTSIDE:
            out = ways(policies, "egress", source, target)
            into = ways(policies, "ingress", target, source)
            for number, protocol in itertools.product(numbers, ("TCP", "UDP", "SCTP")):
                wire = number, protocol, target
                ends = opens(out, wire), opens(into, wire)
                arrow = source.name, f"{target.name}:{number}/{protocol}"
                if all(ends) and (out is not None or into is not None):
                    found.add(arrow)
                elif any(ends) and source in pods and target in pods and arrow[1] != PUBLIC:
                    one_sided.add(f"{arrow[0]} -> {arrow[1]}")
    special = {a.name for a in OUTSIDE[2:]}
    return {f"{s} -> {t}" for s, t in found if s not in special or (ANY_POD, t) not in found}, one_sided


def ways(policies, direction, actor, other):
    """The rules that allow an actor to connect to another one in this direction; None without restrictions."""
    selecting = [
        p["spec"]
        for p in policies
        if actor.namespace == OWN and direction in types(p["spec"]) and matches(p["spec"]["podSelector"], actor.labels)
    ]
    if not selecting:
        return None
    side = "from" if direction == "ingress" else "to"
    return [
        rule
        for spec in selecting
        for rule in spec.get(direction) or []
        if not rule.get(side) or any(is_peer(peer, other) for peer in rule[side])
    ]


def types(spec):
    given = spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]
    return [t.lower() for t in given]


def is_peer(peer, actor):
    if "ipBlock" in peer:
        inside = [ipaddress.ip_address(actor.ip) in ipaddress.ip_network(block)
                  for block in (peer["ipBlock"]["cidr"], *peer["ipBlock"].get("except", []))]  # fmt: skip
        return inside[0] and not any(inside[1:])
    if actor.namespace is None:
        return False
    if "namespaceSelector" in peer:
        here = matches(peer["namespaceSelector"], {"kubernetes.io/metadata.name": actor.namespace})
    else:
        here = actor.namespace == OWN
    return here and matches(peer.get("podSelector", {}), actor.labels)


def opens(rules, wire):
    return rules is None or any(not r.get("ports") or any(is_port(p, *wire) for p in r["ports"]) for r in rules)


def is_port(port, number, protocol, target):
    if port.get("protocol", "TCP") != protocol:
        return False
    first = port.get("port")
    if isinstance(first, str):
        first = port_number(target.template or {}, first)
        return first == number
    return first is None or first <= number <= port.get("endPort", first)
