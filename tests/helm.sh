#!/usr/bin/env bash
# Checks the chart with Helm. Without Helm, tests/manifests.sh renders it with a stand-in.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/lib.sh
command -v helm >/dev/null || skip "no helm"
. tests/venv.sh

check "helm lints the chart" quiet helm lint --strict charts/dockercoins
"$venv/bin/python" tests/manifests/chart.py || failures=$((failures + 1))
[ $failures = 0 ]
