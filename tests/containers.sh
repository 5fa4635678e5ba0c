#!/usr/bin/env bash
# Runs docker-compose.yml and tests it from outside.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/compose.sh

hashes_now() { page /json | hashes; }
page_shows() { page | grep -q "$1"; }

# continues_after COMMAND...: tests that the count never decreases during the command, and then increases again.
continues_after() {
  local before now deadline=$((SECONDS + 45))
  before=$(hashes_now)
  quiet "$@" || return
  while [ $SECONDS -lt $deadline ]; do
    now=$(hashes_now)
    if [ -n "$now" ]; then
      [ "$now" -ge "$before" ] || { echo "$before hashes became $now"; return 1; }
      [ "$now" -le $((before + 10)) ] || return 0
    fi
    sleep 0.3
  done
  echo "still at ${now:-none} after $before"
  return 1
}
kill_redis() { "${compose[@]}" kill -s KILL redis && "${compose[@]}" start redis; }

live_edit() {
  page_shows 15px && ! page_shows 50px && sed -i 's/15px/50px/' "$scratch/files/index.html" && page_shows 50px
}

served() { docker logs "$rng" 2>&1 | grep -c '"GET /32 HTTP/1.1" 200'; }
at_the_ceiling() {
  local start end before after
  start=$(date +%s.%N) before=$(served)
  sleep 20
  end=$(date +%s.%N) after=$(served)
  awk -v n=$((after - before)) -v a="$start" -v b="$end" \
    'BEGIN { rate = n / (b - a); printf "%.2f requests per second at rng\n", rate; exit !(9 <= rate && rate <= 10.05) }'
}

no_process_is_root() {
  local id uids
  for id in $(containers); do
    uids=$(docker top "$id" -o pid,uid | awk 'NR > 1 { print $2 }')
    if [ -z "$uids" ] || grep -qx 0 <<<"$uids"; then
      docker inspect -f '{{.Name}} runs as root' "$id"
      return 1
    fi
  done
}

# The engine creates the mount point of the files folder.
nothing_is_written() {
  local id
  each_container '{{.HostConfig.ReadonlyRootfs}}' | grep -qv '^true$' && return 1
  for id in $(containers); do
    ! docker diff "$id" | grep -v '^A /files$' || return 1
  done
}

# stopped_within_a_second ID: tries three times, because a busy machine may be slow.
stopped_within_a_second() {
  local start took
  for _ in 1 2 3; do
    start=$(date +%s%N)
    docker stop -t 10 "$1" >/dev/null
    took=$((($(date +%s%N) - start) / 1000000))
    docker inspect -f "$took ms to stop {{.Name}}, which exited with {{.State.ExitCode}}" "$1"
    [ "$(docker inspect -f '{{.State.ExitCode}}' "$1")" = 0 ] || return
    [ $took -ge 1000 ] || return 0
    docker start "$1" >/dev/null
    sleep 2
  done
  return 1
}
# In the order of docker-compose: dependent services first, because a worker with hashes waits for redis.
all_stop_within_a_second() {
  local id
  for id in $(for service in worker webui hasher rng redis; do containers $service; done); do
    stopped_within_a_second "$id" || return
  done
}
# Tests that a load ends without an error and prints a report.
load_is_reported() {
  local fast=("${compose[@]}" -f docker-compose.loadtest.yml)
  quiet "${compose[@]}" rm -fs worker && quiet "${fast[@]}" up -d --no-build rng hasher webui redis &&
    within 30 all_healthy &&
    "${fast[@]}" run --rm -T load --duration 3s --output json --expect "errors=0,hashes_per_second>100" \
      >"$scratch/report" 2>"$scratch/errors" &&
    grep -q '"hashes":[1-9]' "$scratch/report" && return
  cat "$scratch/report" "$scratch/errors"
  return 1
}

check "docker-compose.yml is valid" quiet "${compose[@]}" config
check "the application starts" quiet "${compose[@]}" up -d --no-build

rng=$(containers rng)
check "all are healthy" within 30 all_healthy
check "it mines" within 15 mines page /json
check "the page is served" page_shows 15px
check "an edit of the page shows on reload" live_edit
check "a restart of redis loses nothing" continues_after "${compose[@]}" restart redis
check "a kill of redis loses nothing" continues_after kill_redis
check "ten workers start" quiet "${compose[@]}" up -d --no-build --scale worker=10
check "ten workers are healthy" within 30 all_healthy
# Repeated, because a busy machine may be slow; with more than one lane the test would always fail.
check "ten workers reach the ceiling" within 41 at_the_ceiling
check "no process runs as root" no_process_is_root
check "nothing is written to a root file system" nothing_is_written
check "each container stops within a second" all_stop_within_a_second
check "a load is generated and reported" load_is_reported
if [ $failures -gt 0 ]; then "${compose[@]}" logs --no-color --tail=5; fi
[ $failures = 0 ]
