#!/usr/bin/env bash
# Checks the files that name, build and publish the images, without building an image.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/lib.sh
. tests/venv.sh

# same NAME EXPECTED ACTUAL: compares two lists in any order.
same() { check "$1" diff <(xargs -n 1 <<<"$2" | sort) <(xargs -n 1 <<<"$3" | sort); }
services() { echo "$1"/{rng,hasher,worker,webui}":$2"; }
programs() { echo "$(services "$1" "$2") $1/load:$2"; }
variants() { echo "$1"/{rng,worker,webui}:v0.2; }

# composed OPTION...: lists our images in $compose.
composed() { $compose "$@" config | awk '$1 == "image:" && $2 !~ /^(redis:|prom\/|grafana\/)/ { print $2 }'; }
is_rejected() { ! $compose config >"$scratch/output" 2>&1 && grep -q "$1" "$scratch/output"; }

unset REGISTRY TAG
found=
for compose in docker-compose "docker compose"; do
  $compose version >/dev/null 2>&1 || continue
  found=yes
  same "$compose: our names" "$(services 127.0.0.1:5000 v0.1)" "$(composed)"
  same "$compose: REGISTRY and TAG" "$(services ghcr.io/a/b v9)" "$(REGISTRY=ghcr.io/a/b TAG=v9 composed)"
  same "$compose: with the load generator" "$(programs ghcr.io/a/b v9)" \
    "$(REGISTRY=ghcr.io/a/b TAG=v9 composed --profile load -f docker-compose.yml -f docker-compose.loadtest.yml)"
  same "$compose: the variants" "$(variants ghcr.io/a/b)" \
    "$(REGISTRY=ghcr.io/a/b TAG=v9 composed -f docker-compose.variants.yml)"
  REGISTRY='' check "$compose: an empty REGISTRY is an error that names it" is_rejected REGISTRY
  TAG='' check "$compose: an empty TAG is an error that names it" is_rejected TAG
done
[ "$found" ] || skip "neither docker-compose nor docker compose is installed"
compose=scripts/compose
same "scripts/compose: empty counts as unset" "$(services 127.0.0.1:5000 v0.1)" "$(REGISTRY='' TAG='' composed)"

# bake EXPRESSION [OPTION...]: evaluates the expression for each target that bake would build.
bake() {
  docker buildx bake --print "${@:2}" 2>"$scratch/output" | "$venv/bin/python" -c \
    "import json, sys; [print(*($1)) for target in json.load(sys.stdin)['target'].values()]"
}
if docker buildx version >/dev/null 2>&1; then
  same "bake: our names" "$(programs 127.0.0.1:5000 v0.1)" "$(bake 'target["tags"]')"
  same "bake: empty counts as unset" "$(programs 127.0.0.1:5000 v0.1)" \
    "$(REGISTRY='' TAG='' bake 'target["tags"]' -f docker-bake.hcl)"
  same "bake: all platforms" "linux/amd64 linux/arm64 linux/arm/v7" \
    "$(bake 'target["platforms"]' -f docker-bake.hcl | head -n 1)"
  same "bake: one PLATFORM" linux/arm64 "$(PLATFORM=linux/arm64 bake 'target["platforms"]' -f docker-bake.hcl | head -n 1)"
  same "bake: REGISTRY, TAG and the variants" "$(programs ghcr.io/a/b v9) $(variants ghcr.io/a/b)" \
    "$(REGISTRY=ghcr.io/a/b TAG=v9 bake 'target["tags"]' all)"
else
  echo "docker buildx is not installed: docker-bake.hcl is parsed, but not evaluated"
