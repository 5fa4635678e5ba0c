#!/usr/bin/env bash
# Tests that the images report a limit of processes that is too low for them, and start no further thread while they run.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/docker.sh

# reports_limit NAME COMPONENT OPTION...: tests that it exits with 2 and one line that names THREADS and the limit.
reports_limit() {
  local name=$1 component=$2
  shift 2
  start "$name" --network none "$@" "$REGISTRY/$component:$TAG" || return
  [ "$(timeout 10 docker wait "$run-$name")" = 2 ] && logged "$name" "error: THREADS: cannot start" &&
    logged "$name" "limit of processes" && [ "$(docker logs "$run-$name" 2>&1 | wc -l)" = 1 ]
}

# application: starts one container of each image, without its health check, which would need another process.
application() {
  local component published
  network limited && start redis --network "$run-limited" --network-alias redis redis:8-alpine || return
  for component in "${components[@]}"; do
    published=(-p 127.0.0.1::9000)
    [ "$component" = worker ] || published+=(-p 127.0.0.1::80)
    start "$component" --network "$run-limited" --network-alias "$component" --no-healthcheck "${published[@]}" \
      "$REGISTRY/$component:$TAG" || return
  done
}
# Sets the limit below the current number of threads, so that no new one can start.
forbid_new_threads() { docker update --pids-limit 1 "$run-$1" >/dev/null; }
count() { get webui 80 /json | hashes; }
keeps_mining() { local before; before=$(count) && within 20 is_above $((before + 10)); }
is_above() { local now; now=$(count) && [ "${now:-0}" -gt "$1" ]; }
# Reads twenty files at once, which one thread does for all of them.
pages_at_once() {
  local ids=() id
  for _ in {1..20}; do get webui 80 / >/dev/null & ids+=($!); done
  for id in "${ids[@]}"; do wait "$id" || return; done
}
is_alive() { [ "$(state "$1" '{{.State.Running}} {{.RestartCount}}')" = "true 0" ]; }

for component in "${components[@]}"; do
  check "$component with --pids-limit 1 exits with 2 and names THREADS" \
    reports_limit "few-$component" "$component" --pids-limit 1
done
check "rng with --pids-limit 2 and THREADS=2 exits with 2 and names THREADS" reports_limit two rng --pids-limit 2 -e THREADS=2
check "rng with --pids-limit 50 and THREADS=64 exits with 2 and names THREADS" reports_limit many rng --pids-limit 50 -e THREADS=64
check "the containers start" application
check "they mine" within 20 mines get webui 80 /json
check "no further thread is allowed" each forbid_new_threads
check "they still mine" keeps_mining
check "twenty pages at once are served" pages_at_once
check "all of them are alive" each is_alive
[ $failures = 0 ]
