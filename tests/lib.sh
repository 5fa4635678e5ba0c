# shellcheck shell=bash
# Sourced by the tests in bash, from the root of the repository. Provides $scratch, a folder that is removed at the end,
# and functions to report results. A script that starts something defines a function `cleanup` to stop it.

scratch=$(mktemp -d)
cleanup() { :; }
# A second Ctrl-C must not interrupt the cleanup.
trap 'trap "" INT TERM; cleanup; rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

failures=0
# check NAME COMMAND...: reports whether the command succeeds.
check() {
  local name=$1
  shift
  if "$@"; then echo "ok - $name"; else echo "not ok - $name"; failures=$((failures + 1)); fi
}

# skip REASON: ends the script as skipped.
skip() { echo "skipped: $1"; exit 77; }

# quiet COMMAND...: shows the output only if the command fails.
quiet() { "$@" >"$scratch/output" 2>&1 || { tail -n 40 "$scratch/output"; return 1; }; }

# within SECONDS COMMAND...: repeats the command until it succeeds.
within() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    [ $SECONDS -lt $deadline ] || return 1
    sleep 0.3
  done
}
