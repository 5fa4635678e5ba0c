#!/usr/bin/env bash
# Checks what is in monitoring/, and has a real Prometheus look at the four services at work.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/lib.sh
. tests/venv.sh
for tool in prometheus promtool redis-server; do command -v $tool >/dev/null || skip "no $tool"; done

check "Prometheus takes its configuration" quiet promtool check config monitoring/prometheus.yml
check "Prometheus takes the rules" quiet promtool check rules --lint-fatal monitoring/rules/*.yml
check "the rules do what their tests say" quiet promtool test rules monitoring/tests/*.yml
"$venv/bin/python" tests/monitoring "$scratch" || failures=$((failures + 1))
[ $failures = 0 ]
