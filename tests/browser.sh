#!/usr/bin/env bash
# Tests the dashboard of the running application in a real browser: tests/browser/test_*.py, with the release binaries.
# Arguments go to pytest, for example `tests/browser.sh -k bottleneck`. FILES=FOLDER tests another page.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/lib.sh

command -v chromium >/dev/null || command -v google-chrome >/dev/null || skip "no Chromium"
command -v redis-server >/dev/null || skip "no redis-server"
. tests/venv.sh

"$venv/bin/python" -m pytest tests/browser -q --no-header --tb=short "$@" &
pytest=$!
# pytest stops everything that it started before it exits.
cleanup() { kill "$pytest" 2>/dev/null && wait "$pytest"; }
wait "$pytest"
