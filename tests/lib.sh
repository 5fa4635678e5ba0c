# shellcheck shell=bash
# Sourced by the tests in bash, from the root of the repository: a folder $scratch that lasts as long as the script, and
# ways to report. A script that starts something says in a function `cleanup` how to end it.

scratch=$(mktemp -d)
cleanup() { :; }
# A second Ctrl-C does not interrupt the cleaning up.
trap 'trap "" INT TERM; cleanup; rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

failures=0
# check NAME COMMAND...
check() {
  local name=$1
  shift
  if "$@"; then echo "ok - $name"; else echo "not ok - $name"; failures=$((failures + 1)); fi
}

# skip REASON
skip() { echo "skipped: $1"; exit 77; }

# quiet COMMAND...: shows what it printed only when it failed.
quiet() { "$@" >"$scratch/output" 2>&1 || { tail -n 40 "$scratch/output"; return 1; }; }

# within SECONDS COMMAND...: tries until it succeeds.
within() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    [ $SECONDS -lt $deadline ] || return 1
    sleep 0.3
  done
}
