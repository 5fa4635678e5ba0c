#!/usr/bin/env bash
# Packs the bundle and follows its README.md in an engine that has no images and no network.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/docker.sh

for tool in kubectl dockerd nsenter unshare; do command -v $tool >/dev/null || skip "no $tool command"; done
root=()
[ "$(id -u)" = 0 ] || root=(sudo -n)
"${root[@]}" true 2>/dev/null || skip "a second engine takes root"

bundled=("$run"/{rng,hasher,worker,webui}":$run" "$run"/{rng,worker,webui}:v0.2)
cleanup() {
  stop_engine
  remove_all
  docker rmi "${bundled[@]}" >/dev/null 2>&1
  rm -f "$archive"
}

# Network, processes and mounts are the engine's own and end with it, so nothing of it can be in anybody's way.
# It ends when its standard input does, however this script ends.
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
  # The array is gone as soon as the engine has ended.
  engine_pid=$! engine_input=${engine[1]}
}
stop_engine() {
  [ -n "${engine_pid:-}" ] || return
  exec {engine_input}>&-
  wait "$engine_pid"
  "${root[@]}" rm -rf "$scratch/images"
}
# there COMMAND...: with the other engine.
there() { DOCKER_HOST=unix://$scratch/docker.sock "$@"; }
answers() { there docker version >/dev/null 2>&1; }
is_empty() { local images; images=$(there docker images -q) && [ -z "$images" ]; }

archive=
pack() {
  REGISTRY=$run TAG=$run scripts/bundle >"$scratch/packing" 2>&1 || { tail -n 40 "$scratch/packing"; return 1; }
  archive=$(tail -n 1 "$scratch/packing")
}
unpack() {
  tar -xzf "$archive" -C "$scratch" && folder=$(echo "$scratch"/dockercoins-*/) && [ -f "$folder/README.md" ]
}
load() { (cd "$folder" && there quiet ./load); }
# The images come from the bundle's own .env.
up() { (compose=$PWD/scripts/compose && cd "$folder" && REGISTRY='' TAG='' there quiet "$compose" up -d); }

# Every image that any manifest of the bundle names.
has_the_images() {
  local image images
  images=$(awk '$1 == "image:" { print $2 } $2 == "image:" { print $3 }' "$folder"/k8s/*.yaml | sort -u)
  [ "$(wc -l <<<"$images")" -ge 5 ] || { echo "$images"; return 1; }
  for image in $images "${bundled[@]}"; do there quiet docker image inspect "$image" || return; done
}
page() { "${root[@]}" nsenter -t "$(cat "$scratch/engine.pid")" -n curl -fsL --max-time 5 "http://localhost:8000$1"; }
page_shows() { page / | grep -q "$1"; }

check "the bundle is packed" pack
check "it unpacks" unpack
[ $failures = 0 ] || exit 1
start_engine
check "an engine of its own starts" within 60 answers
check "it has no images" is_empty
check "the bundle loads" load
check "the images are those that the manifests name" has_the_images
check "docker-compose up starts them" up
check "they mine" within 30 mines page /json
check "the page is served" page_shows 15px
if [ $failures -gt 0 ]; then tail -n 20 "$scratch/engine.log"; fi
[ $failures = 0 ]
