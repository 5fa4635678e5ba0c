#!/usr/bin/env bash
# Runs all labs that need no cluster, several at once. Then breaks promises of labs, one at a time, with a setting from
# the shell: the matching lab must report it. `tests/labs.sh NAME...` runs these labs only.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/docker.sh
unset DELAY LANES CONNECTIONS CONCURRENCY BATCH TIMEOUT RETRY IGNORE_SIGTERM "${!FAULT_@}" "${!OTEL_@}"
# The lab swarm: whether the kernel has IPVS, which it loads when it is used.
modprobe --dry-run --quiet ip_vs || export WITHOUT_IPVS=yes

# Each lab is a process group, so that a signal reaches its commands.
set -m
cleanup() {
  local job
  for job in $(jobs -p); do kill -- "-$job" 2>/dev/null; done
  wait
  remove_all
}

# in_turn COMMAND...: runs the command in the background as soon as there is room.
in_turn() {
  while [ "$(jobs -rp | wc -l)" -ge "${LABS_AT_ONCE:-7}" ]; do wait -n; done
  "$@" &
}

# fail NAME FILE: reports a failure with the output of the lab.
fail() {
  echo "not ok - $1"
  sed 's/^/  /' "$2"
  touch "$scratch/failed"
}

# lab NAME [COMPOSE]: runs a lab, and reports whether its promises hold.
lab() {
  local start=$SECONDS code=0 name="$1${2:+ with $2}"
  local output=$scratch/$name
  COMPOSE=${2:-${COMPOSE:-}} scripts/labs --isolated run "$1" >"$output" 2>&1 || code=$?
  if [ $code = 77 ] && [ -z "${CHECK_STRICT:-}" ]; then
    sed -n "s/^ *skipped:/skipped: $name/p" "$output"
  elif [ $code = 0 ]; then
    echo "ok - $name: $(tail -n 1 "$output"), in $((SECONDS - start)) s"
  else
    fail "$name, after $((SECONDS - start)) s" "$output"
  fi
}

# broken SETTING LAB FROM TO SENTENCE: tests that the lab, with the setting, reports that the promise is broken, with a
# figure in this range.
broken() {
  local figure output=$scratch/$1
  env "$1" LABS="$scratch/pages" scripts/labs --isolated run "$2" >"$output" 2>&1
  figure=$(grep -F "BROKEN: " "$output" | grep -F -- "$5" | sed -n '1s/.*(\([0-9.]*\))$/\1/p')
  if awk -v n="${figure:--1}" -v a="$3" -v b="$4" 'BEGIN { exit !(a <= n && n <= b) }'; then
    echo "ok - $1 breaks $2: $5 ($figure)"
  else
    fail "$1 breaks $2: $5" "$output"
  fi
}

pages=(labs/[0-9]*.md)
# each_page_has REGEX: prints the pages without a line that matches.
each_page_has() { ! grep -LE "$1" "${pages[@]}" | grep .; }
check "each page says what it needs" each_page_has '^\*Needs [^.]+\. '
check "each page promises something" each_page_has '^> \*\*Expect'

if [ $# -gt 0 ]; then
  for name; do in_turn lab "$name"; done
  wait
else
  # This lab uses all processors, which would slow the others down.
  alone=14-millions
  for page in "${pages[@]}"; do
    name=$(basename "$page" .md)
    grep -q '^\*Needs .*a cluster' "$page" || [ "$name" = $alone ] || in_turn lab "$name"
  done
  # The labs above use docker-compose if there is one. These use most of its commands.
  if docker-compose version >/dev/null 2>&1 && docker compose version >/dev/null 2>&1; then
    for name in 01-first-run 05-signals 13-images 17-faults; do in_turn lab $name "docker compose"; done
  fi
  # Blocks need not be repeated for long to break.
  mkdir "$scratch/pages"
  for page in "${pages[@]}"; do sed 's/within [0-9]* s:/within 10 s:/' "$page" >"$scratch/pages/${page#labs/}"; done
  in_turn broken DELAY=10ms 02-scaling 5 40 "hashes per second with one worker"
  in_turn broken LANES=3 02-scaling 12 40 "hashes per second with ten workers"
  in_turn broken CONNECTIONS=keep-alive 04-second-rng 4 10.5 "hashes per second with two rngs"
  in_turn broken IGNORE_SIGTERM=on 05-signals 10 30 "second to stop"
  wait
  lab $alone &
  wait
fi
[ $failures = 0 ] && [ ! -e "$scratch/failed" ]
