"""The programs under test, each on free ports of this host, and functions to read their output."""

import atexit
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

from documented import ROOT

BINARIES = ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "release"


class TimedOut(Exception):
    """A program did not reach the expected state in time."""


def until(seconds, problem, condition):
    """Waits until the condition returns a true value, and returns it."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimedOut(problem)
        time.sleep(0.1)
    return value


class Program:
    """A child process, with its output in a file."""

    def __init__(self, folder, name, command, env=None):
        self.name = name
        self.log = pathlib.Path(folder) / f"{name}.log"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                command, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        self.id = self.process.pid
        # Stop the process however the tests end.
        atexit.register(self.stop)

    def wait_for_log(self, pattern):
        """Waits until the log matches the pattern, and returns its first group."""

        def found():
            if self.process.poll() is not None:
                raise TimedOut(f"{self.name} has exited:\n{self.log.read_text()[-2000:]}")
            return re.search(pattern, self.log.read_text())

        return until(20, f"{self.name} does not log {pattern}", found).group(1)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Service(Program):
    """One of our services."""

    def __init__(self, folder, service, name=None, **settings):
        self.service = service
        addresses = {"ADMIN_LISTEN": "127.0.0.1:0"} | ({} if service == "worker" else {"LISTEN": "127.0.0.1:0"})
        super().__init__(folder, name or service, [BINARIES / service], addresses | settings)
        self.admin = self.wait_for_log(r"listening on (\S+) \(ADMIN_LISTEN\)")
        self.address = None if service == "worker" else self.wait_for_log(r"listening on (\S+) \(LISTEN\)")
        self.url = f"http://{self.address}/"

    def exposition(self, accept="application/openmetrics-text"):
        """The response of /metrics, as text."""
        request = urllib.request.Request(f"http://{self.admin}/metrics", headers={"Accept": accept})
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.read().decode()

    def change_faults(self, query):
        """Changes the faults of a service with FAULT_ENDPOINT."""
        urllib.request.urlopen(f"http://{self.admin}/faults?{query}", data=b"", timeout=10).close()


class Redis(Program):
    """A redis-server on a free port."""

    def __init__(self, folder):
        for attempt in range(5):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
            command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
            super().__init__(folder, f"redis-{attempt}", command)
            try:
                self.wait_for_log("(Ready to accept connections)")
            except TimedOut:
                continue
            self.url = f"redis://127.0.0.1:{self.port}"
            return
        raise TimedOut("redis-server does not start")

    def number(self, *command):
        """The result of a redis command, as a number."""
        result = subprocess.run(["redis-cli", "-p", str(self.port), *command], capture_output=True, text=True, check=True)
        return int(result.stdout)


class Prometheus(Program):
    """A Prometheus with this configuration."""

    def __init__(self, folder, config):
        command = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder}/prometheus"]
        super().__init__(folder, "prometheus-log", [*command, "--web.listen-address=127.0.0.1:0"])
        address = self.wait_for_log(r'"Listening on" address=([0-9.:]+)\s')
        self.api = f"http://{address}/api/v1/"

    def get(self, path, **arguments):
        url = f"{self.api}{path}?{urllib.parse.urlencode(arguments)}"
        try:
            with urllib.request.urlopen(url, timeout=20) as response:
                return json.load(response)["data"]
        except urllib.error.HTTPError as error:
            return {"error": json.load(error)["error"]}


def status(url):
    """The status code of a response, including errors."""
    url = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(url.netloc, timeout=10)
    connection.request("GET", url.path)
    return connection.getresponse().status
