#!/usr/bin/env bash
# Renders everything under k8s and checks it against the schemas of Kubernetes and our own rules.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/lib.sh
. tests/venv.sh
command -v kubectl >/dev/null || skip "no kubectl, which renders the manifests"
"$venv/bin/python" tests/manifests
