"""Runs or parses each code block of the pages, and follows their links. Prints `ok - ` or `not ok - ` for each check."""

import concurrent.futures
import pathlib
import sys
import tempfile

import commands
import data
import links
import noticed
import pages
import shell

failed = False


def report(name, problems):
    global failed
    problems = list(problems)
    for problem in problems:
        print(f"    {problem}")
    print(f"{'not ok' if problems else 'ok'} - {name}")
    failed = failed or bool(problems)


files = pages.files()
named = {page.name: page for page in pages.pages()}
for policy in links.POLICIES:
    report(policy.__doc__, policy(named, files))
report(data.problems.__doc__, [problem for page in named.values() for problem in data.problems(page)])
with tempfile.TemporaryDirectory() as scratch, concurrent.futures.ThreadPoolExecutor(4) as pool:
    scratch, port = pathlib.Path(scratch), commands.serve()
    bin = shell.tools(scratch / "bin")
    scripts = [page for page in named.values() if page.code("sh")]
    outcomes = pool.map(lambda page: list(shell.problems(page, files, scratch, bin, port)), scripts)
    for page, problems in zip(scripts, outcomes):
        report(f"{page.name}: the commands of {len(page.code('sh'))} blocks are correct", problems)
    for name in sorted(commands.unchecked):
        print(f"not checked: {name}")
    report("broken pages are noticed", noticed.run(files, scratch, bin, port))
sys.exit(failed)
