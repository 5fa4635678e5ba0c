"""The application as users run it: separate programs on free ports of this host, and a real redis-server."""

import os
import re
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / os.environ.get("CARGO_TARGET_DIR", "target")
# FILES in the environment makes the tests use another page, for example to see them fail.
ENVIRONMENT = {name: os.environ[name] for name in ("PATH", "FILES") if name in os.environ}


class Process:
    """A program that can be stopped and restarted."""

    def __init__(self, log, command, settings=None):
        self.log, self.command, self.settings = log, command, settings or {}
        self.start()

    def start(self):
        with self.log.open("w") as log:
            self.child = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=ENVIRONMENT | self.settings
            )

    def wait_for_log(self, pattern, seconds=15):
        """Waits until the log matches the pattern. Returns None if the program has exited without a match."""
        deadline = time.monotonic() + seconds
        while not (found := re.search(pattern, self.log.read_text())):
            if self.child.poll() is not None:
                return None
            assert time.monotonic() < deadline, f"no {pattern!r} in {self.log.read_text()}"
            time.sleep(0.05)
        return found

    @contextmanager
    def outage(self, stop_signal):
        """Stops the program with a signal (SIGSTOP only suspends it), and restarts it at the end."""
        if stop_signal == signal.SIGSTOP:
            self.child.send_signal(stop_signal)
        else:
            self.stop(stop_signal)
        try:
            yield
        finally:
            if stop_signal == signal.SIGSTOP:
                self.child.send_signal(signal.SIGCONT)
            else:
                self.restart()

    def stop(self, stop_signal=signal.SIGTERM):
        if self.child.poll() is None:
            self.child.send_signal(stop_signal)
            # A suspended process handles the signal only after this one.
            self.child.send_signal(signal.SIGCONT)
        try:
            return self.child.wait(15)
        except subprocess.TimeoutExpired:
            self.child.kill()
            return self.child.wait()


class Redis(Process):
    """A redis-server that keeps its data over a restart."""

    def __init__(self, folder):
        # Another process may take the free port before redis does.
        for _ in range(5):
            with socket.create_server(("127.0.0.1", 0)) as free:
                self.port = free.getsockname()[1]
            super().__init__(
                folder / "redis.log",
                ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder)]
                + ["--appendonly", "yes", "--save", ""],
            )
            if self.ready():
                return
        raise AssertionError(f"redis-server does not start: {self.log.read_text()}")

    def ready(self):
        return self.wait_for_log("Ready to accept connections")

    def restart(self):
        self.start()
        assert self.ready()


class Service(Process):
    """One of our programs. It keeps its port over a restart."""

    def __init__(self, folder, name, program=None, own_hostname=False, **settings):
        free = {"LISTEN": "127.0.0.1:0", "ADMIN_LISTEN": "127.0.0.1:0"}
        command = [TARGET / "release" / (program or name)]
        if own_hostname:
            command = ["unshare", "--uts", "--map-root-user", "sh", "-c", 'hostname "$0" && exec "$@"', name, *command]
        super().__init__(folder / f"{name}.log", command, free | settings)
        self.address = None
        if program != "worker":
            self.address = self.wait_for_log(r"listening on (\S+) \(LISTEN\)")[1]

    @property
    def url(self):
        return f"http://{self.address}/"

    def restart(self):
        self.settings["LISTEN"] = self.address
        self.start()
        assert self.wait_for_log(r"listening on \S+ \(LISTEN\)"), self.log.read_text()


class Application:
    """redis, rng, hasher and webui, and any number of workers, optionally each with its own host name."""

    def __init__(self, folder, own_hostnames=False):
        self.folder, self.own_hostnames, self.workers = folder, own_hostnames, []
        self.redis = Redis(folder)
        self.redis_url = f"redis://127.0.0.1:{self.redis.port}"
        self.rng = Service(folder, "rng", own_hostname=own_hostnames)
        self.hasher = Service(folder, "hasher")
        self.webui = self.add_webui("webui")
        self.url = self.webui.url

    def add_webui(self, name, **settings):
        return Service(self.folder, name, "webui", REDIS_URL=self.redis_url, **settings)

    def add_worker(self, version="v0.1", **settings):
        peers = {"RNG_URL": self.rng.url, "HASHER_URL": self.hasher.url, "REDIS_URL": self.redis_url}
        # Wait for one second rather than ten after an error, so that the tests are short.
        settings = peers | {"DOCKERCOINS_VERSION": version, "RETRY": "1s"} | settings
        name = f"worker-{len(self.workers) + 1}"
        self.workers.append(Service(self.folder, name, "worker", self.own_hostnames, **settings))

    def stop(self):
        for worker in self.workers:
            worker.child.terminate()
        # redis last, so that no worker waits for it.
        for process in [*self.workers, self.webui, self.hasher, self.rng, self.redis]:
            process.stop()
