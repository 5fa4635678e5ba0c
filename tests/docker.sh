# shellcheck shell=bash
# Sourced by the tests of containers: skips them where there is no Docker, and sets $run, a name that nobody else uses,
# and $images. Those are tagged $CHECK_IMAGES where tests/images.sh has built them; otherwise they are built now and
# removed at the end.
. tests/lib.sh

docker info >/dev/null 2>&1 || skip "no Docker Engine answers"
scripts/compose version >/dev/null 2>&1 || skip "neither docker-compose nor docker compose is installed"
command -v curl >/dev/null || skip "no curl"

run=dockercoins-check-${scratch##*.}
run=${run,,}
export REGISTRY=127.0.0.1:5000 TAG=${CHECK_IMAGES:-$run}
unset DEBUG RUST_LOG LOG_FORMAT
components=(rng hasher worker webui)
images=("${components[@]/#/$REGISTRY/}")
images=("${images[@]/%/:$TAG}")

build_images() { scripts/compose -f docker-compose.yml build --force-rm; }
remove_images() { docker rmi "${images[@]}" >/dev/null 2>&1; }

# start NAME OPTION... IMAGE ARGUMENT...: starts a container that lasts no longer than the script.
start() {
  local name=$1
  shift
  docker run -d --label "$run" --name "$run-$name" "$@" >/dev/null
}
network() { docker network create --label "$run" "$run-$1" >/dev/null; }

# One by one: an engine that is asked to remove several at once may lose count of who uses a network.
remove_all() {
  docker ps -aq --filter "label=$run" | xargs -r -n 1 docker rm -fv >/dev/null
  docker network ls -q --filter "label=$run" | xargs -r -n 1 docker network rm >/dev/null
  [ -n "${CHECK_IMAGES:-}" ] || remove_images
}
cleanup() { remove_all; }

state() { docker inspect -f "$2" "$run-$1"; }
healthy() { [ "$(state "$1" '{{.State.Health.Status}}')" = healthy ]; }
logged() { docker logs "$run-$1" 2>&1 | grep -qF -- "$2"; }
# address NAME PORT: where a published port is to be found.
address() { docker port "$run-$1" "$2" 2>/dev/null | head -n 1; }
# get NAME PORT PATH
get() { curl -fsL --max-time 5 "http://$(address "$1" "$2")$3"; }
# each COMMAND...: whether it succeeds for every component.
each() { local component; for component in "${components[@]}"; do "$@" "$component" || return; done; }

# hashes: the count in the /json on standard input, 0 before the first, nothing while redis is away.
hashes() { sed -n 's/.*"hashes":null.*/0/p; s/.*"hashes":"\([0-9]*\)".*/\1/p'; }
# mines COMMAND...: whether the /json that it prints counts more than a few.
mines() { local count; count=$("$@" | hashes); [ "${count:-0}" -gt 3 ]; }

if [ -z "${CHECK_IMAGES:-}" ]; then
  quiet build_images || { echo "not ok - the images build"; exit 1; }
fi
