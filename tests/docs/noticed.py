"""Breaks pages, and checks that each fault is noticed."""

import data
import links
import shell
from pages import Page

# Commands, and a part of the problem.
COMMANDS = {
    "kubectl get pods --foo1": "unknown flag: --foo1",
    "kubectl lable pod/rng a=b": 'unknown command "lable"',
    "kubectl apply -f k8s/missing.yaml": "k8s/missing.yaml",
    "kubectl apply -k k8s/overlays/missing": "k8s/overlays/missing",
    "printf 'apiVersion: v1\\nkind: Service\\nmetadata: {name: rng}\\nspec: {port: 80}\\n' | kubectl apply -f -": "'port' was unexpected",
    "docker run --foo2 redis": "unknown flag: --foo2",
    "docker-compose up --foo3": "unknown flag: --foo3",
    "docker-compose up -d workers": "no such service: workers",
    "docker-compose -f docker-compose.missing.yml up -d": "docker-compose.missing.yml",
    "LANE=2 docker-compose up -d": "LANE has no effect",
    "docker stack deploy -c stacks/missing.yml dockercoins": "stacks/missing.yml",
    "cargo run -p missing": "no package missing",
    "scripts/publish --foo": "scripts/publish: no --foo",
    "scripts/labs run 99": "no lab 99",
    "scripts/missing": "scripts/missing: No such file",
    "cd missing": "cd: missing: No such file",
    "sed s/a/b/ missing.html": "missing.html",
    "curll localhost:8000": "curll: command not found",
    "echo $(( 1 + ))": "syntax error",
    "exit": "not reached",
}
UNFINISHED = Page("unfinished.md", "# Title\n\n```sh\nif true; then\n```\n")
PAGES = {
    "README.md": "# Title\n\n[a](docs/course.md)\n[b](missing.md)\n[c](#missing)\n[d](docs/course.md#title-1)\n",
    "docs/course.md": "# Title\n\n| # | lesson | page |\n| --- | --- | --- |\n"
    + "".join(f"| {n} | lesson | [page](course.md) |\n" for n in [*range(1, 87), 86, 89])
    + "| 87 | lesson | TODO |\n",
    "docs/lost.md": "# Title\n",
    "labs/README.md": "# Labs\n",
    "labs/01-first-run.md": "# Title\n",
}
LINKS = {
    links.broken: ["README.md:3: missing.md: ", "README.md:3: #missing: ", "README.md:3: docs/course.md#title-1: "],
    links.unreachable: ["docs/lost.md: no link", "labs/01-first-run.md: no link", "labs/01-first-run.md: not in labs"],
    links.lessons: ["lesson 86: 2 times", "lesson 88: 0 times", "lesson 89: not a", "lesson 87: no link", "lesson 87: TODO"],
}
DATA = {
    'json\n{"a": }': "Expecting value",
    "promql\nup": "only queries in docs/observability.md",
    "shell\nls": "unknown language shell",
}


def run(files, scratch, bin, port):
    """The faults that are not noticed."""
    blocks = "\n".join(f"```sh\n{command}\n```\n" for command in [*COMMANDS, "true"])
    page = Page("broken.md", f"# Title\n\n{blocks}")
    found = list(shell.problems(page, files, scratch, bin, port))
    yield from (command for command, part in COMMANDS.items() if not any(part in problem for problem in found))
    if not any("unexpected end of file" in problem for problem in shell.problems(UNFINISHED, [], scratch, bin, port)):
        yield UNFINISHED.text
    pages = {name: Page(name, text) for name, text in PAGES.items()}
    for policy, parts in LINKS.items():
        found = list(policy(pages, list(pages)))
        yield from (f"{policy.__doc__}: {part}" for part in parts if not any(problem.startswith(part) for problem in found))
    for block, part in DATA.items():
        if not any(part in problem for problem in data.problems(Page("broken.md", f"# Title\n\n```{block}\n```\n"))):
            yield block
