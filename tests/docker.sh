# shellcheck shell=bash
# Sourced by the tests of containers. Skips them without Docker. Sets $run, a unique name, and $images. If
# tests/images.sh has built the images, their tag is $CHECK_IMAGES; otherwise they are built now and removed at the end.
. tests/lib.sh

docker info >/dev/null 2>&1 || skip "no Docker Engine responds"
scripts/compose version >/dev/null 2>&1 || skip "neither docker-compose nor docker compose is installed"
command -v curl >/dev/null || skip "no curl"

run=dockercoins-check-${scratch##*.}
run=${run,,}
export REGISTRY=127.0.0.1:5000 TAG=${CHECK_IMAGES:-$run}
unset DEBUG RUST_LOG LOG_FORMAT
components=(rng hasher worker webui)
images=("$REGISTRY"/{rng,hasher,worker,webui,load}":$TAG")

build_images() { scripts/compose --profile load -f docker-compose.yml -f docker-compose.loadtest.yml build --force-rm; }
remove_images() { docker rmi "${images[@]}" >/dev/null 2>&1; }

# start NAME OPTION... IMAGE ARGUMENT...: starts a container that is removed at the end of the script.
start() {
  local name=$1
  shift
  docker run -d --label "$run" --name "$run-$name" "$@" >/dev/null
}
network() { docker network create --label "$run" "$run-$1" >/dev/null; }

# One by one: an engine that removes several at once may lose count of the users of a network.
remove_all() {
  docker ps -aq --filter "label=$run" | xargs -r -n 1 docker rm -fv >/dev/null
  docker network ls -q --filter "label=$run" | xargs -r -n 1 docker network rm >/dev/null
  [ -n "${CHECK_IMAGES:-}" ] || remove_images
}
cleanup() { remove_all; }

state() { docker inspect -f "$2" "$run-$1"; }
healthy() { [ "$(state "$1" '{{.State.Health.Status}}')" = healthy ]; }
logged() { docker logs "$run-$1" 2>&1 | grep -qF -- "$2"; }
# address NAME PORT: prints the address of a published port.
address() { docker port "$run-$1" "$2" 2>/dev/null | head -n 1; }
# get NAME PORT PATH: fetches a path through a published port.
get() { curl -fsL --max-time 5 "http://$(address "$1" "$2")$3"; }
# each COMMAND...: tests whether the command succeeds for every component.
each() { local component; for component in "${components[@]}"; do "$@" "$component" || return; done; }

# hashes: prints the count in the /json on standard input: 0 before the first one, nothing if redis is unreachable.
hashes() { sed -n 's/.*"hashes":null.*/0/p; s/.*"hashes":"\([0-9]*\)".*/\1/p'; }
# mines COMMAND...: tests whether the command prints a /json with more than three hashes.
mines() { local count; count=$("$@" | hashes); [ "${count:-0}" -gt 3 ]; }

if [ -z "${CHECK_IMAGES:-}" ]; then
  quiet build_images || { echo "not ok - the images build"; exit 1; }
fi
