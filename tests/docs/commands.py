"""Checks the commands that pages run. Listens to the stand-ins, which run in their place.

kubectl and docker are started, without a cluster and an engine: a correct command fails to connect. The answer `null`
is a word for the shell and a value for jq.
"""

import functools
import os
import pathlib
import re
import socketserver
import subprocess
import threading
import sys
from typing import NamedTuple

import yaml
from pages import ROOT

sys.path.append(str(ROOT / "tests/manifests"))
import schemas  # noqa: E402

REFUSED = re.compile(r"connection refused|was refused|Cannot connect to the Docker daemon")
# Commands that are not checked further. They print nothing of use.
OTHERS = """ab apt apt-get brew cosign ctr curl helm httping k3d k3s kind minikube nslookup open perf redis-cli redis-server rustup
    skaffold ssh stern taskset tilt top vmstat wget xdg-open""".split()
SET_BY_BASH = ("BLOCK", "OLDPWD", "PASSWORD", "PWD", "SHLVL", "STUDENT", "_")
found, unchecked, answers = [], set(), {}


class Call(NamedTuple):
    line: str
    folder: str
    environment: dict
    stdin: bytes

    def problem(self, text):
        found.append((self.environment["PAGE"], int(self.line), text))

    def run(self, *command):
        """The output, with errors, and whether the command succeeds. It is stopped after 30 seconds."""
        environment = {**self.environment, "PATH": os.environ["PATH"]}
        try:
            done = subprocess.run(
                command, cwd=self.folder, env=environment, input=self.stdin, stdout=-1, stderr=subprocess.STDOUT, timeout=30
            )
        except subprocess.TimeoutExpired:
            return "no end after 30 seconds", False
        return done.stdout.decode(errors="replace"), done.returncode == 0

    def connects(self, *command, state=""):
        """The output of a client-side command. Another one must not fail before it connects.

        Pages repeat many commands, which run once unless they use files of a page.
        """
        same = (*command, self.stdin, state)
        if state or not any(os.path.exists(os.path.join(self.folder, word)) for word in command):
            if same not in answers:
                answers[same] = self.run(*command)
            output, good = answers[same]
        else:
            output, good = self.run(*command)
        if not good and not REFUSED.search(output):
            self.problem(f"{' '.join(command)}: {' '.join(output.split())[:300]}")
        return output if good else ""


def kubectl(call, args):
    for option, name in zip(args, args[1:]):
        if option in ("-f", "--filename"):
            file = pathlib.Path(call.folder, name)
            written = file.is_file() and not (ROOT / name).exists()
            for o in parsed(call, call.stdin if name == "-" else file.read_text() if written else ""):
                for problem in schemas.problems(o):
                    call.problem(problem)
    if "proxy" in args:
        # Without the help it would start.
        args = [*args, "--help"]
    output = call.connects("kubectl", *args)
    return output or ("pod/null" if "name" in args or "-oname" in args else "null")


def parsed(call, text):
    try:
        return [o for o in yaml.safe_load_all(text) if isinstance(o, dict)]
    except yaml.YAMLError as error:
        call.problem(f"YAML: {' '.join(str(error).split())}")
        return []


def docker(call, args):
    if args[:1] == ["compose"]:
        return compose(call, args[1:])
    if "save" in args and "-o" in args:
        pathlib.Path(call.folder, args[args.index("-o") + 1]).touch()
    return call.connects("docker", *args)


def docker_compose(call, args):
    """Both generations of Compose must know the command."""
    for subcommand, flag in flags(args):
        if not re.search(rf"(?<![\w-]){flag}(?![\w-])", compose1_help(subcommand) or flag):
            call.problem(f"docker-compose 1.29 has no {subcommand} {flag}")
    return compose(call, args)


def compose(call, args):
    given = [*call.environment["GIVEN"].split(), *SET_BY_BASH]
    variables = {name: value for name, value in call.environment.items() if name not in given}
    files = "".join(file.read_text() for file in sorted(pathlib.Path(call.folder).glob("*.y*ml")))
    for name in variables:
        if not re.search(rf"\b{name}\b", files) and not name.startswith(("COMPOSE_", "DOCKER_")):
            call.problem(f"{name} has no effect: no Compose file mentions it")
    command = ["docker", "compose"] if compose2() else ["docker-compose"]
    output = call.connects(*command, *args, state=f"{files}{variables}")
    if "run" in args and "load" in args[args.index("run") :]:
        program(call, "load", args[len(args) - args[::-1].index("load") :])
    return output


