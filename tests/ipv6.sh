#!/usr/bin/env bash
# Runs the images with IPv6 only, even without 127.0.0.1. Docker has no such networks, so the containers start without a
# network and are then connected to a switch: a bridge in the network namespace of another container.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/docker.sh

command -v ip >/dev/null || skip "no ip command"
command -v nsenter >/dev/null || skip "no nsenter command"
root=()
[ "$(id -u)" = 0 ] || root=(sudo -n)
"${root[@]}" true 2>/dev/null || skip "connecting containers requires root"

declare -A addresses=([redis]=fd00::2 [rng]=fd00::3 [hasher]=fd00::4 [webui]=fd00::5 [worker]=fd00::6)

# inside NAME COMMAND...: runs a command in the network of a container.
inside() { "${root[@]}" nsenter -t "$(state "$1" '{{.State.Pid}}')" -n -- "${@:2}"; }

application() {
  local component options
  options=(--network none --read-only --cap-drop ALL --sysctl net.ipv6.conf.all.disable_ipv6=0
    --sysctl net.ipv6.conf.default.disable_ipv6=0 --sysctl net.ipv4.ip_unprivileged_port_start=0)
  for component in "${!addresses[@]}"; do options+=(--add-host "$component:${addresses[$component]}"); done
  start redis "${options[@]}" --user 999:1000 --tmpfs /data redis:8-alpine redis-server --save "" || return
  for component in "${components[@]}"; do
    start "$component" "${options[@]}" -e RETRY=1s "$REGISTRY/$component:$TAG" || return
    inside "$component" ip -4 address flush dev lo || return
  done
}

switch() {
  start switch --network none --sysctl net.ipv6.conf.all.disable_ipv6=0 --sysctl net.ipv6.conf.default.disable_ipv6=0 \
    redis:8-alpine sleep infinity || return
  inside switch test -e /proc/self || skip "the engine runs on another machine"
  inside switch ip link add bridge type bridge &&
    inside switch ip address add fd00::1/64 dev bridge nodad &&
    inside switch ip link set bridge up
}

# plug NAME: connects a container to the switch with a virtual cable, as eth0.
plug() {
  "${root[@]}" ip link add eth0 netns "$(state "$1" '{{.State.Pid}}')" type veth \
    peer name "$1" netns "$(state switch '{{.State.Pid}}')" &&
    inside switch ip link set "$1" master bridge up &&
    inside "$1" ip address add "${addresses[$1]}/64" dev eth0 nodad &&
    inside "$1" ip link set eth0 up
}
plug_all() { local name; for name in "${!addresses[@]}"; do plug "$name" || return; done; }

# fetch COMPONENT PORT PATH: fetches a path over IPv6, from the switch.
fetch() { inside switch curl -fsL --max-time 5 "http://[${addresses[$1]}]:$2$3"; }

waits() { logged worker "redis:6379" && logged worker "Waiting 1s and restarting."; }
without_ipv4() { [ -n "$(inside "$1" ip -6 -o address)" ] && [ -z "$(inside "$1" ip -4 -o address)" ]; }
ready() { fetch "$1" 9000 /readyz >/dev/null; }
page_shows() { fetch webui 80 / | grep -q "$1"; }
logs_addresses() {
  logged "$1" "listening on [::]:9000 (ADMIN_LISTEN)" &&
    { [ "$1" = worker ] || logged "$1" "listening on [::]:80 (LISTEN)"; }
}
logs_client_address() { logged "$1" "${addresses[worker]} - - "; }
never_restarted() { [ "$(state "$1" '{{.State.Running}} {{.RestartCount}}')" = "true 0" ]; }

check "the switch starts" switch
check "the containers start without a network" application
check "the worker waits for a network" within 15 waits
check "the cables are plugged in" plug_all
check "no container has an IPv4 address" each without_ipv4
check "they mine" within 20 mines fetch webui 80 /json
check "all are ready" each ready
check "the health checks succeed" within 15 each healthy
check "the page is served" page_shows 15px
check "the logs contain the addresses" each logs_addresses
check "rng logs the client address" logs_client_address rng
check "hasher logs the client address" logs_client_address hasher
check "none of them restarted" each never_restarted
[ $failures = 0 ]
