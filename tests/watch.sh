#!/usr/bin/env bash
# Tests that docker-compose.watch.yml replaces a container when its program changes. It takes the programs from the
# images instead of building them with scripts/dev.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/docker.sh
docker compose version >/dev/null 2>&1 || skip "no docker compose"

folder=$scratch/dockercoins
mkdir -p "$folder/target/dev"
cp -r Dockerfile.dev webui "$folder/"
sed 's/"800[0-2]:80"/"127.0.0.1::80"/' docker-compose.yml >"$folder/docker-compose.yml"
sed "s/:dev$/:$run/" docker-compose.watch.yml >"$folder/docker-compose.watch.yml"
compose=(docker compose -p "$run" -f "$folder/docker-compose.yml" -f "$folder/docker-compose.watch.yml")
cleanup() {
  [ -z "${watch:-}" ] || kill "$watch" 2>/dev/null
  "${compose[@]}" down -v -t 1 >/dev/null 2>&1
  docker rmi "${components[@]/%/:$run}" >/dev/null 2>&1
  remove_all
}

copy_program() {
  local container
  container=$(docker create --label "$run" "$REGISTRY/$1:$TAG") &&
    docker cp "$container:/$1" "$folder/target/dev/" >/dev/null
}
# responds TEXT: tests whether rng responds with this text.
responds() { curl -fs --max-time 5 "http://$("${compose[@]}" port rng 80 2>/dev/null)" | grep -q "$1"; }
watches() { grep -q "Watch enabled" "$scratch/watch"; }
# edit WORD: changes the response of rng. A word of the same length keeps the program valid.
edit() {
  sed "s/RNG [a-z]* on/RNG $1 on/" "$folder/target/dev/rng" >"$scratch/rng" && cp "$scratch/rng" "$folder/target/dev/"
}

check "the programs are copied" each copy_program
"${compose[@]}" up --watch --build >"$scratch/watch" 2>&1 &
watch=$!
check "the application starts" within 60 responds "RNG running"
check "it watches" within 30 watches
check "the program changes" edit changed
SECONDS=0
check "the new program responds" within 60 responds "RNG changed"
echo "after $SECONDS s"
check "it changes again" edit another
check "the new program responds again" within 60 responds "RNG another"
if [ $failures -gt 0 ]; then tail -n 20 "$scratch/watch"; fi
[ $failures = 0 ]
