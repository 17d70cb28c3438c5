//! Keys that people bring along from other programs (LiteLLM, TEI, Infinity, vLLM, web servers), which are too far from
//! ours for a suggestion by letters.

/// The kinds of tables that such keys are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TableKind {
    Root,
    Server,
    Cache,
    Telemetry,
    Local,
    /// `[upstreams.NAME]` and `[upstream_defaults]`.
    Upstream,
    /// `[models.NAME]` and `[model_defaults]`.
    Model,
    /// An item of a model's `targets`.
    Target,
}

use self::TableKind::{Cache, Local, Model, Root, Server, Target, Telemetry, Upstream};

const USE_LISTEN: &str = "server.listen = \"127.0.0.1:8787\"";
const USE_LOG_FILTER: &str = "telemetry.log_filter, such as \"debug\"";
const USE_CLIENT_KEYS: &str = "server.api_keys";
const USE_BOTH_KEYS: &str = "server.api_keys for the keys of clients, upstreams.NAME.api_key for a provider's";
const USE_MODELS: &str = "[upstreams.NAME], and [models.NAME] with its targets";
const USE_TARGETS: &str = "targets = [{ upstream = \"NAME\", model = \"…\" }], in the order in which they are asked";

/// Tables inside those of upstreams and models.
const INNER_TABLES: [&str; 3] = ["breaker", "hedge", "shadow"];

/// The table of each key, its name in lower case with underscores, and what to use instead.
const FOREIGN_KEYS: [(TableKind, &str, &str); 87] = [
    (Root, "host", USE_LISTEN),
    (Root, "port", USE_LISTEN),
    (Root, "bind", USE_LISTEN),
    (Root, "address", USE_LISTEN),
    (Root, "listen", USE_LISTEN),
    (Root, "log_level", USE_LOG_FILTER),
    (Root, "logging", USE_LOG_FILTER),
    (Root, "log_format", "telemetry.log_format"),
    (Root, "api_key", USE_BOTH_KEYS),
    (Root, "api_keys", USE_BOTH_KEYS),
    (Root, "auth_token", USE_BOTH_KEYS),
    (Root, "master_key", USE_CLIENT_KEYS),
    (Root, "timeout", "server.request_timeout"),
    (Root, "request_timeout", "server.request_timeout"),
    (Root, "model", USE_MODELS),
    (Root, "model_id", USE_MODELS),
    (Root, "model_list", USE_MODELS),
    (Root, "targets", USE_MODELS),
    (Root, "fallbacks", USE_TARGETS),
    (Root, "upstream", "[upstreams.NAME]"),
    (Root, "router_settings", "[model_defaults] and [upstream_defaults]"),
    (Root, "litellm_settings", "[cache], [model_defaults] and [upstream_defaults]"),
    (Root, "general_settings", "[server]"),
    (Server, "host", USE_LISTEN),
    (Server, "port", USE_LISTEN),
    (Server, "bind", USE_LISTEN),
    (Server, "address", USE_LISTEN),
    (Server, "addr", USE_LISTEN),
    (Server, "hostname", USE_LISTEN),
    (Server, "api_key", USE_CLIENT_KEYS),
    (Server, "master_key", USE_CLIENT_KEYS),
    (Server, "auth_token", USE_CLIENT_KEYS),
    (Server, "token", USE_CLIENT_KEYS),
    (Server, "keys", USE_CLIENT_KEYS),
    (Server, "timeout", "request_timeout"),
    (Server, "cors", "allowed_origins"),
    (Server, "cors_origins", "allowed_origins"),
    (Server, "cors_allow_origin", "allowed_origins"),
    (Server, "payload_limit", "max_body_bytes"),
    (Server, "max_client_batch_size", "max_documents"),
    (Server, "max_concurrent_requests", "max_requests"),
    (Server, "log_level", USE_LOG_FILTER),
    (Cache, "size", "max_bytes"),
    (Cache, "max_size", "max_bytes"),
    (Cache, "memory", "max_bytes"),
    (Cache, "max_entries", "max_bytes"),
    (Cache, "expiry", "ttl"),
    (Cache, "expires", "ttl"),
    (Telemetry, "log_level", "log_filter, such as \"debug\""),
    (Telemetry, "level", "log_filter, such as \"debug\""),
    (Telemetry, "verbosity", "log_filter, such as \"debug\""),
    (Telemetry, "json", "log_format = \"json\""),
    (Telemetry, "json_output", "log_format = \"json\""),
    (Telemetry, "format", "log_format"),
    (Local, "model", "model_dir, for a directory that `rerankd model fetch` makes"),
    (Local, "model_id", "model_dir, for a directory that `rerankd model fetch` makes"),
    (Local, "path", "model_dir"),
    (Local, "max_length", "max_tokens"),
    (Local, "workers", "threads"),
    (Local, "top_k", "head"),
    (Upstream, "type", "provider"),
    (Upstream, "kind", "provider"),
    (Upstream, "url", "base_url"),
    (Upstream, "uri", "base_url"),
    (Upstream, "endpoint", "base_url"),
    (Upstream, "api_base", "base_url"),
    (Upstream, "host", "base_url"),
    (Upstream, "token", "api_key = \"env:NAME\""),
    (Upstream, "secret", "api_key = \"env:NAME\""),
    (Upstream, "key", "api_key = \"env:NAME\""),
    (Upstream, "model", "models.NAME.targets = [{ upstream = \"NAME\", model = \"…\" }]"),
    (Upstream, "timeout", "attempt_timeout"),
    (Upstream, "request_timeout", "attempt_timeout"),
    (Upstream, "retries", "max_attempts"),
    (Upstream, "max_retries", "max_attempts"),
    (Upstream, "num_retries", "max_attempts"),
    (Upstream, "rpm", "requests_per_minute"),
    (Upstream, "tpm", "tokens_per_minute"),
    (Upstream, "max_parallel_requests", "max_concurrency"),
    (Upstream, "batch_size", "max_passages"),
    (Upstream, "max_batch_size", "max_passages"),
    (Model, "fallback", USE_TARGETS),
    (Model, "fallbacks", USE_TARGETS),
    (Model, "upstream", USE_TARGETS),
    (Model, "provider", USE_TARGETS),
    (Model, "model_name", "aliases"),
    (Target, "provider", "upstream"),
];

