//! The examples below the help of each command. A test runs every line of them.

pub(super) const TOP: &str = "\
Examples:
  rerankd
  printf 'Busan is a port.\\nSeoul is the capital of Korea.\\n' | rerankd rerank 'capital of Korea'";

pub(super) const SERVE: &str = "\
Examples:
  rerankd serve --config config/example.toml
  RERANKD__CACHE__MAX_BYTES=256MB rerankd serve --listen 0.0.0.0:8787";

pub(super) const RERANK: &str = "\
Examples:
  printf 'Busan is a port.\\nSeoul is the capital.\\n' | rerankd rerank 'capital of Korea' --top-n 1
  printf 'Busan is a port.\\nSeoul is the capital.\\n' | rerankd rerank 'capital of Korea' --json";

pub(super) const CHECK: &str = "\
Examples:
  rerankd check --config config/example.toml
  rerankd check --show-call pinecone/bge-reranker-v2-m3";

pub(super) const EVAL: &str = "\
Examples:
  rerankd eval --data examples/eval
  rerankd eval --data examples/eval --models local/lexical --k 5 --out comparison";

pub(super) const MODELS: &str = "\
Examples:
  rerankd models --providers
  rerankd models --live --address 127.0.0.1:8787";

pub(super) const OPENAPI: &str = "\
Examples:
  rerankd openapi > openapi.json
  rerankd openapi | grep operationId";

pub(super) const HEALTH: &str = "\
Examples:
  rerankd health
  rerankd health --address 127.0.0.1:8787";
