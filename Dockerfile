# syntax=docker/dockerfile:1
# The version of rust-toolchain.toml.
ARG RUST_VERSION=1.95.0
# A dated image: what is built from one commit twice has the same base. Raise it with each release.
ARG DEBIAN_TAG=bookworm-20260812-slim

# Rust's images have no date in their tags, only the exact version; nothing of this stage but the binary goes further.
FROM rust:${RUST_VERSION}-slim-bookworm AS build
# The image's own toolchain: that of rust-toolchain.toml, without the components that only developers need.
ARG RUST_VERSION
ENV RUSTUP_TOOLCHAIN=${RUST_VERSION}
# The version with its commit, which an image's build cannot ask git for (`just image` gives it).
ARG DISPATCH_VERSION
ENV DISPATCH_VERSION=${DISPATCH_VERSION}
WORKDIR /src
COPY . .
# Caches of one machine's builder, never part of an image; the binary has to leave the cached directory.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --locked --release --bin arvados-dispatch-cloud \
    && install -D -m 0755 target/release/arvados-dispatch-cloud /out/arvados-dispatch-cloud

FROM debian:${DEBIAN_TAG}
LABEL org.opencontainers.image.title="arvados-dispatch-cloud" \
      org.opencontainers.image.description="Runs containers from an Arvados controller's queue on cloud VMs over SSH" \
      org.opencontainers.image.licenses="AGPL-3.0-only"
# tini: as process 1 it ends what outlived its parent (ssh masters, the demo's containers).
# The user needs a line in /etc/passwd: ssh refuses to work for a number without a name.
RUN apt-get update \
    && apt-get upgrade -y \
    && apt-get install -y --no-install-recommends ca-certificates openssh-client tini tzdata \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 9006 --user-group --create-home --home-dir /var/lib/arvados-dispatch-cloud \
       --shell /usr/sbin/nologin arvados-dispatch
COPY --from=build /out/arvados-dispatch-cloud /usr/bin/arvados-dispatch-cloud
COPY LICENSE /usr/share/doc/arvados-dispatch-cloud/LICENSE
USER arvados-dispatch
WORKDIR /var/lib/arvados-dispatch-cloud
# Where Services.DispatchCloud.InternalURLs has it by default.
EXPOSE 9006
# Reads /etc/arvados/config.yml and asks its own management API.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["arvados-dispatch-cloud", "health"]
ENTRYPOINT ["tini", "--", "arvados-dispatch-cloud"]
CMD ["run"]
