"""Checks everything under monitoring/: python tests/monitoring FOLDER, where FOLDER is for temporary files."""

import signal
import sys


import broken
import dashboard
import files
import live
import streams

failed = False
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def report(name, problems):
    global failed
    problems = list(problems)
    print("not ok -" if problems else "ok -", name, flush=True)
    for problem in problems:
        print(f"    {problem}", flush=True)
    failed = failed or bool(problems)


for check in (*files.CHECKS, dashboard.problems):
    report(check.__doc__, check())
report(broken.undetected.__doc__, broken.undetected(sys.argv[1]))
report(streams.thousand_streams.__doc__, streams.thousand_streams(sys.argv[1]))
live.run(sys.argv[1], report)
sys.exit(failed)
