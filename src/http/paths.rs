//! The endpoint that a path names.
//!
//! People paste `http://host/v1`, `http://host/v1/rerank` or `http://host/` as the base URL into clients that append
//! paths of their own, and gateways in front add prefixes. So the end of a path decides, whatever stands before it.
//! Double and trailing slashes do not matter. Nothing is redirected, because a redirect makes many clients turn POST
//! into GET.

use axum::http::Method;
use percent_encoding::percent_decode_str;
use rerankd_core::error::{Error, ErrorKind};
use rerankd_core::suggestion::nearest;

use crate::dialect::choose::PathDialects;
use crate::dialect::{Dialect, by_name, cohere, dashscope, deepinfra, mixedbread, native, nvidia};

/// The paths that rerank, in their plainest form. Any prefix may stand before one; the name of a dialect in that prefix
/// selects the dialect.
pub(super) const RERANK_PATHS: [&str; 9] = [
    "/rerank",
    "/v1/rerank",
    "/v2/rerank",
    "/v1/reranking",
    "/v1/ranking",
    "/v1/retrieval/{model}/reranking",
    "/api/v1/services/rerank/text-rerank/text-rerank",
    "/inference/{model}",
    "/{dialect}/rerank",
];
/// All other paths.
const OTHER_PATHS: [&str; 16] = [
    "/",
    "/v1/models",
    "/v1/models/{id}",
    "/info",
    "/meta",
    "/health",
    "/v1/health/ready",
    "/.well-known/ready",
    "/v1/cluster/auth",
    "/healthz",
    "/livez",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/docs/",
    "/llms.txt",
];

/// The place where all paths are listed, as the error for an unknown one tells it.
const PATHS_ARE_LISTED: &str = if cfg!(feature = "docs") {
    "/docs/http-api and /openapi.json list the paths"
} else {
    "/openapi.json lists the paths"
};
/// The prefix of the documentation. Paths below it never rerank, whatever they end in.
pub(super) const DOCUMENTATION: &str = "/docs/";

/// The endpoint and the dialects of a path.
pub(super) struct ReadPath {
    /// The endpoint. Errors: `not_found` with the nearest path, or `method_not_allowed` with the right method.
    pub(super) endpoint: Result<Endpoint, Error>,
    /// The dialects of the path, also of one that is no endpoint: its error is written in that dialect.
    pub(super) dialects: PathDialects,
}

/// The endpoint of a request.
#[derive(Debug)]
pub(super) enum Endpoint {
    /// Reranking. The paths of some dialects name the model.
    Rerank { model: Option<String> },
    /// Anything that is asked before reranking.
    Discovery(DiscoveryEndpoint),
}

/// An endpoint that set-up screens, start-up checks and probes ask before anything is reranked.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum DiscoveryEndpoint {
    /// The list of all models.
    Models,
    /// One model, by its name.
    Model(String),
    /// The description of the server in TEI's format.
    Info,
    /// The description of the model in Weaviate's format.
    Meta,
    /// Readiness as TEI, vLLM, llama.cpp and NIM ask for it.
    Health,
    /// Readiness as Weaviate asks for it: a status without a body.
    WellKnown,
    /// Xinference's check for the need of a key.
    ClusterAuth,
}

impl DiscoveryEndpoint {
    /// Returns true if no key is needed. Clients ask before they know that they need one, and probes have none.
    pub(super) fn is_public(&self) -> bool {
        match self {
            Self::Models | Self::Model(_) => false,
            Self::Info | Self::Meta | Self::Health | Self::WellKnown | Self::ClusterAuth => true,
        }
    }
}

/// Finds the endpoint and the dialects of a path.
pub(super) fn read(method: &Method, path: &str) -> ReadPath {
    let segments = segments(path);
    let rerank_path = rerank(&segments);
    let dialects = match &rerank_path {
        Some((dialects, _)) => *dialects,
        None => PathDialects { prefix: prefix(&segments), default: &native::BARE },
    };
    // A path can be both: `/v1/models/up/rerank` reranks by POST and describes a model by GET.
    let endpoint = match (method, rerank_path, discovery(&segments)) {
        (&Method::POST, Some((_, model)), _) => Ok(Endpoint::Rerank { model }),
        (&Method::GET | &Method::HEAD, _, Some(discovery)) => Ok(Endpoint::Discovery(discovery)),
        (_, Some(_), _) => Err(wrong_method(method, "POST")),
        (_, None, Some(_)) => Err(wrong_method(method, "GET")),
        (_, None, None) => Err(not_found(method, path)),
    };
    ReadPath { endpoint, dialects }
}

