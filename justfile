# `just` lists these; .ci/run does what `check` does and more.

default:
    @just --list

# everything that must pass
check:
    cargo fmt --all --check
    cargo clippy --all-targets -- -D warnings
    cargo test
    cargo test -p rerankd-core --features shuttle --lib coalesce::model
    cargo clippy -p rerankd --no-default-features --all-targets -- -D warnings
    cargo test -p rerankd --no-default-features --test it -- absence edge cli local origins
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps
    cargo deny check licenses bans sources

# one test, or one file of tests
test name:
    cargo test --test it {{name}}

# other people's clients against the binary: all, or one suite (official, langchain, frameworks, node, openapi)
conformance *suites:
    conformance/run {{suites}}

# write the OpenAPI document anew
openapi:
    cargo run -q -- openapi > openapi/openapi.json

# the binary of images and of published figures: target/dist/rerankd; `just dist --no-default-features` for the minimal one
dist *arguments:
    cargo build --profile dist --locked -p rerankd {{arguments}}

# wheel, npm, Debian package and archive of the release binary, each installed in a fresh place and asked
packages:
    cargo build --locked --release
    packaging/test

# micro-benchmarks
bench:
    cargo bench --bench pipeline

# instructions of each step of a request beside the baseline; `just count --renew` writes it anew
count *arguments:
    scripts/count-instructions {{arguments}}

# the highest rates within a 99th percentile; `just frontier --quick` is coarse
frontier *arguments:
    cargo bench --bench frontier -- {{arguments}}

# the figures of docs/reliability.md; `just reliability --soak 20m` for the long soak alone
reliability *arguments:
    cargo bench --bench reliability -- {{arguments}}

# compare rerankers over a judged collection: `just eval --data DIR --models a,b`
eval *arguments:
    cargo run --release -- eval {{arguments}}

# the service beside nginx, bare handlers, sglang-router and LiteLLM
compare:
    benches/compare/run