@functools.cache
def compose2():
    return subprocess.run(["docker", "compose", "version"], stdout=-1, stderr=-1).returncode == 0


@functools.cache
def compose1_help(subcommand):
    """The help of version 1 of Compose, if that is what `docker-compose` is."""
    version = subprocess.run("docker-compose version", shell=True, text=True, stdout=-1, stderr=-1).stdout
    if not version.startswith("docker-compose version 1."):
        unchecked.add("the options of docker-compose 1.29")
        return ""
    return subprocess.run(["docker-compose", *subcommand.split(), "--help"], text=True, stdout=-1, stderr=-1).stdout


def flags(args):
    """Pairs of subcommand and flag, as far as they are those of Compose and not of a program in a container."""
    subcommand, value = "", False
    for arg in args:
        if value:
            value = False
        elif arg.startswith("-"):
            value = arg in ("-f", "-p", "--file", "--profile", "--project-name", "--project-directory", "--env-file")
            value = value and not subcommand
            names = [arg.split("=")[0]] if arg.startswith("--") else [f"-{letter}" for letter in re.findall("[a-zA-Z]", arg)]
            yield from ((subcommand, name) for name in names)
        elif not subcommand:
            subcommand = arg
            yield "", arg
        elif subcommand in ("run", "exec"):
            return


def cargo(call, args):
    own = args[: args.index("--")] if "--" in args else args
    usage, _ = call.run("cargo", own[0], "-h")
    for option in own[1:]:
        if option.startswith("-") and not re.search(rf"(?<![\w-]){option}(?![\w-])", usage):
            call.problem(f"cargo {own[0]}: no option {option}")
    package = own[own.index("-p") + 1] if "-p" in own else "dockercoins"
    if not (ROOT / package / "Cargo.toml").is_file():
        call.problem(f"cargo: no package {package}")
    elif own[0] == "run":
        program(call, package, args[len(own) + 1 :])


def program(call, name, args):
    """A program of ours must accept the arguments."""
    built = [ROOT / "target" / profile / name for profile in ("debug", "release", "image")]
    built = [file for file in built if file.is_file()]
    if not built:
        unchecked.add(f"arguments of {name}, which is not built")
        return
    output, good = call.run(str(max(built, key=lambda file: file.stat().st_mtime)), *args, "--help")
    if not good:
        call.problem(f"{name} {' '.join(args)}: {' '.join(output.split())[:300]}")


def script(call, name, args):
    """Each option and subcommand of a script of ours is in its text, and each lab exists."""
    text = (ROOT / name).read_text()
    for arg in args:
        if (arg.startswith("-") or arg in args[:1] and arg.isalpha()) and arg.split("=")[0] not in text:
            call.problem(f"{name}: no {arg}")
        if name == "scripts/labs" and re.match(r"\d\d", arg) and not list(ROOT.glob(f"labs/{arg}*.md")):
            call.problem(f"{name}: no lab {arg}")


CHECKED = {"kubectl": kubectl, "docker": docker, "docker-compose": docker_compose, "cargo": cargo}


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        path = pathlib.Path(self.rfile.readline().decode().strip())
        line, folder, called, *args = (path / "words").read_text().split("\0")[:-1]
        environment = dict(v.split("=", 1) for v in (path / "environment").read_text().split("\0")[:-1])
        call = Call(line, folder, environment, (path / "stdin").read_bytes())
        name = os.path.basename(called)
        answer = None
        try:
            if os.path.dirname(called) != environment["TOOLS"]:
                script(call, os.path.relpath(os.path.join(folder, called), environment["HERE"]), args)
            elif name in CHECKED:
                answer = CHECKED[name](call, args)
        except Exception as error:
            call.problem(f"{name} {' '.join(args)}: cannot be checked: {error!r}")
        self.wfile.write((answer or "null\n").encode())


def serve():
    """Starts to listen, and returns the port."""
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]