/// The segments of a path, still percent-encoded, without the empty ones of double and trailing slashes.
fn segments(path: &str) -> Vec<&str> {
    path.split('/').filter(|segment| !segment.is_empty()).collect()
}

/// The value of `Allow` for a path that exists.
pub(super) fn allowed(path: &str) -> &'static str {
    let reranks = !path.starts_with(DOCUMENTATION) && rerank(&segments(path)).is_some();
    if reranks { "POST" } else { "GET, HEAD" }
}

/// The `not_found` error of a path, with the path that was probably meant.
pub(super) fn not_found(method: &Method, path: &str) -> Error {
    let hint = match meant(method, path) {
        Some(meant) => format!("; did you mean {meant}?"),
        None => String::new(),
    };
    Error::new(ErrorKind::NotFound, format!("there is nothing at this path{hint}; {PATHS_ARE_LISTED}"))
}

/// The path that was probably meant by one that does not exist.
fn meant(method: &Method, path: &str) -> Option<String> {
    // Some clients append nothing to the base URL that they are given: they need the whole path.
    let base = path.trim_end_matches('/');
    if base.is_empty() || base.ends_with("/v1") || base.ends_with("/v2") {
        return Some(format!("{base}/rerank"));
    }
    let known: &[&str] = if *method == Method::POST { &RERANK_PATHS } else { &OTHER_PATHS };
    // Below any prefix the last segment decides.
    let (prefix, last) = base.rsplit_once('/')?;
    let names = known.iter().filter_map(|path| path.rsplit('/').next()).filter(|name| is_plain(name));
    if let Some(name) = nearest(last, names) {
        let meant = format!("{prefix}/{name}");
        let segments = segments(&meant);
        // Probes and documentation stand at the root alone.
        if prefix.is_empty() || rerank(&segments).is_some() || discovery(&segments).is_some() {
            return Some(meant);
        }
    }
    let whole = known.iter().copied().filter(|path| is_plain(path));
    nearest(base, whole).map(str::to_owned)
}

/// Returns true for a path, or a segment, that can be suggested: it names something, and has nothing to fill in.
fn is_plain(path: &str) -> bool {
    !path.trim_matches('/').is_empty() && !path.contains('{')
}

/// The `method_not_allowed` error of a path that exists, with the method to use.
pub(super) fn wrong_method(method: &Method, right: &'static str) -> Error {
    Error::new(ErrorKind::MethodNotAllowed, format!("{method} does not work here; use {right}"))
}

/// The dialects and the model of a path that reranks; `None` if the path does not. The more specific arms of the match
/// stand before the more general ones.
fn rerank(segments: &[&str]) -> Option<(PathDialects, Option<String>)> {
    let (before, default): (&[&str], &'static dyn Dialect) = match segments {
        [before @ .., "services", "rerank", "text-rerank", "text-rerank"] => (before, &dashscope::DashScope),
        [before @ .., "v1", "rerank" | "reranks"] => (before, &native::VERSIONED),
        [before @ .., "v2", "rerank"] => (before, &cohere::V2),
        [before @ .., "rerank" | "reranks"] => (before, &native::BARE),
        [before @ .., "ranking"] => (before, &nvidia::Nvidia),
        [before @ .., "reranking"] if before.contains(&"retrieval") => (before, &nvidia::Nvidia),
        [before @ .., "reranking"] => (before, &mixedbread::Mixedbread),
        // Last: `/inference/` may also be a gateway's prefix of the paths above.
        _ => return inference(segments),
    };
    let mut named = prefix(before);
    // `/cohere/v1/rerank` is the path of Cohere's first version; elsewhere the name means the second.
    if let [.., "v1", "rerank" | "reranks"] = segments
        && named.is_some_and(|dialect| dialect.name() == cohere::V2.name())
    {
        named = Some(&cohere::V1);
    }
    Some((PathDialects { prefix: named, default }, None))
}

/// The dialects and the model of DeepInfra's paths, `/inference/OWNER/MODEL`.
fn inference(segments: &[&str]) -> Option<(PathDialects, Option<String>)> {
    let at = segments.iter().position(|segment| *segment == "inference")?;
    let before = &segments[..at];
    let name = &segments[at + 1..];
    // A version below `inference` shows that it is a gateway's prefix before a misspelt path, and no model follows.
    if matches!(name.first(), None | Some(&("v1" | "v2"))) {
        return None;
    }
    let model = decoded(name)?;
    Some((PathDialects { prefix: prefix(before), default: &deepinfra::DeepInfra }, Some(model)))
}

