# BuildKit compiles for any platform on the build machine. The classic builder sets none of BuildKit's variables; with
# the fallback "linux" it builds for its own platform.

# A scanner cannot see the dependencies of a static program; it reads Cargo.lock in the context instead.
ARG BUILDKIT_SBOM_SCAN_CONTEXT=true

# The manifests of all crates, each with empty sources: unchanged as long as no manifest changes.
FROM --platform=${BUILDPLATFORM:-linux} rust:1.95-slim-bookworm AS manifests
WORKDIR /src
COPY . .
RUN find . -type f ! -name Cargo.toml ! -name Cargo.lock -delete && find . -type d -empty -delete \
 && for crate in */; do mkdir "$crate/src" && touch "$crate/src/lib.rs" && echo 'fn main() {}' >"$crate/src/main.rs"; done

FROM --platform=${BUILDPLATFORM:-linux} rust:1.95-slim-bookworm AS build
WORKDIR /src
# Static linking. Packed relocations make an image 5 % smaller. Unwind tables are not needed, because panics abort.
ENV RUSTFLAGS="-C target-feature=+crt-static -C force-unwind-tables=no -C link-arg=-Wl,-z,pack-relative-relocs" \
    CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER=x86_64-linux-gnu-gcc \
    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
    CARGO_TARGET_ARMV7_UNKNOWN_LINUX_GNUEABIHF_LINKER=arm-linux-gnueabihf-gcc

# The native platform is also named as a target; otherwise the flags would apply to procedural macros.
ARG BUILDPLATFORM
ARG TARGETPLATFORM
# hadolint ignore=DL3008
RUN case $TARGETPLATFORM in \
      "$BUILDPLATFORM") target=host-tuple ;; \
      linux/amd64) target=x86_64-unknown-linux-gnu cross="gcc-x86-64-linux-gnu libc6-dev-amd64-cross" ;; \
      linux/arm64) target=aarch64-unknown-linux-gnu cross="gcc-aarch64-linux-gnu libc6-dev-arm64-cross" ;; \
      linux/arm/v7) target=armv7-unknown-linux-gnueabihf cross="gcc-arm-linux-gnueabihf libc6-dev-armhf-cross" ;; \
      *) echo "only amd64, arm64 and arm/v7 are built on other machines, not $TARGETPLATFORM" >&2; exit 1 ;; \
    esac \
 && mkdir /.cargo && echo "build.target = '$target'" >/.cargo/config.toml \
 && if [ -n "$cross" ]; then \
      rustup target add "$target" && apt-get update && apt-get install -y --no-install-recommends $cross; \
    fi

# The dependencies, in a layer that changes only when a manifest changes.
COPY --from=manifests /src .
RUN cargo build --locked --profile image -p rng -p hasher -p worker -p webui -p load

# The empty sources are newer than the real ones, and cargo compares times.
COPY . .
RUN find . -path ./target -prune -o -name '*.rs' -exec touch {} + \
 && cargo build --locked --profile image -p rng -p hasher -p worker -p webui -p load \
 && mkdir /out \
 && for crate in rng hasher worker webui load; do cp target/*/image/"$crate" /out/; done

FROM scratch AS base
ARG VERSION=dev
LABEL org.opencontainers.image.version=$VERSION \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
ENV DOCKERCOINS_VERSION=$VERSION
USER 65532:65532
EXPOSE 9000

FROM base AS rng
LABEL org.opencontainers.image.title="rng" \
      org.opencontainers.image.description="DockerCoins: returns random bytes"
COPY --from=build /out/rng /rng
EXPOSE 80
HEALTHCHECK --interval=3s --timeout=3s --start-period=10s CMD ["/rng", "healthcheck"]
ENTRYPOINT ["/rng"]

FROM base AS hasher
LABEL org.opencontainers.image.title="hasher" \
      org.opencontainers.image.description="DockerCoins: returns the hash of a body"
COPY --from=build /out/hasher /hasher
EXPOSE 80
HEALTHCHECK --interval=3s --timeout=3s --start-period=10s CMD ["/hasher", "healthcheck"]
ENTRYPOINT ["/hasher"]

FROM base AS worker
LABEL org.opencontainers.image.title="worker" \
      org.opencontainers.image.description="DockerCoins: mines with rng and hasher, and counts in redis"
# Certificates for redis over TLS.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/worker /worker
HEALTHCHECK --interval=3s --timeout=3s --start-period=10s CMD ["/worker", "healthcheck"]
ENTRYPOINT ["/worker"]

FROM base AS webui
LABEL org.opencontainers.image.title="webui" \
      org.opencontainers.image.description="DockerCoins: shows the dashboard"
# Certificates for redis over TLS.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/webui /webui
EXPOSE 80
HEALTHCHECK --interval=3s --timeout=3s --start-period=10s CMD ["/webui", "healthcheck"]
ENTRYPOINT ["/webui"]

FROM base AS load
LABEL org.opencontainers.image.title="load" \
      org.opencontainers.image.description="DockerCoins: generates load on rng and hasher, and reports how fast they are"
# Certificates for redis over TLS.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/load /load
HEALTHCHECK --interval=3s --timeout=3s --start-period=10s CMD ["/load", "healthcheck"]
ENTRYPOINT ["/load"]

# Variants for the rollouts of the course.
FROM worker AS worker-slow
ENV DELAY=3.1s

# This address is reserved for documentation, so listening on it fails.
FROM rng AS rng-broken
ENV LISTEN=192.0.2.1:80

FROM --platform=${BUILDPLATFORM:-linux} rust:1.95-slim-bookworm AS green-files
COPY webui/files /files
RUN sed -i -e s/15px/50px/ -e s/steelblue/green/ /files/index.html && chmod -R a+rX /files

FROM webui AS webui-green
COPY --from=green-files /files /files
