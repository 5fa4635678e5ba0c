# BuildKit compiles on the build machine for any platform; the classic builder sets none of its variables and
# builds for its own, which is also what a bare "linux" means.

# A static program does not show what it is made of; Cargo.lock, in the context, does.
ARG BUILDKIT_SBOM_SCAN_CONTEXT=true

# The manifests of all crates, each with empty sources: equal as long as no manifest changes.
FROM --platform=${BUILDPLATFORM:-linux} rust:1.95-slim-bookworm AS manifests
WORKDIR /src
COPY . .
RUN find . -type f ! -name Cargo.toml ! -name Cargo.lock -delete && find . -type d -empty -delete \
 && for crate in */; do mkdir "$crate/src" && touch "$crate/src/lib.rs" && echo 'fn main() {}' >"$crate/src/main.rs"; done

FROM --platform=${BUILDPLATFORM:-linux} rust:1.95-slim-bookworm AS build
WORKDIR /src
# Static; packed relocations make an image a twentieth smaller, and nothing unwinds.
ENV RUSTFLAGS="-C target-feature=+crt-static -C force-unwind-tables=no -C link-arg=-Wl,-z,pack-relative-relocs" \
    CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER=x86_64-linux-gnu-gcc \
    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
    CARGO_TARGET_ARMV7_UNKNOWN_LINUX_GNUEABIHF_LINKER=arm-linux-gnueabihf-gcc

# The native platform, too, is named as a target, or else the flags would reach the procedural macros.
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

# The dependencies, in a layer that outlives every edit but one of a manifest.
COPY --from=manifests /src .
RUN cargo build --locked --release -p rng -p hasher -p worker -p webui

# The empty sources are younger than the real ones, hence the touch.
COPY . .
RUN find . -path ./target -prune -o -name '*.rs' -exec touch {} + \
 && cargo build --locked --release -p rng -p hasher -p worker -p webui \
 && mkdir /out \
 && for crate in rng hasher worker webui; do cp target/*/release/"$crate" /out/; done

FROM scratch AS base
ARG VERSION=dev
LABEL org.opencontainers.image.version=$VERSION \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
ENV DOCKERCOINS_VERSION=$VERSION
USER 65532:65532
EXPOSE 9000

FROM base AS rng
LABEL org.opencontainers.image.title="rng" \
      org.opencontainers.image.description="DockerCoins: makes random bytes"
COPY --from=build /out/rng /rng
EXPOSE 80
HEALTHCHECK --interval=3s --timeout=3s --start-period=10s CMD ["/rng", "healthcheck"]
ENTRYPOINT ["/rng"]

FROM base AS hasher
LABEL org.opencontainers.image.title="hasher" \
      org.opencontainers.image.description="DockerCoins: hashes what it is sent"
COPY --from=build /out/hasher /hasher
EXPOSE 80
HEALTHCHECK --interval=3s --timeout=3s --start-period=10s CMD ["/hasher", "healthcheck"]
ENTRYPOINT ["/hasher"]

FROM base AS worker
LABEL org.opencontainers.image.title="worker" \
      org.opencontainers.image.description="DockerCoins: mines, with rng and hasher, and counts in redis"
# For redis over TLS.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/worker /worker
HEALTHCHECK --interval=3s --timeout=3s --start-period=10s CMD ["/worker", "healthcheck"]
ENTRYPOINT ["/worker"]

FROM base AS webui
LABEL org.opencontainers.image.title="webui" \
      org.opencontainers.image.description="DockerCoins: shows how the mining goes"
# For redis over TLS.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/webui /webui
EXPOSE 80
HEALTHCHECK --interval=3s --timeout=3s --start-period=10s CMD ["/webui", "healthcheck"]
ENTRYPOINT ["/webui"]

# Variants that the course rolls out, and back.
FROM worker AS worker-slow
ENV DELAY=3.1s

# Nobody can listen on an address that is reserved for documentation.
FROM rng AS rng-broken
ENV LISTEN=192.0.2.1:80

FROM --platform=${BUILDPLATFORM:-linux} rust:1.95-slim-bookworm AS green-files
COPY webui/files /files
RUN sed -i -e s/15px/50px/ -e s/steelblue/green/ /files/index.html && chmod -R a+rX /files

FROM webui AS webui-green
COPY --from=green-files /files /files
