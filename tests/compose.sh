# shellcheck shell=bash
# Sourced by tests of containers. Sets $compose, which runs docker-compose.yml with two changes: free ports, and an
# editable copy of the files folder.
. tests/docker.sh

cp -r webui/files "$scratch/files"
chmod -R a+rX "$scratch/files"
sed -e 's/"800[0-2]:80"/"127.0.0.1::80"/' -e "s|\./webui/files|$scratch/files|" \
  docker-compose.yml >"$scratch/docker-compose.yml"
compose=(scripts/compose -p "$run" --project-directory "$PWD" -f "$scratch/docker-compose.yml")

compose_down() { "${compose[@]}" down -v --remove-orphans -t 1 >/dev/null 2>&1; }
cleanup() {
  compose_down
  remove_all
}
containers() { "${compose[@]}" ps -q "$@"; }
each_container() { "${compose[@]}" ps -q | xargs docker inspect -f "$1"; }
all_healthy() { each_container '{{.State.Health.Status}}' >"$scratch/health" && ! grep -qv '^healthy$' "$scratch/health"; }
# page [PATH]: fetches a path from webui.
page() { curl -fsL --max-time 5 "http://$("${compose[@]}" port webui 80)${1:-/}"; }
