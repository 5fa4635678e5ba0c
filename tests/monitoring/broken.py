"""Breaks each rule in turn, which the tests of the rules must detect."""

import concurrent.futures
import pathlib
import shutil
import subprocess

import yaml
from documented import ROOT, rules

NEVER, ALWAYS = "vector(0) > 1", "vector(1) * 0.987"


def undetected(scratch):
    """the tests of the rules detect each rule that never or always has a value"""
    cases = [(number, file.name, rule, value) for number, (file, rule) in enumerate(rules()) for value in (NEVER, ALWAYS)]
    # A recording rule without a value is covered by the alerts that use it.
    cases = [case for case in cases if "alert" in case[2] or case[3] == ALWAYS]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        outcomes = pool.map(lambda case: passes(pathlib.Path(scratch), *case), cases)
    for (_, file, rule, value), passed in zip(cases, outcomes):
        if passed:
            yield f"{file}: {rule.get('alert') or rule['record']} can be {value} and its tests pass"


def passes(scratch, number, name, rule, value):
    folder = scratch / f"{number}-{'never' if value == NEVER else 'always'}"
    shutil.copytree(ROOT / "monitoring", folder)
    file = folder / "rules" / name
    content = yaml.safe_load(file.read_text())
    for other in (other for group in content["groups"] for other in group["rules"]):
        if other == rule:
            other["expr"] = value
    file.write_text(yaml.safe_dump(content))
    return subprocess.run(["promtool", "test", "rules", folder / "tests" / name], capture_output=True).returncode == 0
