"""Policies about pods."""

import functools
import re

from kube import (
    ADMIN_PORT,
    LOAD,
    PROGRAMS,
    containers,
    get,
    pod_template,
    port_number,
    ports,
    quantity,
    seconds,
    title,
    walk,
)  # fmt: skip
from render import ROOT

SECRET = ("redis", "password")
SYSCTL = {"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}
REDIS_ENV = {"REDISCLI_AUTH"}


def per_container(render):
    for name, pod in render.pods():
        for container in containers(pod):
            yield f"{name}, container {container['name']}", name, pod, container


def probes(render):
    """startup, readiness and liveness probes: on the admin port of our programs, and of redis itself"""
    ours = {"startupProbe": "/readyz", "readinessProbe": "/readyz", "livenessProbe": "/healthz"}
    for where, name, pod, container in per_container(render):
        for probe, path in ours.items():
            settings = container.get(probe)
            if not settings:
                yield f"{where}: no {probe}"
                continue
            http, tcp, command = (settings.get(k) for k in ("httpGet", "tcpSocket", "exec"))
            if name in PROGRAMS:
                if not http or (http["path"], port_number(pod, http["port"])) != (path, ADMIN_PORT):
                    yield f"{where}: {probe} does not use {path} on the admin port"
            elif tcp and port_number(pod, tcp["port"]) != 6379:
                yield f"{where}: {probe} does not probe redis"
            elif not tcp and not (command and command["command"][0] == "redis-cli"):
                yield f"{where}: {probe} does not probe redis"


def resources(render):
    """requests and limits for CPU and memory"""
    for where, _, _, container in per_container(render):
        for what in "cpu", "memory":
            request, limit = (get(container, "resources", k, what) for k in ("requests", "limits"))
            if request is None or limit is None:
                yield f"{where}: no request or limit for {what}"
            elif not 0 < quantity(request) <= quantity(limit):
                yield f"{where}: requests more {what} than its limit"


def image_of(program):
    """The image of a program according to images.env."""
    settings = dict(line.split("=", 1) for line in (ROOT / "k8s/components/registry/images.env").read_text().split())
    return f"{settings['REGISTRY']}/{program}:{settings['TAG']}"


def images(render):
    """one container each, named like its program, with the image that images.env names"""
    for name, pod in render.pods():
        if [c["name"] for c in containers(pod)] != [name]:
            yield f"{name}: its container has another name"
    for where, name, _, container in per_container(render):
        image = container.get("image", "")
        tag = re.fullmatch(r"[^@]+?(?::([\w.-]+))?(@sha256:[0-9a-f]{64})?", image)
        if not tag or not (tag[1] or tag[2]) or tag[1] == "latest":
            yield f"{where}: {image!r} has no fixed tag"
        if name in PROGRAMS and image != image_of(name):
            yield f"{where}: {image!r} is not the image that images.env names"


@functools.cache
def default(setting):
    source = (ROOT / "chassis/src/settings.rs").read_text()
    return re.search(rf'default_value = "(\w+)".*\n\s*pub {setting.lower()}:', source)[1]


def grace(render):
    """the grace period is longer than SHUTDOWN_DELAY and SHUTDOWN_TIMEOUT together"""
    for where, name, pod, container in per_container(render):
        if name in PROGRAMS:
            env = {e["name"]: e.get("value") for e in container.get("env", [])}
            needed = sum(seconds(env.get(s) or default(s)) for s in ("SHUTDOWN_DELAY", "SHUTDOWN_TIMEOUT"))
            given = pod["spec"].get("terminationGracePeriodSeconds", 30)
            if given <= needed:
                yield f"{where}: killed after {given} s, but may need {needed:g} s"


def token(render):
    """no pod has a service-account token"""
    for name, pod in render.pods():
        if pod["spec"].get("automountServiceAccountToken") is not False:
            yield f"{name}: automountServiceAccountToken is not false"
        if any(path[-1:] == ("serviceAccountToken",) for path, _ in walk(pod)):
            yield f"{name}: a volume contains a token"


@functools.cache
def settings():
    """The names of each program's settings, from the table in README.md."""
    found = {name: set() for name in (*PROGRAMS, LOAD)}
    table = (ROOT / "README.md").read_text().split("## Settings")[1].split("\n## ")[0]
    for row in re.findall(r"^\| (.+?) \| (.+?) \|", table, re.MULTILINE):
        programs = found if row[0] == "all" else row[0].split(", ")
        for program in programs:
            if program in found:
                found[program] |= set(re.findall(r"`([A-Z][A-Z_]*)`", row[1]))
    # The load generator takes the settings of a worker as well.
    found[LOAD] |= found["worker"]
    assert all({"LOG_FORMAT", "DEBUG"} <= names for names in found.values()), found
    return found


def env(render):
    """each variable is a setting of the program in README.md, or part of the value of one"""
    services = {o["metadata"]["name"] for o in render.kind("Service")} | {*PROGRAMS, "redis", "kubernetes"}
    injected = re.compile(rf"({'|'.join(services).upper().replace('-', '_')})_(PORT(_.*)?|SERVICE_.*)")
    for where, name, _, container in per_container(render):
        known = settings()[name] if name in PROGRAMS else REDIS_ENV
        variables = container.get("env", [])
        names = [v["name"] for v in variables]
        texts = [v.get("value", "") for v in variables]
        commands = container.get("command", []) + container.get("args", [])
        if container.get("envFrom"):
            yield f"{where}: envFrom hides the names"
        for i, variable in enumerate(names):
            later = re.findall(r"\$\((\w+)\)", "".join(texts[i + 1 :] + commands))
            if variable not in known and variable not in later:
                yield f"{where}: {variable} is not a setting"
            if injected.fullmatch(variable):
                yield f"{where}: Kubernetes sets {variable} itself"
            if names.count(variable) > 1:
                yield f"{where}: {variable} is set twice"
            for used in re.findall(r"\$\((\w+)\)", texts[i]):
                if used not in names[:i]:
                    yield f"{where}: {variable} uses {used}, which is not set before it"
        for used in re.findall(r"\$\((\w+)\)", " ".join(commands)):
            if used not in names:
                yield f"{where}: a command uses {used}, which is not set"


def secrets(render):
    """only the documented secret is used, and no object contains a secret"""
    for o in render.objects:
        if o["kind"] == "Secret":
            yield f"{title(o)} is in the manifests"
        for path, value in walk(o):
            if path[-1:] == ("secretKeyRef",):
                if (value.get("name"), value.get("key")) != SECRET or value.get("optional"):
                    yield f"{title(o)} uses the key {value.get('key')} of the secret {value.get('name')}"
                if "redis-password" not in render.components:
                    yield f"{title(o)} uses a secret without redis-password"
            elif path and path[-1] in (
                "secretRef",
                "secretName",
                "secret",
                "imagePullSecrets",
                "tls",
                "certificateRefs",
            ):
                yield f"{title(o)}: {path[-1]}"


def storage(render):
    """root file systems are read-only, mounts have a volume, redis can write to /data, and there is no hostPath"""
    for o in render.workloads():
        pod = pod_template(o)
        volumes = {v["name"] for v in pod["spec"].get("volumes", [])}
        volumes |= {claim["metadata"]["name"] for claim in get(o, "spec", "volumeClaimTemplates", default=[])}
        for container in containers(pod):
            mounts = container.get("volumeMounts", [])
            if get(container, "securityContext", "readOnlyRootFilesystem") is not True:
                yield f"{title(o)}: its root file system is writable"
            if {m["name"] for m in mounts} - volumes:
                yield f"{title(o)}: a mount has no volume"
            if container["name"] == "redis" and "/data" not in [m["mountPath"] for m in mounts]:
                yield f"{title(o)}: /data is not writable"
    for o in render.objects:
        if any(path[-1:] == ("hostPath",) for path, _ in walk(o)):
            yield f"{title(o)}: hostPath"


def low_ports(render):
    """pods that listen below port 1024 have the sysctl that older container runtimes require"""
    for name, pod in render.pods():
        if any(port["containerPort"] < 1024 for port in ports(pod)):
            if SYSCTL not in get(pod, "spec", "securityContext", "sysctls", default=[]):
                yield f"{name}: no {SYSCTL['name']}"
