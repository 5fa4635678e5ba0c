"""Checks that k8s/dockercoins.yaml holds what the course builds on, and nothing else."""

import pathlib

import yaml

text = (pathlib.Path(__file__).parent.parent / "k8s/dockercoins.yaml").read_text()
objects = list(yaml.safe_load_all(text))
deployments = {o["metadata"]["name"]: o for o in objects if o["kind"] == "Deployment"}
services = {o["metadata"]["name"]: o for o in objects if o["kind"] == "Service"}

for unwanted in "#", "{{", "namespace:", "strategy:", "minReadySeconds:", "NetworkPolicy":
    assert unwanted not in text, f"{unwanted} is in the file"
assert len(objects) == 9, f"{len(objects)} objects"
assert set(deployments) == {"hasher", "redis", "rng", "webui", "worker"}, deployments.keys()
assert set(services) == set(deployments) - {"worker"}, services.keys()

for name, deployment in deployments.items():
    labels = {"app": name}
    pod = deployment["spec"]["template"]
    [container] = pod["spec"]["containers"]
    image = "redis:8-alpine" if name == "redis" else f"127.0.0.1:5000/{name}:v0.1"
    assert deployment["metadata"]["labels"] == labels, name
    assert deployment["spec"]["selector"]["matchLabels"] == labels, name
    assert pod["metadata"]["labels"] == labels, name
    assert (container["name"], container["image"]) == (name, image), name

for name, service in services.items():
    port = 6379 if name == "redis" else 80
    assert service["metadata"]["labels"] == service["spec"]["selector"] == {"app": name}, name
    assert [p["port"] for p in service["spec"]["ports"]] == [port], name
    assert service["spec"].get("type") == ("NodePort" if name == "webui" else None), name
    if port == 80:
        sysctls = deployments[name]["spec"]["template"]["spec"]["securityContext"]["sysctls"]
        assert {"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"} in sysctls, name
