# The image holds one static binary and the certificates it needs; no shell, no package manager, no root.
#
#   docker build -t rerankd/rerankd .
#   docker run --rm -p 8787:8787 -e COHERE_API_KEY rerankd/rerankd
#
# With the weights of the embedded cross-encoder inside (34 MB; see NOTICE):
#
#   docker build -t rerankd/rerankd:minilm --build-arg MODEL=minilm .
#
# Minimal: without `rerankd eval`, the cross-encoder and the pages at /docs/:
#
#   docker build -t rerankd/rerankd:minimal --build-arg FEATURES=--no-default-features .
#
# It needs BuildKit (Docker 23 and later have it) or Buildah, for the cache mounts; Buildah before 1.29 also needs --build-arg MODEL=none.

ARG BUILD_IMAGE=docker.io/library/rust:1-alpine
ARG RUNTIME_IMAGE=scratch
ARG MODEL=none
FROM ${BUILD_IMAGE} AS build
# A C compiler for the TLS and allocator crates; a no-op where the base image has it already.
RUN if command -v apk >/dev/null; then apk add --no-cache build-base ca-certificates; fi
WORKDIR /build
ARG FEATURES=
# Benches, tests and examples are no part of the build. Cargo does not look for their files, because the manifest gives their paths.
COPY Cargo.toml Cargo.lock ./
COPY config config
COPY crates crates
COPY src src
# `build.rs` renders the pages at /docs/.
COPY build.rs build.rs
COPY build build
COPY docs docs
# Downloads and compiled dependencies stay in cache mounts: after a change of the code only its own crates are compiled again.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --profile dist --locked --package rerankd --bin rerankd ${FEATURES} \
 && cp target/dist/rerankd /rerankd

# What is copied into the image as the model: nothing, or the weights.
FROM ${BUILD_IMAGE} AS model-none
RUN mkdir /model

FROM build AS model-minilm
RUN /rerankd model fetch --dir /model

FROM model-${MODEL} AS model

FROM ${RUNTIME_IMAGE}
COPY --from=model /model /usr/share/rerankd/model
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /rerankd /rerankd
COPY LICENSE NOTICE /
# Inside a container the loopback address is reachable by nobody else.
ENV RERANKD__SERVER__LISTEN=0.0.0.0:8787 \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
USER 65532:65532
EXPOSE 8787
HEALTHCHECK --interval=10s --timeout=3s --start-period=2s CMD ["/rerankd", "health"]
ENTRYPOINT ["/rerankd"]
CMD ["serve"]
