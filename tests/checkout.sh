#!/usr/bin/env bash
# Clones the last commit as Git for Windows does by default, and tests that the scripts keep their line endings.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/lib.sh

git rev-parse --git-dir >/dev/null 2>&1 || skip "this folder is not a Git repository"

clone=$scratch/clone
as_on_windows() { git clone -q -c core.autocrlf=true -c core.eol=crlf . "$clone"; }
no_carriage_returns() { ! grep -rlI --exclude-dir=.git $'\r' "$clone"; }
scripts_are_valid() {
  local script
  for script in "$clone"/check "$clone"/.ci/run "$clone"/scripts/* "$clone"/tests/*.sh; do bash -n "$script" || return; done
}

check "the repository is cloned with core.autocrlf=true" as_on_windows
check "no line ends in a carriage return" no_carriage_returns
check "its scripts are valid" scripts_are_valid
[ $failures = 0 ]
