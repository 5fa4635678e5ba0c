#!/usr/bin/env bash
# Runs docker-compose.yml as shipped, but for the ports and the files folder, and looks at it from outside.
set -u
cd "$(dirname "$0")/.." || exit 1

docker info >/dev/null 2>&1 || { echo "skipped: no Docker Engine answers"; exit 77; }
if docker-compose version >/dev/null 2>&1; then compose=(docker-compose) build=(build --force-rm)
elif docker compose version >/dev/null 2>&1; then compose=(docker compose) build=(build)
else echo "skipped: neither docker-compose nor docker compose is installed"; exit 77; fi

scratch=$(mktemp -d)
project=dockercoins-check-${scratch##*.}
project=${project,,}
export REGISTRY=127.0.0.1:5000 TAG=$project
unset DEBUG RUST_LOG LOG_FORMAT
images=("$REGISTRY"/{rng,hasher,worker,webui}":$TAG")
compose+=(-p "$project" --project-directory "$PWD" -f "$scratch/docker-compose.yml")

cleanup() {
  "${compose[@]}" down -v --remove-orphans -t 1 >/dev/null 2>&1
  docker rmi "${images[@]}" >/dev/null 2>&1
  rm -rf "$scratch"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# Any free ports, and a copy of the files that can be edited.
cp -r webui/files "$scratch/files"
chmod -R a+rX "$scratch/files"
sed -e 's/"800[0-2]:80"/"127.0.0.1::80"/' -e "s|\./webui/files|$scratch/files|" \
  docker-compose.yml >"$scratch/docker-compose.yml"

failures=0
# check NAME COMMAND...
check() {
  local name=$1
  shift
  if "$@"; then echo "ok - $name"; else echo "not ok - $name"; failures=$((failures + 1)); fi
}

# quiet COMMAND...: shows what it printed only when it failed.
quiet() { "$@" >"$scratch/log" 2>&1 || { tail -n 40 "$scratch/log"; return 1; }; }

# within SECONDS COMMAND...: tries until it succeeds.
within() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    [ $SECONDS -lt $deadline ] || return 1
    sleep 0.3
  done
}

containers() { "${compose[@]}" ps -q "$@"; }
each_container() { containers | xargs docker inspect -f "$1"; }

healthy() {
  each_container '{{.State.Health.Status}}' >"$scratch/health" && ! grep -qv '^healthy$' "$scratch/health"
}

# The count as webui tells it: 0 before the first, nothing while redis is away.
hashes() {
  curl -fs --max-time 2 "$page/json" | sed -n 's/.*"hashes":null.*/0/p; s/.*"hashes":"\([0-9]*\)".*/\1/p'
}
more_than() { local now; now=$(hashes); [ "${now:-0}" -gt "$1" ]; }
page_shows() { curl -fsL "$page" | grep -q "$1"; }

# goes_on_after COMMAND...: across it the count never falls, and then it grows again.
goes_on_after() {
  local before now deadline=$((SECONDS + 45))
  before=$(hashes)
  quiet "$@" || return
  while [ $SECONDS -lt $deadline ]; do
    now=$(hashes)
    if [ -n "$now" ]; then
      [ "$now" -ge "$before" ] || { echo "$before hashes became $now"; return 1; }
      [ "$now" -le $((before + 10)) ] || return 0
    fi
    sleep 0.3
  done
  echo "still at ${now:-none} after $before"
  return 1
}
kill_redis() { "${compose[@]}" kill -s KILL redis && "${compose[@]}" start redis; }

live_edit() {
  page_shows 15px && ! page_shows 50px && sed -i 's/15px/50px/' "$scratch/files/index.html" && page_shows 50px
}

served() { docker logs "$rng" 2>&1 | grep -c '"GET /32 HTTP/1.1" 200'; }
at_the_ceiling() {
  local start end before after
  start=$(date +%s.%N) before=$(served)
  sleep 20
  end=$(date +%s.%N) after=$(served)
  awk -v n=$((after - before)) -v a="$start" -v b="$end" \
    'BEGIN { rate = n / (b - a); printf "%.2f requests per second at rng\n", rate; exit !(9 <= rate && rate <= 10.05) }'
}

small() {
  local image size code=0
  for image in "${images[@]}"; do
    size=$(docker image inspect -f '{{.Size}}' "$image") || return
    echo "$image: $((size / 1000)) kB"
    [ "$size" -le 5000000 ] || code=1
  done
  return $code
}

nobody_is_root() {
  local id uids
  for id in $(containers); do
    uids=$(docker top "$id" -o pid,uid | awk 'NR > 1 { print $2 }')
    if [ -z "$uids" ] || grep -qx 0 <<<"$uids"; then
      docker inspect -f '{{.Name}} runs as root' "$id"
      return 1
    fi
  done
}

# The mount point of the files folder is made by the engine.
nothing_is_written() {
  local id
  each_container '{{.HostConfig.ReadonlyRootfs}}' | grep -qv '^true$' && return 1
  for id in $(containers); do
    ! docker diff "$id" | grep -v '^A /files$' || return 1
  done
}

# Those first that need others, as docker-compose stops them: a worker that has hashes waits for redis.
stops_within_a_second() {
  local id start took name slowest=0 code=0
  for id in $(for service in worker webui hasher rng redis; do containers $service; done); do
    start=$(date +%s%N)
    docker stop -t 10 "$id" >/dev/null
    took=$((($(date +%s%N) - start) / 1000000))
    [ $took -le $slowest ] || slowest=$took
    name=$(docker inspect -f '{{.Name}}, which exited with {{.State.ExitCode}}' "$id")
    if [ $took -ge 1000 ] || [ "${name##* }" != 0 ]; then
      echo "$took ms to stop $name"
      code=1
    fi
  done
  echo "slowest: $slowest ms"
  return $code
}

check "docker-compose.yml is valid" quiet "${compose[@]}" config
check "the images build" quiet "${compose[@]}" "${build[@]}"
if [ $failures -gt 0 ]; then exit 1; fi
check "no image is larger than 5 MB" small
check "the application starts" quiet "${compose[@]}" up -d --no-build

page=http://$("${compose[@]}" port webui 80)
rng=$(containers rng)
check "all are healthy" within 30 healthy
check "it mines" within 15 more_than 3
check "the page is served" page_shows 15px
check "an edit of the page shows on reload" live_edit
check "a restart of redis loses nothing" goes_on_after "${compose[@]}" restart redis
check "a kill of redis loses nothing" goes_on_after kill_redis
check "ten workers start" quiet "${compose[@]}" up -d --no-build --scale worker=10
check "ten workers are healthy" within 30 healthy
check "ten workers reach the ceiling" at_the_ceiling
check "nobody is root" nobody_is_root
check "nothing is written to a root file system" nothing_is_written
check "each container stops within a second" stops_within_a_second
if [ $failures -gt 0 ]; then "${compose[@]}" logs --tail=20; fi
[ $failures = 0 ]
