# shellcheck shell=bash
# Bash reads this before the commands of a page.
unset BASH_ENV
shopt -s expand_aliases
export BLOCK=0
TIMEFORMAT=
# The reader's own.
export PASSWORD=secret
# A loop that waits runs once.
alias sleep='break 2>/dev/null; :'
block() {
  BLOCK=$1
  echo "$1" >>"$REACHED"
}
sudo() { "$@"; }
kill() { builtin kill "$@" 2>/dev/null || true; }
watch() {
  while [[ $1 == -* || $1 == [0-9]* ]]; do shift; done
  "$@"
}
# The clone is the copy of the repository in which the page starts.
git() {
  [ "$1" = clone ] || return 0
  cd .. && { [ -e "$(basename "${!#}" .git)" ] || ln -s dockercoins "$(basename "${!#}" .git)"; }
}
