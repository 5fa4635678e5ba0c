#!/usr/bin/env bash
# Runs or parses every code block in the pages of the repository, and follows their links.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/lib.sh
. tests/venv.sh
for tool in git kubectl docker; do command -v $tool >/dev/null || skip "no $tool"; done
"$venv/bin/python" tests/docs
