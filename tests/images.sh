#!/usr/bin/env bash
# Builds the images for the tests of containers, with the tag $CHECK_IMAGES. `tests/images.sh remove` removes them.
set -u
cd "$(dirname "$0")/.." || exit 1
: "${CHECK_IMAGES:?}"
. tests/docker.sh

if [ "${1:-}" = remove ]; then
  remove_images
  exit 0
fi

are_small() {
  local image size code=0
  for image in "${images[@]}"; do
    size=$(docker image inspect -f '{{.Size}}' "$image") || return
    echo "$image: $((size / 1000)) kB"
    [ "$size" -le 7000000 ] || code=1
  done
  return $code
}

check "the images build" quiet build_images
check "no image is larger than 7 MB" are_small
[ $failures = 0 ]
