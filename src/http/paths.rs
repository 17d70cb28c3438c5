//! Which endpoint a path means.
//!
//! People paste `http://host/v1`, `http://host/v1/rerank` or `http://host/` as the base URL into clients that append paths of their
//! own, and gateways in front add prefixes. So the end of a path decides, whatever stands before it; double and trailing slashes
//! do not matter, and nothing is redirected, because a redirect makes many clients turn POST into GET.

use axum::http::Method;
use percent_encoding::percent_decode_str;

use crate::dialect::choose::Signs;
use crate::dialect::{Dialect, by_name, cohere, dashscope, deepinfra, mixedbread, native, nvidia};
use crate::error::{Error, ErrorKind};

/// Every path that reranks, in its plainest form. Any prefix may stand before it, and a dialect's name among it decides the dialect.
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
/// Every path that does not.
const OTHER_PATHS: [&str; 13] = [
    "/v1/models",
    "/v1/models/{id}",
    "/info",
    "/meta",
    "/health",
    "/v1/health/ready",
    "/.well-known/ready",
    "/v1/cluster/auth",
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/docs",
];

/// What stands below it is the documentation's, whatever it ends in.
pub(super) const DOCUMENTATION: &str = "/docs/";

/// What a path is for.
#[derive(Debug)]
pub(super) enum Endpoint {
    /// Rerank; the model is named by the path of some dialects.
    Rerank { signs: Signs, model: Option<String> },
    /// Anything that a set-up screen asks for.
    SetUp(SetUp),
}

/// What set-up screens, start-up checks and probes of clients ask for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SetUp {
    /// All models.
    Models,
    /// One model.
    Model(String),
    /// TEI's description of itself.
    Info,
    /// Weaviate's question about the model.
    Meta,
    /// Whether new requests are welcome: TEI, vLLM, llama.cpp and NIM.
    Health,
    /// The same in Weaviate's way: a status without a body.
    WellKnown,
    /// Xinference's question whether keys are asked for.
    ClusterAuth,
}

impl SetUp {
    /// Whether it needs no key. Clients ask before they know that one is needed, and probes have none.
    pub(super) fn is_public(&self) -> bool {
        !matches!(self, Self::Models | Self::Model(_))
    }
}

/// The endpoint of a request.
///
/// # Errors
/// `not_found` with the known paths, or `method_not_allowed` with the right method.
pub(super) fn endpoint(method: &Method, path: &str) -> Result<Endpoint, Error> {
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let (rerank, set_up) = (rerank(&segments), set_up(&segments));
    match (method, rerank, set_up) {
        (&Method::POST, Some((signs, model)), _) => Ok(Endpoint::Rerank { signs, model }),
        (&Method::GET | &Method::HEAD, _, Some(set_up)) => Ok(Endpoint::SetUp(set_up)),
        (_, Some(_), _) => Err(wrong_method(method, "POST")),
        (_, None, Some(_)) => Err(wrong_method(method, "GET")),
        (_, None, None) => Err(not_found(path)),
    }
}

/// The signs of the dialect in a path, of whatever use the path is.
pub(super) fn signs(path: &str) -> Signs {
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    rerank(&segments).map_or(Signs { prefix: prefix(&segments), usual: &native::BARE }, |(signs, _)| signs)
}

/// The methods of a path that has any.
pub(super) fn allowed(path: &str) -> &'static str {
    let reranks = !path.starts_with(DOCUMENTATION) && endpoint(&Method::POST, path).is_ok();
    if reranks { "POST" } else { "GET, HEAD" }
}

/// There is nothing at the path.
pub(super) fn not_found(path: &str) -> Error {
    let paths = RERANK_PATHS.iter().chain(&OTHER_PATHS).copied().collect::<Vec<_>>().join(", ");
    // A base URL where a client wants the whole.
    let base = path.trim_end_matches('/');
    let is_base = base.is_empty() || base.ends_with("/v1") || base.ends_with("/v2");
    let hint = if is_base { format!("; did you mean {base}/rerank?") } else { String::new() };
    Error::new(ErrorKind::NotFound, format!("there is nothing at this path{hint}; known paths are {paths}"))
}

/// The path knows another method.
pub(super) fn wrong_method(method: &Method, right: &'static str) -> Error {
    Error::new(ErrorKind::MethodNotAllowed, format!("{method} does not work here; use {right}"))
}

fn rerank(segments: &[&str]) -> Option<(Signs, Option<String>)> {
    let signs = |before: &[&str], usual| (Signs { prefix: prefix(before), usual }, None);
    Some(match segments {
        [before @ .., "services", "rerank", "text-rerank", "text-rerank"] => signs(before, &dashscope::DashScope),
        [before @ .., "v1", "rerank" | "reranks"] => match prefix(before) {
            Some(named) if named.name() == cohere::V2.name() => {
                (Signs { prefix: Some(&cohere::V1), usual: &native::VERSIONED }, None)
            }
            _ => signs(before, &native::VERSIONED),
        },
        [before @ .., "v2", "rerank"] => signs(before, &cohere::V2),
        [before @ .., "rerank" | "reranks"] => signs(before, &native::BARE),
        [before @ .., "ranking"] => signs(before, &nvidia::Nvidia),
        [before @ .., "reranking"] if before.contains(&"retrieval") => signs(before, &nvidia::Nvidia),
        [before @ .., "reranking"] => signs(before, &mixedbread::Mixedbread),
        _ => {
            let inference = segments.iter().position(|segment| *segment == "inference")?;
            let (before, model) = (&segments[..inference], &segments[inference + 1..]);
            // Below an `inference` that is a prefix a version follows, not an owner of models.
            let is_model = model.first().is_some_and(|first| !matches!(*first, "v1" | "v2"));
            let model = decoded(model).filter(|model| is_model && !model.is_empty())?;
            (Signs { prefix: prefix(before), usual: &deepinfra::DeepInfra }, Some(model))
        }
    })
}

