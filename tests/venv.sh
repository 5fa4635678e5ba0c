# shellcheck shell=bash
# Sourced after tests/lib.sh: $venv, a virtual environment of Python with what tests/requirements.txt names.
venv=target/venv
make_venv() {
  python3 -m venv "$venv" && "$venv/bin/pip" install -q -r tests/requirements.txt &&
    cp tests/requirements.txt "$venv/"
}
# One test makes it while another one waits.
mkdir -p target
exec {venv_lock}>target/venv.lock
flock "$venv_lock"
if ! cmp -s tests/requirements.txt "$venv/requirements.txt"; then
  quiet make_venv || skip "tests/requirements.txt cannot be installed"
fi
exec {venv_lock}>&-
