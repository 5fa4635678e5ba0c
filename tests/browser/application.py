"""The application as its users run it: separate programs on free ports of this host, and a real redis-server."""

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
# With FILES in the environment the tests look at another page, which is how to see them fail.
PASSED_ON = {name: os.environ[name] for name in ("PATH", "FILES") if name in os.environ}


class Process:
    """A program that can go away and come back."""

    def __init__(self, log, command, settings=None):
        self.log, self.command, self.settings = log, command, settings or {}
        self.start()

    def start(self):
        with self.log.open("w") as log:
            self.child = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=PASSED_ON | self.settings
            )

    def finds(self, pattern, seconds=15):
        """Waits until the log holds the pattern; None when the program ended without it."""
        deadline = time.monotonic() + seconds
        while not (found := re.search(pattern, self.log.read_text())):
            if self.child.poll() is not None:
                return None
            assert time.monotonic() < deadline, f"no {pattern!r} in {self.log.read_text()}"
            time.sleep(0.05)
        return found

    @contextmanager
    def away(self, how):
        """Gone after a signal, or with SIGSTOP merely silent; back at the end."""
        if how == signal.SIGSTOP:
            self.child.send_signal(how)
        else:
            self.stop(how)
        try:
            yield
        finally:
            if how == signal.SIGSTOP:
                self.child.send_signal(signal.SIGCONT)
            else:
                self.start_again()

    def stop(self, how=signal.SIGTERM):
        if self.child.poll() is None:
            self.child.send_signal(how)
            # A stopped process hears nothing but this.
            self.child.send_signal(signal.SIGCONT)
        try:
            return self.child.wait(15)
        except subprocess.TimeoutExpired:
            self.child.kill()
            return self.child.wait()


class Redis(Process):
    """A redis-server that keeps its data while it is away."""

    def __init__(self, folder):
        # The port is free until somebody else takes it in between.
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
        return self.finds("Ready to accept connections")

    def start_again(self):
        self.start()
        assert self.ready()


class Service(Process):
    """One of our programs; when it comes back it has the port it had."""

    def __init__(self, folder, name, program=None, on_a_host=False, **settings):
        free = {"LISTEN": "127.0.0.1:0", "ADMIN_LISTEN": "127.0.0.1:0"}
        command = [TARGET / "release" / (program or name)]
        if on_a_host:
            command = ["unshare", "--uts", "--map-root-user", "sh", "-c", 'hostname "$0" && exec "$@"', name, *command]
        super().__init__(folder / f"{name}.log", command, free | settings)
        self.address = None
        if program != "worker":
            self.address = self.finds(r"listening on (\S+) \(LISTEN\)")[1]

    @property
    def url(self):
        return f"http://{self.address}/"

    def start_again(self):
        self.settings["LISTEN"] = self.address
        self.start()
        assert self.finds(r"listening on \S+ \(LISTEN\)"), self.log.read_text()


class Application:
    """redis, rng, hasher and webui, and the workers that one adds; each on a host of its name, if so wished."""

    def __init__(self, folder, on_hosts=False):
        self.folder, self.on_hosts, self.workers = folder, on_hosts, []
        self.redis = Redis(folder)
        self.redis_url = f"redis://127.0.0.1:{self.redis.port}"
        self.rng = Service(folder, "rng", on_a_host=on_hosts)
        self.hasher = Service(folder, "hasher")
        self.webui = self.another_webui("webui")
        self.url = self.webui.url

    def another_webui(self, name, **settings):
        return Service(self.folder, name, "webui", REDIS_URL=self.redis_url, **settings)

    def add_worker(self, version="v0.1", **settings):
        peers = {"RNG_URL": self.rng.url, "HASHER_URL": self.hasher.url, "REDIS_URL": self.redis_url}
        # Away for a second rather than ten after an error, so that the tests are short.
        settings = peers | {"DOCKERCOINS_VERSION": version, "RETRY": "1s"} | settings
        name = f"worker-{len(self.workers) + 1}"
        self.workers.append(Service(self.folder, name, "worker", self.on_hosts, **settings))

    def stop(self):
        for worker in self.workers:
            worker.child.terminate()
        # Redis last, so that nobody waits for it.
        for process in [*self.workers, self.webui, self.hasher, self.rng, self.redis]:
            process.stop()
