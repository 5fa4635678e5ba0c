#!/usr/bin/env bash
# Renders everything under k8s and charts, and checks it against the schemas of Kubernetes and our own rules.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/lib.sh
. tests/venv.sh
command -v kubectl >/dev/null || skip "no kubectl, which renders the manifests"
# The rest works without Helm.
! command -v helm >/dev/null || check "helm lints the chart" quiet helm lint --strict charts/dockercoins
"$venv/bin/python" tests/manifests || exit
[ $failures = 0 ]
