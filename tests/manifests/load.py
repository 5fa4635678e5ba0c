"""The Job that generates load."""

from kube import LOAD, containers, get, pod_template, title
from pods import image_of, settings


def load(render):
    """the load has an end, runs once, and its pod has the rights of a worker's"""
    jobs = render.kind("Job")
    if [o["metadata"]["name"] for o in jobs] != ([LOAD] if render.name.startswith("loadtest") else []):
        yield f"jobs: {[title(o) for o in jobs]}"
    for job in jobs:
        [worker] = [pod for name, pod in render.pods() if name == "worker"]
        pod = pod_template(job)
        [ours], [theirs] = containers(pod), containers(worker)
        if get(job, "spec", "backoffLimit") != 0 or pod["spec"].get("restartPolicy") != "Never":
            yield f"{title(job)} runs again after a failure"
        if {o["metadata"]["labels"].get("app") for o in (job, pod)} != {LOAD}:
            yield f"{title(job)} or its pod lacks app={LOAD}"
        if (ours["name"], ours["image"]) != (LOAD, image_of(LOAD)):
            yield f"{title(job)}: container {ours['name']} with image {ours['image']}"
        for key in ("securityContext", "automountServiceAccountToken"):
            if pod["spec"].get(key) != worker["spec"].get(key):
                yield f"{title(job)}: its pod has another {key} than the worker's"
        for key in ("securityContext", "resources"):
            if ours.get(key) != theirs.get(key):
                yield f"{title(job)} has another {key} than the worker"
        names = {variable["name"] for variable in ours.get("env", [])}
        for name in names - settings()[LOAD]:
            yield f"{title(job)}: {name} is no setting"
        if not names & {"DURATION", "HASHES"}:
            yield f"{title(job)} has no end"
