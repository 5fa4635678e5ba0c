#!/usr/bin/env bash
# Runs the images without IPv6: switched off, or missing in the kernel.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/docker.sh

# A kernel without IPv6 returns EAFNOSUPPORT for socket(AF_INET6, ...).
cat >"$scratch/no-ipv6.json" <<'END'
{
  "defaultAction": "SCMP_ACT_ALLOW",
  "syscalls": [{
    "names": ["socket"],
    "action": "SCMP_ACT_ERRNO",
    "errnoRet": 97,
    "args": [{ "index": 0, "value": 10, "op": "SCMP_CMP_EQ" }]
  }]
}
END

# application NAME OPTION...: starts one container of each image in a separate network.
application() {
  local component name=$1
  shift
  network "$name" || return
  set -- --network "$run-$name" "$@"
  start "$name-redis" --network-alias redis "$@" redis:8-alpine || return
  for component in "${components[@]}"; do
    start "$name-$component" --network-alias "$component" "$@" -p 127.0.0.1::80 "$REGISTRY/$component:$TAG" || return
  done
}

all_healthy() { local component; for component in "${components[@]}"; do healthy "$1-$component" || return; done; }
falls_back() {
  local component
  for component in rng hasher webui; do
    logged "$1-$component" "this host has no IPv6, so LISTEN means 0.0.0.0:80" || return
  done
}
without_ipv6() {
  local what=$2
  check "$what: the containers start" application "$1" "${@:3}"
  check "$what: they mine" within 15 mines get "$1-webui" 80 /json
  check "$what: they are healthy" within 15 all_healthy "$1"
}

without_ipv6 off "IPv6 switched off" --sysctl net.ipv6.conf.all.disable_ipv6=1 --sysctl net.ipv6.conf.default.disable_ipv6=1
without_ipv6 none "no IPv6 in the kernel" --security-opt "seccomp=$scratch/no-ipv6.json"
check "no IPv6 in the kernel: they log the address that they use instead" falls_back none
[ $failures = 0 ]
