#!/usr/bin/env bash
# Checks the files in monitoring/, and scrapes the four running services with a real Prometheus.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/lib.sh
. tests/venv.sh
for tool in prometheus promtool redis-server; do command -v $tool >/dev/null || skip "no $tool"; done

check "Prometheus accepts its configuration" quiet promtool check config monitoring/prometheus.yml
check "Prometheus accepts the rules" quiet promtool check rules --lint-fatal monitoring/rules/*.yml
check "the tests of the rules pass" quiet promtool test rules monitoring/tests/*.yml
"$venv/bin/python" tests/monitoring "$scratch" || failures=$((failures + 1))
[ $failures = 0 ]
