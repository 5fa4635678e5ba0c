#!/usr/bin/env bash
# Packs the bundle and follows its README.md in a Docker engine without images and network.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/docker.sh

for tool in kubectl dockerd nsenter unshare; do command -v $tool >/dev/null || skip "no $tool command"; done
root=()
[ "$(id -u)" = 0 ] || root=(sudo -n)
"${root[@]}" true 2>/dev/null || skip "a second engine requires root"

bundled=("$run"/{rng,hasher,worker,webui,load}":$run" "$run"/{rng,worker,webui}:v0.2)
cleanup() {
  stop_engine
  remove_all
  docker rmi "${bundled[@]}" >/dev/null 2>&1
  rm -f "$archive"
}

# The engine has its own network, processes and mounts, which end with it. It stops at the end of its standard input,
# and thus also when this script is killed.
cat >"$scratch/engine" <<'END'
echo $$ >"$1/engine.pid"
exec unshare --pid --fork --kill-child --mount-proc bash -c '
  ip link set lo up
  mount -t tmpfs tmpfs /run
  echo "{}" >/run/daemon.json
  dockerd --log-level warn --config-file /run/daemon.json --data-root "$1/images" --storage-driver vfs \
    --host "unix://$1/docker.sock" --group "$2" </dev/null &
  read -r
  kill $!
  for _ in {1..150}; do kill -0 $! 2>/dev/null || exit; sleep 0.1; done' bash "$@"
END
start_engine() {
  coproc engine {
    exec "${root[@]}" unshare --net --mount bash "$scratch/engine" "$scratch" "$(id -g)" >"$scratch/engine.log" 2>&1
  }
  # bash removes the array when the engine ends.
  engine_pid=$! engine_input=${engine[1]}
}
stop_engine() {
  [ -n "${engine_pid:-}" ] || return
  exec {engine_input}>&-
  wait "$engine_pid"
  "${root[@]}" rm -rf "$scratch/images"
}
# in_engine COMMAND...: runs a command with the second engine.
in_engine() { DOCKER_HOST=unix://$scratch/docker.sock "$@"; }
engine_responds() { in_engine docker version >/dev/null 2>&1; }
is_empty() { local images; images=$(in_engine docker images -q) && [ -z "$images" ]; }

archive=
pack() {
  REGISTRY=$run TAG=$run scripts/bundle >"$scratch/packing" 2>&1 || { tail -n 40 "$scratch/packing"; return 1; }
  archive=$(tail -n 1 "$scratch/packing")
}
unpack() {
  tar -xzf "$archive" -C "$scratch" && folder=$(echo "$scratch"/dockercoins-*/) && [ -f "$folder/README.md" ]
}
load() { (cd "$folder" && in_engine quiet ./load); }
# The .env of the bundle names the images.
up() { (compose=$PWD/scripts/compose && cd "$folder" && unset REGISTRY TAG && in_engine quiet "$compose" up -d); }

# Tests whether every image in the manifests of the bundle is loaded.
has_all_images() {
  local image images
  images=$(awk '$1 == "image:" { print $2 } $2 == "image:" { print $3 }' "$folder"/k8s/{,course/}*.yaml | sort -u)
  [ "$(wc -l <<<"$images")" -ge 6 ] || { echo "$images"; return 1; }
  for image in $images "${bundled[@]}"; do in_engine quiet docker image inspect "$image" || return; done
}
page() { "${root[@]}" nsenter -t "$(cat "$scratch/engine.pid")" -n curl -fsL --max-time 5 "http://localhost:8000$1"; }
page_shows() { page / | grep -q "$1"; }

check "the bundle is packed" pack
check "it unpacks" unpack
[ $failures = 0 ] || exit 1
start_engine
check "a second engine starts" within 60 engine_responds
check "it has no images" is_empty
check "the bundle loads" load
check "all images of the manifests are loaded" has_all_images
check "docker-compose up starts them" up
check "they mine" within 30 mines page /json
check "the page is served" page_shows 15px
if [ $failures -gt 0 ]; then tail -n 20 "$scratch/engine.log"; fi
[ $failures = 0 ]
