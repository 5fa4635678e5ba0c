"""The restricted Pod Security Standard, rule by rule: kubernetes.io/docs/concepts/security/pod-security-standards."""

from kube import containers, get, pod_template, title

SYSCTLS = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_syncookies",
}
VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip
SELINUX = {None, "", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
PROFILES = {"RuntimeDefault", "Localhost"}
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


def restricted(render):
    """pods satisfy the restricted Pod Security Standard"""
    for o in render.workloads():
        pod = pod_template(o)
        for problem in pod_problems(pod):
            yield f"{title(o)}: {problem}"


def pod_problems(pod):
    spec = pod["spec"]
    context = get(spec, "securityContext", default={})
    for key in "hostNetwork", "hostPID", "hostIPC":
        if spec.get(key):
            yield f"{key} is set"
    for sysctl in context.get("sysctls", []):
        if sysctl["name"] not in SYSCTLS:
            yield f"{sysctl['name']} is not a safe sysctl"
    for volume in spec.get("volumes", []):
        if not VOLUMES & volume.keys() or set(volume) - VOLUMES - {"name"}:
            yield f"volume {volume['name']} has a forbidden type"
    for key, value in get(pod, "metadata", "annotations", default={}).items():
        if key.startswith("container.apparmor.security.beta.kubernetes.io/"):
            if value != "runtime/default" and not value.startswith("localhost/"):
                yield f"AppArmor annotation {value}"
    yield from context_problems(context)
    for container in containers(pod):
        inner = get(container, "securityContext", default={})
        for problem in (*context_problems(inner), *container_problems(container, inner, context)):
            yield f"container {container['name']}: {problem}"


def context_problems(context):
    """Problems in the security context of a pod or a container."""
    if get(context, "windowsOptions", "hostProcess"):
        yield "hostProcess is set"
    if context.get("runAsUser") == 0:
        yield "runAsUser is 0"
    if get(context, "appArmorProfile", "type") not in {None, *PROFILES}:
        yield "AppArmor is off"
    if get(context, "seccompProfile", "type") not in {None, *PROFILES}:
        yield "seccomp is off"
    options = get(context, "seLinuxOptions", default={})
    if options.get("type") not in SELINUX or options.get("user") or options.get("role"):
        yield "seLinuxOptions are not allowed"


def container_problems(container, inner, outer):
    if inner.get("privileged"):
        yield "privileged"
    if inner.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation is not false"
    if inner.get("runAsNonRoot", outer.get("runAsNonRoot")) is not True:
        yield "runAsNonRoot is not true"
    if not get(inner, "seccompProfile", "type") and not get(outer, "seccompProfile", "type"):
        yield "no seccompProfile"
    if inner.get("procMount") not in (None, "Default"):
        yield "procMount is not the default"
    capabilities = get(inner, "capabilities", default={})
    if "ALL" not in capabilities.get("drop", []):
        yield "does not drop ALL capabilities"
    if set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        yield "adds capabilities"
    if any(port.get("hostPort") for port in container.get("ports", [])):
        yield "hostPort is set"
    hooks = [container.get(probe) for probe in PROBES]
    hooks += get(container, "lifecycle", default={}).values()
    if any(get(hook, action, "host") for hook in hooks for action in ("httpGet", "tcpSocket")):
        yield "a probe or hook names a host"
