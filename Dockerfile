# The service, the simulator and the migrations are one program: one image, told apart by the command.
# The cache mounts need BuildKit, which has been Docker's default since version 23.

FROM rust:1.95-bookworm AS build
WORKDIR /src
# Queries are checked against the committed .sqlx: a build needs no database.
ENV SQLX_OFFLINE=true
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
COPY .sqlx .sqlx
COPY migrations migrations
COPY assets assets
COPY templates templates
COPY docs docs
COPY benches benches
COPY crates crates
COPY src src
# The target folder is a cache and not part of the image, so the program is copied out of it in the same step.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin account-opening \
    && install -D target/release/account-opening /out/account-opening

FROM debian:bookworm-slim
# For calls over https. No Postgres programs: in a container DATABASE_URL is set.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin account-opening
COPY --from=build /out/account-opening /usr/local/bin/account-opening
USER 10001:10001
# Inside a container, 127.0.0.1 is reached by nobody outside it.
ENV PUBLIC_ADDR=0.0.0.0:8080 \
    INTERNAL_ADDR=0.0.0.0:8081 \
    SIMULATOR_ADDR=0.0.0.0:8090
EXPOSE 8080 8081
# Whether the process answers, not whether its database does: what is restarted for an absent database comes back to an
# absent database. bash speaks TCP by itself, which spares the image curl. It asks the service; run with another command,
# switch it off.
HEALTHCHECK --interval=10s --timeout=3s --start-period=40s --retries=3 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8081 && printf 'GET /livez HTTP/1.0\\r\\n\\r\\n' >&3 && grep -q '^HTTP/1.. 200' <&3"]
ENTRYPOINT ["account-opening"]
CMD ["serve"]
