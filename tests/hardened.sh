#!/usr/bin/env bash
# Runs the images under the restrictions of k8s/base, with less memory, as their own user and as an unknown user, as
# OpenShift does.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/docker.sh

hardened=(--read-only --cap-drop ALL --security-opt no-new-privileges)
ports_for_all=(--sysctl net.ipv4.ip_unprivileged_port_start=0)

# application NAME USER REDIS_USER: starts one container of each image in a separate network.
application() {
  local component options published
  network "$1" || return
  options=(--network "$run-$1" "${hardened[@]}" "${ports_for_all[@]}")
  start "$1-redis" --network-alias redis "${options[@]}" --user "$3" --memory 256m --tmpfs "/data:uid=${3%:*}" \
    redis:8-alpine redis-server --appendonly yes --appendfsync always || return
  for component in "${components[@]}"; do
    published=(-p 127.0.0.1::9000)
    [ "$component" = worker ] || published+=(-p 127.0.0.1::80)
    start "$1-$component" --network-alias "$component" "${options[@]}" --user "$2" --memory 64m "${published[@]}" \
      "$REGISTRY/$component:$TAG" || return
  done
}

respond_on_port_80() {
  get "$1-rng" 80 / | grep -q '^RNG running on ' &&
    get "$1-hasher" 80 / | grep -q '^HASHER running on ' &&
    get "$1-webui" 80 / | grep -q 15px
}
respond_on_port_9000() {
  local component path
  for component in "${components[@]}"; do
    for path in healthz readyz; do get "$1-$component" 9000 "/$path" >/dev/null || return; done
  done
}
runs_undisturbed() {
  local name facts
  for name in redis "${components[@]}"; do
    facts=$(state "$1-$name" '{{.Config.User}} {{.State.Running}} {{.RestartCount}} {{.State.OOMKilled}}')
    case $facts in "$2 true 0 false" | "$3 true 0 false") ;; *) echo "$name: $facts"; return 1 ;; esac
    [ -z "$(docker diff "$run-$1-$name")" ] || { docker diff "$run-$1-$name"; return 1; }
  done
}

# load_ends NAME USER: runs a load next to the application, and tests that it ends without an error.
load_ends() {
  start "$1-load" --network "$run-$1" "${hardened[@]}" --user "$2" --memory 64m -e HASHES=5 -e EXPECT=errors=0 \
    "$REGISTRY/load:$TAG" && [ "$(timeout 30 docker wait "$run-$1-load")" = 0 ] && logged "$1-load" "hashes/s: 5 in"
}

under_strict_rules() {
  local what="as user $2"
  check "$what: the containers start" application "$@"
  check "$what: rng, hasher and webui respond on port 80" within 15 respond_on_port_80 "$1"
  check "$what: all are healthy and ready" within 15 respond_on_port_9000 "$1"
  check "$what: they mine" within 15 mines get "$1-webui" 80 /json
  check "$what: a load runs and ends" load_ends "$@"
  check "$what: nothing is written, and nothing is killed" runs_undisturbed "$@"
}

# reports_missing_right COMPONENT: tests that without the right to port 80 it exits and names the setting and the sysctl.
reports_missing_right() {
  start "no-port-$1" --network none "${hardened[@]}" --sysctl net.ipv4.ip_unprivileged_port_start=1024 \
    "$REGISTRY/$1:$TAG" || return
  [ "$(timeout 10 docker wait "$run-no-port-$1")" = 2 ] &&
    logged "no-port-$1" LISTEN && logged "no-port-$1" net.ipv4.ip_unprivileged_port_start=0
}

# A load without an end exits and names the flags that set one.
load_needs_an_end() {
  start endless-load --network none "${hardened[@]}" "$REGISTRY/load:$TAG" || return
  [ "$(timeout 10 docker wait "$run-endless-load")" = 2 ] &&
    logged endless-load --duration && logged endless-load --hashes
}

under_strict_rules own 65532:65532 999:1000
under_strict_rules any 1000680000:0 1000680000:0
for component in rng hasher webui; do
  check "$component without the right to port 80 exits with 2 and logs the reason" reports_missing_right "$component"
done
check "a load without an end exits with 2 and names the settings" load_needs_an_end
[ $failures = 0 ]
