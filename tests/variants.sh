#!/usr/bin/env bash
# Tests the variants of the course: a slow worker, an rng that does not start, a green webui.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/docker.sh

variants=("$run"/{rng,worker,webui}:v0.2)
cleanup() {
  remove_all
  docker rmi "${variants[@]}" >/dev/null 2>&1
}
build_variants() { REGISTRY=$run scripts/compose -f docker-compose.variants.yml build --force-rm; }

# mine NAME WORKER: starts the application with one worker of the image WORKER in a separate network.
mine() {
  network "$1" &&
    start "$1-redis" --network "$run-$1" --network-alias redis redis:8-alpine &&
    start "$1-rng" --network "$run-$1" --network-alias rng "$REGISTRY/rng:$TAG" &&
    start "$1-hasher" --network "$run-$1" --network-alias hasher "$REGISTRY/hasher:$TAG" &&
    start "$1-worker" --network "$run-$1" "$2"
}

# served NAME: prints the time of each response of rng, one per line.
served() { docker logs -t "$run-$1-rng" 2>&1 | grep '"GET /32 HTTP/1.1" 200' | cut -d ' ' -f 1; }
has_mined() { [ "$(served slow | wc -l)" -ge 6 ]; }
# rate NAME: prints responses per second, exact even for few responses.
rate() {
  served "$1" | date -f - +%s.%N |
    awk 'NR == 1 { first = $1 } { last = $1 } END { if (NR > 1) print (NR - 1) / (last - first) }'
}
# A busy machine slows the usual worker down, but hardly the slow one.
eleven_times_slower() {
  awk -v fast="$(rate usual)" -v slow="$(rate slow)" 'BEGIN {
    if (slow > 0) ratio = fast / slow
    printf "%.2f and %.3f units per second: %.1f times slower\n", fast, slow, ratio
    exit !(0.28 <= slow && slow <= 0.31 && 8 <= ratio && ratio <= 11.5)
  }'
}

does_not_start() {
  start broken --network none "$run/rng:v0.2" && [ "$(timeout 5 docker wait "$run-broken")" = 2 ]
}
logs_the_reason() { logged broken "LISTEN: cannot listen on 192.0.2.1:80: this host has no such address"; }

looks_different() {
  get green 80 / >"$scratch/page" && grep -q 50px "$scratch/page" && grep -q green "$scratch/page" &&
    ! grep -q -e 15px -e steelblue "$scratch/page"
}

check "the variants build" quiet build_variants
[ $failures = 0 ] || exit 1
check "a usual worker starts" mine usual "$REGISTRY/worker:$TAG"
check "worker:v0.2 starts" mine slow "$run/worker:v0.2"
check "rng:v0.2 does not start" does_not_start
check "rng:v0.2 logs the reason" logs_the_reason
check "webui:v0.2 starts" start green --network "$run-usual" -p 127.0.0.1::80 "$run/webui:v0.2"
check "webui:v0.2 has bigger labels and a green graph" within 10 looks_different
check "worker:v0.2 mines" within 40 has_mined
check "worker:v0.2 is eleven times slower" eleven_times_slower
[ $failures = 0 ]
