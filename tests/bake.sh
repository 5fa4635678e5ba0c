#!/usr/bin/env bash
# Builds the images with `docker buildx bake` for the platform of this machine.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/docker.sh
docker buildx version >/dev/null 2>&1 || skip "docker buildx is not installed"

REGISTRY=$run
baked=("$run"/{rng,hasher,worker,webui,load}":$TAG" "$run"/{rng,worker,webui}:v0.2)
cleanup() {
  docker rmi "${baked[@]}" >/dev/null 2>&1
  remove_all
}
bake() {
  PLATFORM=$(docker version -f '{{.Server.Os}}/{{.Server.Arch}}') docker buildx bake -f docker-bake.hcl all --load
}
all_here() { quiet docker image inspect "${baked[@]}"; }
programs_run() {
  local program
  for program in rng hasher worker webui load; do
    docker run --rm --label "$run" --network none "$run/$program:$TAG" --version >"$scratch/version" || return
    grep -q "^$program " "$scratch/version" || { cat "$scratch/version"; return 1; }
  done
}

check "the images are built" quiet bake
[ $failures = 0 ] || exit 1
check "all of them are here" all_here
check "their programs run" programs_run
[ $failures = 0 ]
