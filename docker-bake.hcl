# `docker buildx bake -f docker-bake.hcl --push` publishes the services and the load generator for three platforms. The
# group `all` adds the course's variants. Both need a builder for several platforms:
# `docker buildx create --use --driver-opt network=host`. Any builder can build for one platform:
# `PLATFORM=linux/arm64 docker buildx bake -f docker-bake.hcl --load`.

variable "REGISTRY" { default = "" }
variable "TAG" { default = "" }

# If set, only this platform is built, without attestations and annotations, which some builders do not support.
variable "PLATFORM" { default = "" }
platforms    = ["linux/amd64", "linux/arm64", "linux/arm/v7"]
attestations = ["type=sbom", "type=provenance,mode=max"]

# The source of a release.
variable "SOURCE" { default = "" }
variable "REVISION" { default = "" }
variable "CREATED" { default = "" }

# Empty counts as unset.
registry = REGISTRY != "" ? REGISTRY : "127.0.0.1:5000"
tag      = TAG != "" ? TAG : "v0.1"

function "labels" {
  params = [version]
  result = { for key, value in {
    "org.opencontainers.image.version"  = version
    "org.opencontainers.image.source"   = SOURCE
    "org.opencontainers.image.revision" = REVISION
    "org.opencontainers.image.created"  = CREATED
  } : key => value if value != "" }
}

function "annotations" {
  params = [version]
  result = [for key, value in labels(version) : "index,manifest:${key}=${value}" if PLATFORM == ""]
}

group "default" { targets = ["service"] }
group "variants" { targets = ["variant"] }
group "all" { targets = ["service", "variant"] }

target "_image" {
  platforms = PLATFORM != "" ? [PLATFORM] : platforms
  attest    = PLATFORM != "" ? [] : attestations
}

target "service" {
  matrix      = { service = ["rng", "hasher", "worker", "webui", "load"] }
  name        = service
  inherits    = ["_image"]
  target      = service
  tags        = ["${registry}/${service}:${tag}"]
  args        = { VERSION = tag }
  labels      = labels(tag)
  annotations = annotations(tag)
}

# There is no worker:v0.3: a rollout to it fails on purpose.
target "variant" {
  matrix      = { variant = ["worker-slow", "rng-broken", "webui-green"] }
  name        = variant
  inherits    = ["_image"]
  target      = variant
  tags        = ["${registry}/${split("-", variant)[0]}:v0.2"]
  args        = { VERSION = "v0.2" }
  labels      = labels("v0.2")
  annotations = annotations("v0.2")
}
