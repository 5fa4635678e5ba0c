# shellcheck shell=bash
# Sourced after tests/lib.sh. Provides $venv, a Python virtual environment with the packages of tests/requirements.txt.
venv=target/venv
export PYTHONDONTWRITEBYTECODE=1
make_venv() {
  python3 -m venv "$venv" && "$venv/bin/pip" install -q -r tests/requirements.txt &&
    cp tests/requirements.txt "$venv/"
}
# Tests that run in parallel wait while one of them creates it.
mkdir -p target
exec {venv_lock}>target/venv.lock
flock "$venv_lock"
if ! cmp -s tests/requirements.txt "$venv/requirements.txt"; then
  quiet make_venv || skip "tests/requirements.txt cannot be installed"
fi
exec {venv_lock}>&-
