#!/usr/bin/env bash
# Runs all labs that need no cluster, several at once. `tests/labs.sh NAME...` runs these labs only.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/docker.sh
unset DELAY LANES CONNECTIONS CONCURRENCY BATCH TIMEOUT RETRY IGNORE_SIGTERM "${!FAULT_@}" "${!OTEL_@}"

# The lab swarm: whether the kernel has IPVS. It is loaded when it is used.
modprobe --dry-run --quiet ip_vs || export WITHOUT_IPVS=yes

# Each lab is a process group, so that an interrupt reaches its commands.
set -m
cleanup() {
  local job
  for job in $(jobs -p); do kill -INT -- "-$job" 2>/dev/null; done
  wait
  remove_all
}

# lab NAME: runs a lab, and reports whether its promises hold. Shows the output if one does not.
lab() {
  local start=$SECONDS code=0
  scripts/labs --isolated run "$1" >"$scratch/$1" 2>&1 || code=$?
  if [ $code = 77 ] && [ -z "${CHECK_STRICT:-}" ]; then
    sed -n "s/^ *skipped:/skipped: $1/p" "$scratch/$1"
  elif [ $code = 0 ]; then
    echo "ok - $1: $(tail -n 1 "$scratch/$1"), in $((SECONDS - start)) s"
  else
    echo "not ok - $1, after $((SECONDS - start)) s"
    sed 's/^/  /' "$scratch/$1"
    touch "$scratch/failed"
  fi
}

pages=(labs/[0-9]*.md)
# each_page_has REGEX: prints the pages without a line that matches.
each_page_has() { ! grep -LE "$1" "${pages[@]}" | grep .; }
check "each page says what it needs" each_page_has '^\*Needs [^.]+\. '
check "each page promises something" each_page_has '^> \*\*Expect'
listed() { sed -n 's/^| \[.*\](\([0-9].*\)) |.*/labs\/\1/p' labs/README.md; }
check "labs/README.md lists the pages" diff <(listed) <(printf '%s\n' "${pages[@]}")

names=("$@")
if [ $# = 0 ]; then
  # This lab uses all processors, which would slow the others down.
  alone=14-millions
  for page in $(grep -LE '^\*Needs .*a cluster' "${pages[@]}" | grep -v "/$alone.md"); do
    names+=("$(basename "$page" .md)")
  done
fi
for name in "${names[@]}"; do
  while [ "$(jobs -rp | wc -l)" -ge "${LABS_AT_ONCE:-4}" ]; do wait -n; done
  lab "$name" &
done
wait
if [ -n "${alone:-}" ]; then
  lab "$alone" &
  wait
fi
[ $failures = 0 ] && [ ! -e "$scratch/failed" ]
