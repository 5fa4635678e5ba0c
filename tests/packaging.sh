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

# our_images: lists our images in the file on standard input.
our_images() { awk '$1 == "image:" && $2 !~ /^(redis:|prom\/|grafana\/|jaegertracing\/)/ { print $2 }'; }
composed() { $compose "$@" config | our_images; }
# settings: lists the variables of the shell that Compose passes, once for each service.
settings() {
  DEBUG=shell DELAY=shell LANES=shell IGNORE_SIGTERM=shell CONNECTIONS=shell CONCURRENCY=shell $compose config |
    sed -n 's/^ *\([A-Z_]*\): shell$/\1/p'
}
# drivers: lists the log driver of each service.
drivers() { $compose -f docker-compose.yml -f docker-compose.logging.yml config | sed -n 's/^      driver: //p'; }

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
  same "$compose: empty counts as unset" "$(services 127.0.0.1:5000 v0.1)" "$(REGISTRY='' TAG='' composed)"
  same "$compose: in a subfolder" "$(services 127.0.0.1:5000 v0.1)" "$(cd docs && composed)"
  same "$compose: settings from the shell reach the services" \
    "$(printf '%s ' {DEBUG,IGNORE_SIGTERM}{,,,} DELAY{,,} LANES CONNECTIONS CONCURRENCY)" "$(settings)"
  same "$compose: docker-compose.logging.yml" "gelf gelf gelf gelf gelf" "$(drivers)"
  check "$compose: the profile tracing" grep -q image:.*jaeger <($compose --profile tracing config)
done
[ "$found" ] || skip "neither docker-compose nor docker compose is installed"
if docker compose version >/dev/null 2>&1; then
  compose="docker compose"
  same "docker compose: docker-compose.watch.yml" "rng:dev hasher:dev worker:dev webui:dev" \
    "$(composed -f docker-compose.yml -f docker-compose.watch.yml)"
fi

# stacked FILE...: lists our images in a stack.
stacked() { docker stack config "${@/#/--compose-file=}" | our_images; }
if docker stack config --help >/dev/null 2>&1; then
  same "Swarm: our names" "$(services 127.0.0.1:5000 v0.1)" "$(REGISTRY='' TAG='' stacked stacks/dockercoins.yml)"
  same "Swarm: REGISTRY and TAG" "$(services ghcr.io/a/b v9)" \
    "$(REGISTRY=ghcr.io/a/b TAG=v9 stacked stacks/dockercoins.yml)"
  same "Swarm: without IPVS" "$(services 127.0.0.1:5000 v0.1)" "$(stacked stacks/{dockercoins,without-ipvs}.yml)"
else
  echo "docker stack config is not available: the stack is not tested"
fi

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
are_stages() { ! xargs -n 1 | grep -vxFf <(sed -n 's/^FROM .* AS //p' Dockerfile Dockerfile.dev); }
check "all targets are stages" are_stages < <(targets)

named_once() {
  local count
  count=$(cat "$@" | grep -c 127.0.0.1:5000)
  [ "$count" = 1 ] || { echo "$count times in $*"; return 1; }
}
# follows_specification FILE...: validates files of Compose, with the defaults of their variables.
follows_specification() {
  local file
  mkdir "$scratch/compose"
  for file; do sed -E 's/\$\{[A-Z_]+:?-([^}]*)\}/\1/g' "$file" >"$scratch/compose/${file##*/}"; done
  quiet "$venv/bin/check-jsonschema" --builtin-schema vendor.compose-spec "$scratch"/compose/*
}
check "docker-compose.yml, its variants and the stack follow the Compose specification" \
  follows_specification docker-compose*.yml stacks/*.yml
is_default() { ! grep -Fn 127.0.0.1:5000 "$@" | grep -vF "\${REGISTRY:-127.0.0.1:5000}"; }
check "the registry is always a default for Compose" is_default docker-compose*.yml stacks/*.yml
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
check "Dockerfile: hadolint" quiet "$venv/bin/hadolint" --failure-threshold warning Dockerfile Dockerfile.dev

# A Tiltfile has the syntax of Python. Evaluate it with functions that print the images it builds.
in_tiltfile() {
  "$venv/bin/python" <<'PYTHON'
import os
def build(image, context, dockerfile, build_args, only):
    assert os.path.exists(dockerfile) and only == [build_args["PROGRAM"]], image
    print(image)
def resource(name, command, deps):
    assert all(map(os.path.exists, [command, *deps])), deps
def manifests(folder):
    assert os.path.exists(f"{folder}/kustomization.yaml"), folder
ignored = lambda *values, **options: None
exec(open("Tiltfile").read(), dict(docker_build=build, local_resource=resource, kustomize=manifests, local=ignored,
                                   k8s_yaml=ignored, k8s_resource=ignored))
PYTHON
}
same "Tiltfile: the images of the manifests" \
  "$(awk '/image:/ { print $NF }' k8s/dockercoins.yaml | sed -n 's/:v0.1$//p')" "$(in_tiltfile)"

# Features without a major version may change at any time.
dev_container() {
  "$venv/bin/python" <<'PYTHON'
import json, os, re
config = json.load(open(".devcontainer/devcontainer.json"))
assert all(re.search(r":\d+$", feature) for feature in config["features"]), config["features"]
assert os.access(config["postCreateCommand"].split()[0], os.X_OK) and 8000 in config["forwardPorts"]
PYTHON
}
check "dev container: valid, with versions" dev_container

check "workflows: schema" quiet "$venv/bin/check-jsonschema" --builtin-schema vendor.github-workflows .github/workflows/*
check "GitLab: schema" quiet "$venv/bin/check-jsonschema" --builtin-schema vendor.gitlab-ci .gitlab-ci.yml
check "workflows: zizmor" quiet "$venv/bin/zizmor" --offline --min-severity medium .github/workflows

if command -v kubectl >/dev/null; then
  REGISTRY=ghcr.io/a/b TAG=v9 check "the manifests of a release render" quiet scripts/manifests "$scratch/rendered"
  check "they name the release and nothing else" diff \
    <(programs ghcr.io/a/b v9 | xargs -n 1 | sort) \
    <(cd "$scratch/rendered" && awk '/ image: / { print $NF }' {.,course,kustomize/course}/*.yaml |
      grep -v ^redis: | sort -u)
else
  echo "kubectl is not installed: scripts/manifests is not tested"
fi
[ $failures = 0 ]