/// The key to use instead of `key`, which someone wrote in the table at `path`; `None` if no other program is known to
/// call it so.
pub(super) fn instead_of(path: &str, key: &str) -> Option<&'static str> {
    let table = table_at(path)?;
    let key = key.to_lowercase().replace('-', "_");
    let found = FOREIGN_KEYS.iter().find(|(kind, name, _)| (*kind, *name) == (table, &*key))?;
    Some(found.2)
}

/// The kind of the table at `path`; `None` for one that other programs have no keys for.
fn table_at(path: &str) -> Option<TableKind> {
    Some(match path {
        "" => Root,
        "server" => Server,
        "cache" => Cache,
        "telemetry" => Telemetry,
        "local" => Local,
        "upstream_defaults" => Upstream,
        "model_defaults" => Model,
        _ if INNER_TABLES.iter().any(|inner| path.strip_suffix(inner).is_some_and(|outer| outer.ends_with('.'))) => {
            return None;
        }
        _ if path.starts_with("upstreams.") => Upstream,
        _ if path.starts_with("models.") && path.ends_with(']') => Target,
        _ if path.starts_with("models.") => Model,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DEFAULT_TOML;

    #[test]
    fn what_is_to_be_used_instead_is_documented_and_is_no_foreign_key_itself() {
        for (table, name, instead) in FOREIGN_KEYS {
            let word = instead.trim_start_matches('[').split([' ', ',', ']', '=']).next().unwrap();
            let key = word.rsplit_once('.').map_or(word, |(_, key)| key);
            let is_section = DEFAULT_TOML.contains(&format!("[{word}")) || key == "NAME";
            assert!(is_section || DEFAULT_TOML.contains(&format!("{key} = ")), "{name}: {instead}");
            assert_ne!(name, word, "{table:?}");
            let twice = FOREIGN_KEYS.iter().filter(|other| (other.0, other.1) == (table, name)).count();
            assert_eq!(twice, 1, "{name}");
        }
    }
}
