#!/usr/bin/env bash
# Tests that the images report a limit of processes that is too low for them, and start no further thread while they run.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/docker.sh

# reports_limit NAME COMPONENT SETTING OPTION...: tests that it exits with 2 and an error that names the setting and the
# limit.
reports_limit() {
  local name=$1 component=$2 setting=$3
  shift 3
  start "$name" --network none "$@" "$REGISTRY/$component:$TAG" || return
  [ "$(timeout 60 docker wait "$run-$name")" = 2 ] && logged "$name" "error: $setting: cannot start" &&
    logged "$name" "raise the limit of processes"
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
stops() { docker stop -t 60 "$run-$1" >/dev/null && [ "$(state "$1" '{{.State.ExitCode}}')" = 0 ]; }
# A burst of requests for files must leave processes for the health check.
is_healthy_after_a_burst() {
  start burst --network "$run-limited" --pids-limit 40 -p 127.0.0.1::80 "$REGISTRY/webui:$TAG" || return
  within 20 get burst 80 / >/dev/null || return
  for _ in {1..60}; do get burst 80 / >/dev/null & done
  wait
  within 30 healthy burst
}
is_alive() { [ "$(state "$1" '{{.State.Running}} {{.RestartCount}}')" = "true 0" ]; }

for component in "${components[@]}"; do
  check "$component with --pids-limit 1 exits with 2 and names THREADS" \
    reports_limit "few-$component" "$component" THREADS --pids-limit 1
done
check "rng with --pids-limit 2 and THREADS=2 exits with 2 and names THREADS" reports_limit two rng THREADS --pids-limit 2 -e THREADS=2
check "rng with --pids-limit 50 and THREADS=64 exits with 2 and names THREADS" reports_limit many rng THREADS --pids-limit 50 -e THREADS=64
check "without a thread for spans, rng exits with 2 and names the setting" reports_limit spans rng \
  OTEL_EXPORTER_OTLP_ENDPOINT --pids-limit 2 -e THREADS=1 -e OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318
check "without a thread for the schedule, a load exits with 2 and names the setting" \
  reports_limit schedule load RATE --pids-limit 2 -e RATE=5 -e DURATION=1s
check "the containers start" application
check "they mine" within 20 mines get webui 80 /json
check "no further thread is allowed" each forbid_new_threads
check "they still mine" keeps_mining
check "twenty pages at once are served" pages_at_once
check "all of them are alive" each is_alive
check "webui is healthy after a burst of requests" is_healthy_after_a_burst
check "all of them stop gracefully" each stops
[ $failures = 0 ]
