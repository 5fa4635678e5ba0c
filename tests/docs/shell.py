"""Runs the commands of pages, each page in a copy of the repository, with stand-ins for what must not really run."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import tarfile

import commands
from pages import ROOT

HERE = pathlib.Path(__file__).parent
# These work on files, so they run.
RUN = """awk base64 basename bash cat chmod column cp cut date diff dirname du env false find grep gzip head hostname jq ln ls
    mkdir mktemp mv nproc od openssl paste ps rm rmdir sed seq sh sha256sum sort tail tar tee timeout touch tr true
    uname uniq wc xargs""".split()
OUR_SCRIPTS = {"scripts/render", "scripts/manifests"}
# An unassigned variable and a `cd` that fails are noticed when the page runs. The rest is style.
EXCLUDED = "SC1091,SC2140,SC2155,SC2034,SC2154,SC2164,SC2317,SC2329"
# openssl shows dots while it generates a key.
PROGRESS = re.compile(r"[-.+*]+")
KUBECONFIG = """{apiVersion: v1, kind: Config, current-context: kind-kind,
clusters: [{name: nowhere, cluster: {server: "http://127.0.0.1:1"}}],
contexts: [{name: kind-kind, context: {cluster: nowhere, user: ""}}]}"""


def tools(folder):
    """A folder with the only commands that pages may use."""
    folder.mkdir()
    for name in (*commands.CHECKED, *commands.OTHERS):
        (folder / name).symlink_to(HERE / "stand-in")
    for name in RUN:
        if path := shutil.which(name):
            (folder / name).symlink_to(path)
    return folder


def script(page):
    """The commands of a page, each on its line of the page."""
    lines = [""] * len(page.text.splitlines())
    for block in page.code("sh"):
        lines[block.line - 2] = f"block {block.line}"
        code = block.text.splitlines()
        lines[block.line - 1 : block.line - 1 + len(code)] = code
    return "\n".join(lines) + "\n"


def problems(page, files, scratch, bin, port):
    """The problems of the commands of a page."""
    folder = scratch / page.name.replace("/", "-")
    copy = checkout(page, files, folder)
    path = folder / "page.sh"
    path.write_text(script(page).replace("/tmp/", f"{folder}/"))
    for command in (["bash", "-n"], ["shellcheck", "-s", "bash", "-S", "warning", "-f", "gcc", "-e", EXCLUDED]):
        if shutil.which(command[0]):
            done = subprocess.run([*command, path], text=True, stdout=-1, stderr=subprocess.STDOUT)
            yield from (place(page, path, line) for line in done.stdout.splitlines())
    if not replay(page, path, copy, bin, port):
        yield f"{page.name}: its commands do not end"
    errors = (folder / "errors").read_text(errors="replace").splitlines()
    yield from (place(page, path, line) for line in errors if not PROGRESS.fullmatch(line))
    reached = (folder / "reached").read_text().split()
    yield from (f"{page.name}:{b.line}: not reached" for b in page.code("sh") if str(b.line) not in reached)
    # A lab may apply an object with an error, and promise what kubectl says.
    rejected = {b.line for b in page.code("sh") if "unknown field" in page.after(b)}
    for name, line, problem in commands.found:
        if name == page.name and not (line in rejected and "Additional properties" in problem):
            yield f"{name}:{line}: {problem}"


def place(page, path, line):
    return re.sub(rf"^{re.escape(str(path))}:( line)? ?(\d+)", rf"{page.name}:\2", line)


def checkout(page, files, folder):
    """A copy of the repository, and of the archives that the page unpacks."""
    copy = folder / "dockercoins"
    copy.mkdir(parents=True)
    for file in files:
        target = copy / file
        target.parent.mkdir(parents=True, exist_ok=True)
        if os.access(ROOT / file, os.X_OK) and file not in OUR_SCRIPTS:
            target.symlink_to(HERE / "stand-in")
        else:
            shutil.copy2(ROOT / file, target)
    settings = folder / "settings"
    settings.write_text("REGISTRY=127.0.0.1:5000\nTAG=v0.1\n")
    for name in set(re.findall(r"dockercoins-[\w.]+-[\w]+(?=\.tar\.gz)", page.text)):
        with tarfile.open(copy / f"{name}.tar.gz", "w:gz") as archive:
            for source, inside in (("scripts/load", "load"), ("docker-compose.yml",) * 2, (settings, ".env"), (settings, "images.tar")):
                archive.add(ROOT / source, f"{name}/{inside}")
            archive.add(ROOT / "k8s/course", f"{name}/k8s/course")
            for rendered in ("dockercoins", "production", "loadtest"):
                archive.add(ROOT / "k8s/dockercoins.yaml", f"{name}/k8s/{rendered}.yaml")
    return copy


def replay(page, path, copy, bin, port):
    """Runs a script to its end. What it writes to stderr is in the file `errors`."""
    folder = path.parent
    (folder / "kubeconfig").write_text(KUBECONFIG)
    config = folder / "docker"
    config.mkdir()
    plugins = pathlib.Path(os.environ.get("DOCKER_CONFIG", pathlib.Path.home() / ".docker"), "cli-plugins")
    if plugins.is_dir():
        (config / "cli-plugins").symlink_to(plugins.resolve())
    nowhere = {f"{scheme}_proxy": "http://127.0.0.1:1" for scheme in ("http", "https", "HTTP", "HTTPS")}
    environment = {
        **nowhere,
        "PATH": str(bin),
        # cargo may be that of rustup.
        "RUSTUP_HOME": os.environ.get("RUSTUP_HOME", str(pathlib.Path.home() / ".rustup")),
        "LC_ALL": "C.UTF-8",
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "HERE": str(copy),
        "TOOLS": str(bin),
        "PAGE": page.name,
        "CHECK_PORT": str(port),
        "REACHED": str(folder / "reached"),
        "BASH_ENV": str(HERE / "prelude.sh"),
        "KUBECONFIG": str(folder / "kubeconfig"),
        "DOCKER_HOST": "tcp://127.0.0.1:1",
        "DOCKER_CONFIG": str(config),
    }
    environment["GIVEN"] = " ".join(["GIVEN", *environment])
    with (folder / "errors").open("w") as errors, (folder / "output").open("w") as output:
        running = subprocess.Popen(
            ["bash", path], cwd=copy, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, start_new_session=True
        )
        try:
            running.wait(300)
            return True
        except subprocess.TimeoutExpired:
            return False
        finally:
            # Commands in the background may still run.
            try:
                os.killpg(running.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            running.wait()