/// The discovery endpoint of a path; `None` if there is none. `models/ID` comes first, whatever the id. A name with
/// slashes comes last, because it could end like any other endpoint.
fn discovery(segments: &[&str]) -> Option<DiscoveryEndpoint> {
    Some(match segments {
        [.., "models", id] => DiscoveryEndpoint::Model(decoded(&[id])?),
        [.., ".well-known", "ready" | "live"] => DiscoveryEndpoint::WellKnown,
        [.., "health"] | [.., "health", "ready" | "live"] => DiscoveryEndpoint::Health,
        [.., "cluster", "auth"] => DiscoveryEndpoint::ClusterAuth,
        [.., "models"] => DiscoveryEndpoint::Models,
        [.., "info"] => DiscoveryEndpoint::Info,
        [.., "meta"] => DiscoveryEndpoint::Meta,
        _ => {
            let models = segments.iter().rposition(|segment| *segment == "models")?;
            DiscoveryEndpoint::Model(decoded(&segments[models + 1..])?)
        }
    })
}

/// The dialect that a prefix names; if it names several, the one nearest to the end.
fn prefix(before: &[&str]) -> Option<&'static dyn Dialect> {
    before.iter().rev().find_map(|segment| by_name(segment))
}

/// The name of a model from the rest of a path, percent-decoded; it may hold slashes. `None` if it is not UTF-8.
fn decoded(segments: &[&str]) -> Option<String> {
    let encoded = segments.join("/");
    let name = percent_decode_str(&encoded).decode_utf8().ok()?;
    Some(name.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(path: &str) -> String {
        let ReadPath { endpoint, dialects } = read(&Method::POST, path);
        match endpoint {
            Ok(Endpoint::Rerank { model }) => {
                let prefix = dialects.prefix.map_or("-", |dialect| dialect.name());
                let model = model.map_or(String::new(), |model| format!(" {model}"));
                format!("{prefix} {}{model}", dialects.default.name())
            }
            other => panic!("{path}: {other:?}"),
        }
    }

    fn get(path: &str) -> Option<DiscoveryEndpoint> {
        match read(&Method::GET, path).endpoint {
            Ok(Endpoint::Discovery(discovery)) => Some(discovery),
            _ => None,
        }
    }

    #[test]
    fn the_end_of_a_path_decides() {
        for (path, expected) in [
            ("/rerank", "- native"),
            ("//rerank/", "- native"),
            ("/v1/rerank", "- native"),
            ("/v1/rerank/", "- native"),
            ("/gateway/team/v1//rerank", "- native"),
            ("/v1/v2/rerank", "- cohere"),
            ("/v2/rerank", "- cohere"),
            ("/rerank/v2/rerank", "- cohere"),
            ("/v1/reranks", "- native"),
            ("/cohere/v1/rerank", "cohere-v1 native"),
            ("/cohere/v2/rerank", "cohere cohere"),
            ("/cohere/rerank", "cohere native"),
            ("/api/voyage/v1/rerank", "voyage native"),
            ("/infinity/rerank", "infinity native"),
            ("/vllm/v2/rerank", "vllm cohere"),
            ("/v1/reranking", "- mixedbread"),
            ("/reranking", "- mixedbread"),
            ("/ranking", "- nvidia"),
            ("/v1/ranking", "- nvidia"),
            ("/v1/retrieval/nvidia/reranking", "nvidia nvidia"),
            ("/v1/retrieval/nvidia/llama-3_2-nv-rerankqa-1b-v2/reranking", "nvidia nvidia"),
            ("/v1/retrieval/m/reranking", "- nvidia"),
            ("/api/v1/services/rerank/text-rerank/text-rerank", "- dashscope"),
            ("/v1/inference/Qwen/Qwen3-Reranker-8B", "- deepinfra Qwen/Qwen3-Reranker-8B"),
            ("/inference/v1/rerank", "- native"),
            ("/deepinfra/inference/a%2Fb", "deepinfra deepinfra a/b"),
        ] {
            assert_eq!(post(path), expected, "{path}");
        }
        let nowhere = read(&Method::POST, "/voyage/nowhere").dialects;
        assert_eq!(nowhere.prefix.map(Dialect::name), Some("voyage"));
    }

    #[test]
    fn discovery_paths_work_below_any_prefix() {
        for (path, expected) in [
            ("/v1/models", DiscoveryEndpoint::Models),
            ("/models/", DiscoveryEndpoint::Models),
            ("/xinference/v1/models", DiscoveryEndpoint::Models),
            ("/v1/models/cohere/rerank-v3.5", DiscoveryEndpoint::Model("cohere/rerank-v3.5".into())),
            ("/v1/models/cohere%2Frerank-v3.5", DiscoveryEndpoint::Model("cohere/rerank-v3.5".into())),
            ("/v1/models/up/rerank", DiscoveryEndpoint::Model("up/rerank".into())),
            ("/v1/models/health", DiscoveryEndpoint::Model("health".into())),
            ("/models/gateway/info", DiscoveryEndpoint::Info),
            ("/models/gateway/v1/models/default", DiscoveryEndpoint::Model("default".into())),
            ("/tei/info", DiscoveryEndpoint::Info),
            ("/meta", DiscoveryEndpoint::Meta),
            ("/health", DiscoveryEndpoint::Health),
            ("/v1/health/ready", DiscoveryEndpoint::Health),
            ("/.well-known/ready", DiscoveryEndpoint::WellKnown),
            ("/.well-known/live", DiscoveryEndpoint::WellKnown),
            ("/v1/cluster/auth", DiscoveryEndpoint::ClusterAuth),
        ] {
            assert_eq!(get(path), Some(expected), "{path}");
        }
        assert_eq!(get("/"), None);
    }

    #[test]
    fn every_path_that_is_told_leads_somewhere() {
        let filled = |path: &str| path.replace("{model}", "m").replace("{id}", "m").replace("{dialect}", "tei");
        for path in RERANK_PATHS {
            assert!(read(&Method::POST, &filled(path)).endpoint.is_ok(), "{path}");
        }
        let exact = ["/", "/healthz", "/livez", "/readyz", "/metrics", "/openapi.json", "/docs/", "/llms.txt"];
        for path in OTHER_PATHS.iter().filter(|path| !exact.contains(path)) {
            assert!(read(&Method::GET, &filled(path)).endpoint.is_ok(), "{path}");
        }
    }

    #[test]
    fn a_path_that_does_not_exist_is_answered_with_the_nearest() {
        for (method, path, expected) in [
            (Method::POST, "/", Some("/rerank")),
            (Method::POST, "/team/v2/", Some("/team/v2/rerank")),
            (Method::POST, "/rerankk", Some("/rerank")),
            (Method::POST, "/v1/reranker", Some("/v1/rerank")),
            (Method::POST, "/gateway/team/v1/rernak", Some("/gateway/team/v1/rerank")),
            (Method::GET, "/v1/model", Some("/v1/models")),
            (Method::GET, "/metric", Some("/metrics")),
            (Method::GET, "/a/long/prefix/metric", None),
            (Method::GET, "/.well-known/reedy", Some("/.well-known/ready")),
            (Method::POST, "/v3/rerankk", Some("/v3/rerank")),
            (Method::GET, "/doc", Some("/docs/")),
            (Method::POST, "/search", None),
            (Method::POST, "/v1/chat/completions", None),
            (Method::GET, "/favicon.ico", None),
            (Method::GET, "/a", None),
        ] {
            assert_eq!(meant(&method, path).as_deref(), expected, "{method} {path}");
        }
        let told = not_found(&Method::POST, "/rerankk").message;
        assert!(told.starts_with("there is nothing at this path; did you mean /rerank?; /"), "{told}");
        assert!(told.len() < 120 && told.contains("/openapi.json"), "{told}");
    }

    #[test]
    fn wrong_paths_and_methods_are_told_apart() {
        let kind = |method, path| read(&method, path).endpoint.unwrap_err().kind;
        for path in ["/", "", "/reranker", "/rerank/x", "/inference", "/inference/%ff", "/inference/v1/rerrank", "/v3"]
        {
            assert_eq!(kind(Method::POST, path), ErrorKind::NotFound, "{path}");
        }
        assert_eq!(kind(Method::GET, "/v1/rerank"), ErrorKind::MethodNotAllowed);
        assert_eq!(kind(Method::DELETE, "/info"), ErrorKind::MethodNotAllowed);
        assert_eq!(kind(Method::POST, "/models"), ErrorKind::MethodNotAllowed);
    }
}
