"""Runs or parses each code block of the pages, and follows their links. Prints `ok - ` or `not ok - ` for each check."""

import concurrent.futures
import pathlib
import subprocess
import sys
import tempfile

import commands
import data
import links
import noticed
import shell
from pages import ROOT, Page

failed = False


def report(name, problems):
    global failed
    problems = list(problems)
    for problem in problems:
        print(f"    {problem}")
    print(f"{'not ok' if problems else 'ok'} - {name}")
    failed = failed or bool(problems)


def listed():
    """The files of the repository, with those that are not committed yet."""
    command = ["git", "ls-files", "-co", "--exclude-standard"]
    files = subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, check=True).stdout.splitlines()
    return [file for file in files if (ROOT / file).is_file()]


files = listed()
pages = {file: Page(file, (ROOT / file).read_text()) for file in files if file.endswith(".md")}
for policy in links.POLICIES:
    report(policy.__doc__, policy(pages, files))
report(data.problems.__doc__, [problem for page in pages.values() for problem in data.problems(page)])
with tempfile.TemporaryDirectory() as scratch, concurrent.futures.ThreadPoolExecutor(4) as pool:
    scratch, port = pathlib.Path(scratch), commands.serve()
    bin = shell.tools(scratch / "bin")
    scripts = [page for page in pages.values() if page.code("sh")]
    outcomes = pool.map(lambda page: list(shell.problems(page, files, scratch, bin, port)), scripts)
    for page, problems in zip(scripts, outcomes):
        report(f"{page.name}: the commands of {len(page.code('sh'))} blocks are correct", problems)
    for name in sorted(commands.unchecked):
        print(f"not checked: {name}")
    report("broken pages are noticed", noticed.run(files, scratch, bin, port))
sys.exit(failed)
