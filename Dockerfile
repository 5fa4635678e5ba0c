# The manifests of all crates, each with empty sources: equal as long as no manifest changes.
FROM rust:1.95-slim-bookworm AS manifests
WORKDIR /src
COPY . .
RUN find . -type f ! -name Cargo.toml ! -name Cargo.lock -delete && find . -type d -empty -delete \
 && for crate in */; do mkdir "$crate/src" && touch "$crate/src/lib.rs" && echo 'fn main() {}' >"$crate/src/main.rs"; done

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
# Static, for the machine it is built on; without a target the flag would reach the procedural macros, too.
# Packed relocations make an image a twentieth smaller.
ENV RUSTFLAGS="-C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs" \
    CARGO_BUILD_TARGET=host-tuple

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
