"""The load that ends: a Job."""

from kube import containers, get, pod_template, title
from pods import settings


def load(render):
    """the load is a worker with an end, which runs once, and whose pod may do what a worker's may"""
    jobs = render.kind("Job")
    if [o["metadata"]["name"] for o in jobs] != (["load"] if render.name.startswith("loadtest") else []):
        yield f"jobs: {[title(o) for o in jobs]}"
    for job in jobs:
        [worker] = [pod for name, pod in render.pods() if name == "worker"]
        pod = pod_template(job)
        [ours], [theirs] = containers(pod), containers(worker)
        if get(job, "spec", "backoffLimit") != 0 or pod["spec"].get("restartPolicy") != "Never":
            yield f"{title(job)} runs again after a failure"
        if pod["metadata"]["labels"].get("app") != worker["metadata"]["labels"]["app"]:
            yield f"{title(job)} is no worker to the network policies"
        for key in ("securityContext", "automountServiceAccountToken"):
            if pod["spec"].get(key) != worker["spec"].get(key):
                yield f"{title(job)}: its pod has another {key} than the worker's"
        for key in ("image", "securityContext", "resources"):
            if ours.get(key) != theirs.get(key):
                yield f"{title(job)} has another {key} than the worker"
        names = {variable["name"] for variable in ours.get("env", [])}
        for name in names - settings()["worker"]:
            yield f"{title(job)}: {name} is no setting"
        if not names & {"DURATION", "HASHES"}:
            yield f"{title(job)} has no end"
