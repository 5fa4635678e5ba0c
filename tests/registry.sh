#!/usr/bin/env bash
# Publishes the images as for a course, to a separate registry, and runs the images that it pulls from there.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/compose.sh
docker image inspect registry:2 >/dev/null 2>&1 || docker pull -q registry:2 >/dev/null 2>&1 || skip "no image registry:2"

published=()
cleanup() {
  compose_down
  docker rmi "${published[@]}" >/dev/null 2>&1
  remove_all
}

registry_responds() { curl -fs --max-time 5 "http://$REGISTRY/v2/" >/dev/null; }
# holds COMPONENT TAGS: tests whether the registry has exactly these tags.
holds() {
  local tags
  tags=$(curl -fs --max-time 5 "http://$REGISTRY/v2/$1/tags/list" | grep -o '"v[^"]*"' | tr -d '"' | sort | xargs)
  [ "$tags" = "$2" ] || { echo "tags of $1: $tags"; return 1; }
}
holds_all() {
  holds rng "v0.1 v0.2" && holds hasher v0.1 && holds worker "v0.1 v0.2" && holds webui "v0.1 v0.2" && holds load v0.1
}
remove_published() { quiet docker rmi "${published[@]}"; }
is_here() { docker image inspect "$1" >/dev/null 2>&1; }
all_here() { local image; for image in "${published[@]}"; do is_here "$image" || return; done; }
none_here() { local image; for image in "${published[@]}"; do ! is_here "$image" || return; done; }
pull() {
  PULL_POLICY=always "${compose[@]}" -f docker-compose.loadtest.yml pull "${components[@]}" load &&
    scripts/compose -f docker-compose.variants.yml pull
}
cannot_be_pulled() { ! docker pull "$1" >"$scratch/pull" 2>&1 && grep -Eqi "not found|manifest unknown" "$scratch/pull"; }

network registry && start registry --network "$run-registry" -p 127.0.0.1::5000 registry:2 || exit 1
REGISTRY=$(address registry 5000) TAG=v0.1
published=("$REGISTRY"/{rng,hasher,worker,webui,load}:v0.1 "$REGISTRY"/{rng,worker,webui}:v0.2)

check "a registry starts" within 15 registry_responds
check "the images are published" quiet scripts/publish
check "the registry holds the services, their variants and the load generator, and no worker:v0.3" holds_all
check "the images are removed here" remove_published
check "none of them is left" none_here
check "the images are pulled" quiet pull
check "all of them are here" all_here
check "worker:v0.3 cannot be pulled" cannot_be_pulled "$REGISTRY/worker:v0.3"
check "the pulled images start" quiet "${compose[@]}" up -d --no-build
check "the pulled images mine" within 20 mines page /json
[ $failures = 0 ]