fn set_up(segments: &[&str]) -> Option<SetUp> {
    Some(match segments {
        [.., "models", id] => SetUp::Model(decoded(&[id])?),
        [.., ".well-known", "ready" | "live"] => SetUp::WellKnown,
        [.., "health"] | [.., "health", "ready" | "live"] => SetUp::Health,
        [.., "cluster", "auth"] => SetUp::ClusterAuth,
        [.., "models"] => SetUp::Models,
        [.., "info"] => SetUp::Info,
        [.., "meta"] => SetUp::Meta,
        _ => {
            let models = segments.iter().rposition(|segment| *segment == "models")?;
            SetUp::Model(decoded(&segments[models + 1..])?)
        }
    })
}

/// The dialect whose name is nearest to the end.
fn prefix(before: &[&str]) -> Option<&'static dyn Dialect> {
    before.iter().rev().find_map(|segment| by_name(segment))
}

/// The rest of a path as a name. Names of models may hold slashes.
fn decoded(segments: &[&str]) -> Option<String> {
    percent_decode_str(&segments.join("/")).decode_utf8().ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    fn post(path: &str) -> String {
        match endpoint(&Method::POST, path) {
            Ok(Endpoint::Rerank { signs, model }) => {
                let prefix = signs.prefix.map_or("-", |dialect| dialect.name());
                let model = model.map_or(String::new(), |model| format!(" {model}"));
                format!("{prefix} {}{model}", signs.usual.name())
            }
            other => panic!("{path}: {other:?}"),
        }
    }

    fn get(path: &str) -> Option<SetUp> {
        match endpoint(&Method::GET, path) {
            Ok(Endpoint::SetUp(set_up)) => Some(set_up),
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
        let signs = signs("/voyage/v1/rerank");
        assert_eq!(signs.best_guess(&HeaderMap::new(), None).name(), "voyage");
    }

    #[test]
    fn set_up_paths_work_below_any_prefix() {
        for (path, expected) in [
            ("/v1/models", SetUp::Models),
            ("/models/", SetUp::Models),
            ("/xinference/v1/models", SetUp::Models),
            ("/v1/models/cohere/rerank-v3.5", SetUp::Model("cohere/rerank-v3.5".into())),
            ("/v1/models/cohere%2Frerank-v3.5", SetUp::Model("cohere/rerank-v3.5".into())),
            ("/v1/models/up/rerank", SetUp::Model("up/rerank".into())),
            ("/v1/models/health", SetUp::Model("health".into())),
            ("/models/gateway/info", SetUp::Info),
            ("/models/gateway/v1/models/default", SetUp::Model("default".into())),
            ("/tei/info", SetUp::Info),
            ("/meta", SetUp::Meta),
            ("/health", SetUp::Health),
            ("/v1/health/ready", SetUp::Health),
            ("/.well-known/ready", SetUp::WellKnown),
            ("/.well-known/live", SetUp::WellKnown),
            ("/v1/cluster/auth", SetUp::ClusterAuth),
        ] {
            assert_eq!(get(path), Some(expected), "{path}");
        }
        assert_eq!(get("/"), None);
    }

    #[test]
    fn every_path_that_is_told_leads_somewhere() {
        let filled = |path: &str| path.replace("{model}", "m").replace("{id}", "m").replace("{dialect}", "tei");
        for path in RERANK_PATHS {
            assert!(endpoint(&Method::POST, &filled(path)).is_ok(), "{path}");
        }
        let exact = ["/healthz", "/readyz", "/metrics", "/openapi.json", "/docs"];
        for path in OTHER_PATHS.iter().filter(|path| !exact.contains(path)) {
            assert!(endpoint(&Method::GET, &filled(path)).is_ok(), "{path}");
        }
    }

    #[test]
    fn wrong_paths_and_methods_are_told_apart() {
        let kind = |method, path| endpoint(&method, path).unwrap_err().kind;
        for path in ["/", "", "/reranker", "/rerank/x", "/inference", "/inference/%ff", "/inference/v1/rerrank", "/v3"]
        {
            assert_eq!(kind(Method::POST, path), ErrorKind::NotFound, "{path}");
        }
        assert_eq!(kind(Method::GET, "/v1/rerank"), ErrorKind::MethodNotAllowed);
        assert_eq!(kind(Method::DELETE, "/info"), ErrorKind::MethodNotAllowed);
        assert_eq!(kind(Method::POST, "/models"), ErrorKind::MethodNotAllowed);
    }
}