fi
# in_bake LIST, in_bake BLOCK NAME KEY...: prints a list in docker-bake.hcl.
in_bake() {
  "$venv/bin/python" - "$@" <<'PYTHON'
import sys, hcl2
kind, *path = sys.argv[1:]
value = hcl2.load(open("docker-bake.hcl"))[kind]
if path:
    name, *keys = path
    value = next(block[f'"{name}"'] for block in value if f'"{name}"' in block)
    for key in keys:
        value = value[key]
print(*(item.strip('"') for item in value))
PYTHON
}
same "bake: the same programs as Compose" "rng hasher worker webui load" "$(in_bake target service matrix service)"
same "bake: three platforms" "linux/amd64 linux/arm64 linux/arm/v7" "$(in_bake platforms)"
same "bake: SBOM and provenance" "type=sbom type=provenance,mode=max" "$(in_bake attestations)"

targets() {
  sed -n 's/.* target: \([a-z-]*\),.*/\1/p' docker-compose*.yml
  in_bake target service matrix service
  in_bake target variant matrix variant
}
are_stages() { ! xargs -n 1 | grep -vxFf <(sed -n 's/^FROM .* AS //p' Dockerfile); }
check "all targets are stages" are_stages < <(targets)

named_once() {
  local count
  count=$(cat "$@" | grep -c 127.0.0.1:5000)
  [ "$count" = 1 ] || { echo "$count times in $*"; return 1; }
}
check "docker-compose.yml and its variants follow the Compose specification" \
  quiet "$venv/bin/check-jsonschema" --builtin-schema vendor.compose-spec docker-compose*.yml
check "the registry is named once for Compose" named_once .env docker-compose*.yml
check "the registry is named once for bake" named_once docker-bake.hcl Dockerfile

# chosen PLATFORM [BUILD PLATFORM]: prints the target and the packages that the Dockerfile chooses.
chosen() {
  local choice
  choice=$(sed -n '/^RUN case/,/esac/{s/^RUN //;s/esac .*/esac/;p}' Dockerfile)
  TARGETPLATFORM=$1 BUILDPLATFORM=${2-linux/other} sh -c "$choice"'; echo $target $cross'
}
same "Dockerfile: linux/amd64" "x86_64-unknown-linux-gnu gcc-x86-64-linux-gnu libc6-dev-amd64-cross" "$(chosen linux/amd64)"
same "Dockerfile: linux/arm64" "aarch64-unknown-linux-gnu gcc-aarch64-linux-gnu libc6-dev-arm64-cross" "$(chosen linux/arm64)"
same "Dockerfile: linux/arm/v7" \
  "armv7-unknown-linux-gnueabihf gcc-arm-linux-gnueabihf libc6-dev-armhf-cross" "$(chosen linux/arm/v7)"
same "Dockerfile: the build machine's own platform" host-tuple "$(chosen linux/arm64 linux/arm64)"
same "Dockerfile: the classic builder" host-tuple "$(chosen '' '')"
unknown_is_rejected() { ! chosen linux/s390x >"$scratch/output" 2>&1 && grep -q linux/s390x "$scratch/output"; }
check "Dockerfile: an unknown platform is an error that names it" unknown_is_rejected
check "Dockerfile: hadolint" quiet "$venv/bin/hadolint" --failure-threshold warning Dockerfile

check "workflows: schema" quiet "$venv/bin/check-jsonschema" --builtin-schema vendor.github-workflows .github/workflows/*
check "workflows: zizmor" quiet "$venv/bin/zizmor" --offline --min-severity medium .github/workflows

if command -v kubectl >/dev/null; then
  REGISTRY=ghcr.io/a/b TAG=v9 check "the manifests of a release render" quiet scripts/manifests "$scratch/rendered"
  check "they name the release and nothing else" diff \
    <(programs ghcr.io/a/b v9 | xargs -n 1 | sort) \
    <(awk '$1 ~ /image:$/ || $2 == "image:" { print $NF }' "$scratch"/rendered/*.yaml | grep -v ^redis: | sort -u)
else
  echo "kubectl is not installed: scripts/manifests is not tested"
fi
[ $failures = 0 ]
