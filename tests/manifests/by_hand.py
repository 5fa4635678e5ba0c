"""A policy about the objects that the commands of the course create."""

import contextlib
import http.server
import json
import subprocess
import tempfile
import threading

import schemas
import yaml
from course import SERVICES
from kube import APPS, title
from render import ENV, RenderError, load

# Enough of an API server for `kubectl expose`, which asks only for the types that there are.
TYPES = {"v1": [("services", "Service")], "apps/v1": [("deployments", "Deployment")]}
DISCOVERY = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": [
        {"name": "apps", "versions": [{"groupVersion": "apps/v1", "version": "v1"}]}]},
} | {
    f"/{'apis' if '/' in version else 'api'}/{version}": {
        "kind": "APIResourceList", "groupVersion": version,
        "resources": [{"name": name, "kind": kind, "namespaced": True, "verbs": ["create"]} for name, kind in types]}
    for version, types in TYPES.items()
}  # fmt: skip


class Discovery(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps(DISCOVERY.get(self.path.partition("?")[0], {})).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def api_server():
    """The address of an API server that knows types, and no objects."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Discovery) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def kubectl(server, *args, stdin=""):
    with tempfile.TemporaryDirectory() as cache:
        command = ["kubectl", "--server", server, "--cache-dir", cache, *args, "--dry-run=client", "-o", "yaml"]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, env=ENV)
    if done.returncode:
        raise RenderError(done.stderr.strip()[-300:])
    return done.stdout


def by_hand(k8s, _):
    """`kubectl create deployment` and `kubectl expose` create the objects of k8s/course"""
    with api_server() as server:
        for name in APPS:
            [wanted] = load(k8s / f"course/{name}-deployment.yaml")
            image = wanted["spec"]["template"]["spec"]["containers"][0]["image"]
            deployment = kubectl(server, "create", "deployment", name, f"--image={image}")
            yield from differences(deployment, wanted)
            if name in SERVICES:
                port, kind = SERVICES[name]
                options = [f"--port={port}", *([f"--type={kind}"] if kind else [])]
                service = kubectl(server, "expose", "--filename=-", *options, stdin=deployment)
                [wanted] = load(k8s / f"course/{name}-service.yaml")
                yield from differences(service, wanted)


def differences(text, wanted):
    """What is invalid, or different from the wanted object in what both have."""
    o = without_nulls(yaml.safe_load(text))
    yield from schemas.problems(o)
    yield from missing(wanted, o, title(wanted))


def without_nulls(value):
    """The value without the fields that kubectl prints as null."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def missing(wanted, found, path):
    """The parts of an object that are not in another one."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key, value in wanted.items():
            # `kubectl create deployment` does not know the ports of a container.
            if not (key == "ports" and ".containers" in path):
                yield from missing(value, found.get(key), f"{path}.{key}")
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        for number, pair in enumerate(zip(wanted, found)):
            yield from missing(*pair, f"{path}.{number}")
    elif wanted != found:
        yield f"{path}: {found} instead of {wanted}"
