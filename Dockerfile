# The image holds one static binary and the certificates it needs; no shell, no package manager, no root.
#
#   docker build -t rerankd .
#   docker run --rm -p 8787:8787 -e COHERE_API_KEY rerankd
#
# With the weights of the embedded cross-encoder inside (34 MB; see NOTICE):
#
#   docker build -t rerankd --build-arg MODEL=minilm .
#
# Minimal: without `rerankd eval`, the cross-encoder and the pages at /docs/:
#
#   docker build -t rerankd --build-arg FEATURES=--no-default-features .

ARG BUILD_IMAGE=docker.io/library/rust:1-alpine
ARG RUNTIME_IMAGE=scratch
ARG MODEL=none
FROM ${BUILD_IMAGE} AS build
# A C compiler for the TLS and allocator crates; a no-op where the base image has it already.
RUN if command -v apk >/dev/null; then apk add --no-cache build-base ca-certificates; fi
WORKDIR /build
ARG FEATURES=
# Dependencies first: they change less often than the code, so their layer is used again.
COPY Cargo.toml Cargo.lock ./
COPY crates/core/Cargo.toml crates/core/
COPY crates/eval/Cargo.toml crates/eval/
COPY crates/local/Cargo.toml crates/local/
RUN mkdir -p src crates/core/src crates/eval/src crates/local/src benches/compare benches/reliability tests/it \
 && echo 'fn main() {}' | tee src/main.rs benches/pipeline.rs benches/compare/bare.rs benches/reliability/main.rs tests/it/main.rs >/dev/null \
 && touch src/lib.rs crates/core/src/lib.rs crates/eval/src/lib.rs crates/local/src/lib.rs \
 && cargo build --profile dist --locked --package rerankd --bin rerankd ${FEATURES} \
 && rm -r src crates
COPY crates crates
COPY src src
COPY config config
# `build.rs` renders the pages at /docs/.
COPY build.rs build.rs
COPY build build
COPY docs docs
RUN touch src/main.rs src/lib.rs crates/*/src/lib.rs && cargo build --profile dist --locked --package rerankd --bin rerankd ${FEATURES}

# What is copied into the image as the model: nothing, or the weights.
FROM ${BUILD_IMAGE} AS model-none
RUN mkdir /model

FROM build AS model-minilm
RUN target/dist/rerankd model fetch --dir /model

FROM model-${MODEL} AS model

FROM ${RUNTIME_IMAGE}
COPY --from=model /model /usr/share/rerankd/model
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /build/target/dist/rerankd /rerankd
COPY LICENSE NOTICE /
# Inside a container the loopback address is reachable by nobody else.
ENV RERANKD__SERVER__LISTEN=0.0.0.0:8787 \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
USER 65532:65532
EXPOSE 8787
HEALTHCHECK --interval=10s --timeout=3s --start-period=2s CMD ["/rerankd", "health"]
ENTRYPOINT ["/rerankd"]
CMD ["serve"]
