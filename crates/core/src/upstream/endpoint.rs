//! The address of a provider's call, joined from a base URL and a path.

use std::collections::BTreeMap;

use url::Url;

/// Names that servers give the operation. A base URL that ends in one of them is the whole address. A name added here
/// is no longer usable as the last segment of a prefix.
const OPERATIONS: [&str; 14] = [
    "rerank",
    "reranks",
    "reranking",
    "rerankings",
    "reranker",
    "rerankers",
    "re-rank",
    "ranking",
    "rank", // Vertex AI Ranking, after a colon
    "score",
    "text-rerank", // DashScope
    "predict",
    "invocations", // SageMaker
    "invoke",
];
/// Ends of names of query parameters that hold keys, in lower case. The configuration is printed, and a key must not
/// be.
const KEY_NAME_SUFFIXES: [&str; 9] =
    ["key", "token", "secret", "password", "signature", "auth", "authorization", "credential", "passwd"];
/// Whole names of such parameters: Azure's signature (SAS) and function key, and `pwd`. As suffixes they would also hit
/// harmless names, such as `zipcode`.
const KEY_NAMES: [&str; 3] = ["sig", "code", "pwd"];

/// The path of a base, `prefix`, without a slash at its end, joined with the path of a provider's call. Placeholders in
/// braces are segments like any other.
///
/// A base is a scheme, a host and an optional prefix. People also paste bases that end in a part of the path, or in all
/// of it, so nothing is doubled: `…/inference/v1` and `/inference/v1/rerank` are `…/inference/v1/rerank`. Another
/// version at the end of the base replaces the one in `path`, and what stands before that. A base that ends in the name
/// of an operation, of any provider, is the address itself. A query of the base is sent with every call.
pub(super) fn join(prefix: &str, path: &str) -> String {
    if let Some(rest) = after_overlap(prefix, path) {
        return format!("{prefix}{rest}");
    }
    let last = prefix.rsplit('/').next().unwrap_or_default();
    let operation = path.rsplit('/').next().unwrap_or_default();
    if last == operation || is_operation(last) {
        prefix.to_owned()
    } else if is_version(last) {
        format!("{prefix}{}", after_version(path))
    } else {
        format!("{prefix}{path}")
    }
}

/// The part of `path` behind its longest beginning, of whole segments, that `prefix` ends with; `None` if it ends with
/// no beginning of it.
fn after_overlap<'a>(prefix: &str, path: &'a str) -> Option<&'a str> {
    let mut end = path.len();
    while end > 0 {
        // The slash that `path` begins with keeps the match from beginning inside a segment of `prefix`.
        if prefix.ends_with(&path[..end]) {
            return Some(&path[end..]);
        }
        end = path[..end].rfind('/')?;
    }
    None
}

/// The part of `path` behind its first version; the whole path if it has none.
fn after_version(path: &str) -> &str {
    let mut end = 0;
    for segment in path.split('/') {
        end += segment.len();
        if is_version(segment) {
            return &path[end..];
        }
        end += 1; // the slash
    }
    path
}

/// `url` with those of `parameters` in its query that it does not set itself.
///
/// # Errors
/// A sentence: one of them holds a key.
pub fn with_query(mut url: Url, parameters: &BTreeMap<String, String>) -> Result<Url, String> {
    for (name, value) in parameters {
        if url.query_pairs().all(|(own, _)| own != name.as_str()) {
            url.query_pairs_mut().append_pair(name, value);
        }
    }
    no_keys(&url)?;
    Ok(url)
}

/// The path of a base, `prefix`, without a slash at its end, and `path` below it, both unchanged. A query in `path` is
/// sent with every call.
///
/// # Errors
/// A sentence about the path.
pub(super) fn below(prefix: &str, path: &str) -> Result<String, (EndpointPart, String)> {
    if !path.starts_with('/') {
        return Err(path_error("must start with a slash, such as \"/v1/rerank\""));
    }
    if path.contains('#') {
        return Err(path_error("must not hold a fragment"));
    }
    Ok(format!("{prefix}{path}"))
}

/// Replaces the path of `url`, and its query if `path` has one.
///
/// # Errors
/// A sentence about the path.
pub(super) fn set_path(url: &mut Url, path: &str) -> Result<(), (EndpointPart, String)> {
    let Some((path, query)) = path.split_once('?') else {
        url.set_path(path);
        return Ok(());
    };
    if url.query().is_some() {
        return Err(path_error("holds a query and base_url does, too; put all of it here"));
    }
    url.set_path(path);
    url.set_query(Some(query));
    no_keys(url).map_err(|message| (EndpointPart::Path, message))
}

/// The part of an address that a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointPart {
    /// `base_url`
    Base,
    /// `path`
    Path,
    /// `path_values`
    Values,
    /// The provider's `query_parameters`
    Parameters,
    /// The name of the model
    Model,
}

fn path_error(message: &str) -> (EndpointPart, String) {
    (EndpointPart::Path, message.to_owned())
}

/// Parses a base URL.
///
/// # Errors
/// A sentence: it cannot be used.
pub(super) fn base(base_url: &str) -> Result<Url, String> {
    let url = Url::parse(base_url).map_err(|error| format!("is not a URL ({error})"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err("must start with http:// or https:// and name a host".into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user name or password; use api_key".into());
    }
    if url.fragment().is_some() {
        return Err("must not hold a fragment".into());
    }
    no_keys(&url)?;
    Ok(url)
}

/// Refuses an address with a key in its query, as far as names of parameters tell.
fn no_keys(url: &Url) -> Result<(), String> {
    for (name, _) in url.query_pairs() {
        if is_key_parameter(&name) {
            return Err("must not hold a key in its query, where it would be printed; use api_key".into());
        }
    }
    Ok(())
}

/// Returns true if the name of a query parameter or a header says that it holds a key, in any case.
#[must_use]
pub fn is_key_parameter(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    KEY_NAMES.contains(&&*name) || KEY_NAME_SUFFIXES.iter().any(|end| name.ends_with(end))
}

/// Returns true if a path's last segment names an operation, in any case.
fn is_operation(segment: &str) -> bool {
    // Google writes operations after a colon, as in `models/NAME:rank`.
    let verb = segment.rsplit(':').next().unwrap_or_default();
    OPERATIONS.iter().any(|operation| verb.eq_ignore_ascii_case(operation))
}

/// Returns true for `v1`, `V2`, `v1.0`, `v1beta`, `v1alpha1`.
fn is_version(segment: &str) -> bool {
    let Some(number) = segment.strip_prefix(['v', 'V']) else { return false };
    let rest = number.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == '.');
    let stage = rest.trim_end_matches(|letter: char| letter.is_ascii_digit());
    number.starts_with(|letter: char| letter.is_ascii_digit()) && matches!(stage, "" | "alpha" | "beta" | "preview")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(base_url: &str, path: &str) -> Result<Url, String> {
        let mut url = base(base_url)?;
        let joined = join(url.path().trim_end_matches('/'), path);
        url.set_path(&joined);
        Ok(url)
    }

    fn endpoint_at(base_url: &str, path: &str) -> Result<Url, (EndpointPart, String)> {
        let mut url = base(base_url).map_err(|message| (EndpointPart::Base, message))?;
        let path = below(url.path().trim_end_matches('/'), path)?;
        set_path(&mut url, &path)?;
        Ok(url)
    }

    #[test]
    fn nothing_is_doubled() {
        for (base, path, address) in [
            ("https://api.cohere.com", "/v2/rerank", "https://api.cohere.com/v2/rerank"),
            ("https://api.cohere.com/", "/v2/rerank", "https://api.cohere.com/v2/rerank"),
            ("https://api.cohere.com/v2", "/v2/rerank", "https://api.cohere.com/v2/rerank"),
            ("https://api.cohere.com/v2/rerank/", "/v2/rerank", "https://api.cohere.com/v2/rerank"),
            ("http://vllm:8000/v1", "/v2/rerank", "http://vllm:8000/v1/rerank"),
            ("http://proxy/some/prefix", "/v1/rerank", "http://proxy/some/prefix/v1/rerank"),
            ("https://api.mixedbread.com/v1", "/v1/reranking", "https://api.mixedbread.com/v1/reranking"),
            ("http://[::1]:8080", "/rerank", "http://[::1]:8080/rerank"),
            ("http://host/vision", "/v1/rerank", "http://host/vision/v1/rerank"),
            ("http://h/V1", "/v1/rerank", "http://h/V1/rerank"),
            ("http://h/api/v1.0/", "/v1/rerank", "http://h/api/v1.0/rerank"),
            ("http://h/v1beta", "/v1/rerank", "http://h/v1beta/rerank"),
            ("http://h/v1alpha1", "/v2/rerank", "http://h/v1alpha1/rerank"),
            ("http://h/v1model", "/v1/rerank", "http://h/v1model/v1/rerank"),
            ("http://h/v", "/v1/rerank", "http://h/v/v1/rerank"),
            // Bases that end in a part of the path.
            ("https://api.fireworks.ai", "/inference/v1/rerank", "https://api.fireworks.ai/inference/v1/rerank"),
            (
                "https://api.fireworks.ai/inference",
                "/inference/v1/rerank",
                "https://api.fireworks.ai/inference/v1/rerank",
            ),
            (
                "https://api.fireworks.ai/inference/v1",
                "/inference/v1/rerank",
                "https://api.fireworks.ai/inference/v1/rerank",
            ),
            ("https://api.novita.ai/openai/v1/", "/openai/v1/rerank", "https://api.novita.ai/openai/v1/rerank"),
            (
                "https://open.bigmodel.cn/api/paas/v4",
                "/api/paas/v4/rerank",
                "https://open.bigmodel.cn/api/paas/v4/rerank",
            ),
            ("http://h/compatible-api/v1", "/compatible-api/v1/reranks", "http://h/compatible-api/v1/reranks"),
            (
                "http://proxy/p/compatible-api/v1",
                "/compatible-api/v1/reranks",
                "http://proxy/p/compatible-api/v1/reranks",
            ),
            (
                "https://api.deepinfra.com",
                "/v1/inference/Qwen/Q-8B",
                "https://api.deepinfra.com/v1/inference/Qwen/Q-8B",
            ),
            (
                "https://api.deepinfra.com/v1",
                "/v1/inference/Qwen/Q-8B",
                "https://api.deepinfra.com/v1/inference/Qwen/Q-8B",
            ),
            (
                "https://api.deepinfra.com/v1/inference",
                "/v1/inference/Qwen/Q-8B",
                "https://api.deepinfra.com/v1/inference/Qwen/Q-8B",
            ),
            (
                "https://api.deepinfra.com/v1/inference/Qwen/Q-8B",
                "/v1/inference/Qwen/Q-8B",
                "https://api.deepinfra.com/v1/inference/Qwen/Q-8B",
            ),
            (
                "http://h/client/v4/accounts/a/ai",
                "/client/v4/accounts/a/ai/run/@cf/m",
                "http://h/client/v4/accounts/a/ai/run/@cf/m",
            ),
            ("http://h/_inference/rerank", "/_inference/rerank/.id", "http://h/_inference/rerank/.id"),
            (
                "http://h/api/v1/services/rerank",
                "/api/v1/services/rerank/text-rerank/text-rerank",
                "http://h/api/v1/services/rerank/text-rerank/text-rerank",
            ),
            // Another version than the path's, with all that follows it.
            ("http://h/v2", "/v1/inference/Qwen/v3", "http://h/v2/inference/Qwen/v3"),
            ("http://h/v1", "/inference/v1/rerank", "http://h/v1/rerank"),
            ("http://h/v1", "/_inference/rerank/id", "http://h/v1/_inference/rerank/id"),
            ("http://h/v1", "/rerank", "http://h/v1/rerank"),
            // Half a segment is no overlap.
            ("http://h/my-inference", "/inference/v1/rerank", "http://h/my-inference/inference/v1/rerank"),
            ("http://h/inference/v", "/inference/v1/rerank", "http://h/inference/v/inference/v1/rerank"),
            ("https://lkeap.tencentcloudapi.com", "/", "https://lkeap.tencentcloudapi.com/"),
            ("https://lkeap.tencentcloudapi.com/", "/", "https://lkeap.tencentcloudapi.com/"),
        ] {
            assert_eq!(endpoint(base, path).unwrap().as_str(), address, "{base}");
        }
    }

    /// The first of these asked `/compatible-api/v1/reranks/v1/rerank`.
    #[test]
    fn whole_addresses_are_used_as_they_are() {
        for base in [
            "http://h/compatible-api/v1/reranks",
            "http://h/v1/reranking",
            "http://h/rerankers",
            "http://h/v1/reranker",
            "http://h/v1/score",
            "http://h/v1/rerankings",
            "http://h/v1/ranking",
            "http://h/api/v1/services/rerank/text-rerank/text-rerank",
            "http://h/v1/rerank?api-version=2026-04&x=%2F",
            "http://h/v1/Rerank",
            "http://h/RERANK",
            "http://h/v1/re-rank",
            "http://h/rank",
            "http://h/predict",
            "http://h/endpoints/e/invocations",
            "http://h/model/m/invoke",
            "http://h/v1/projects/p/rankingConfigs/default_ranking_config:rank",
        ] {
            for path in ["/v2/rerank", "/v1/rerank", "/v1/reranking", "/rerank"] {
                assert_eq!(endpoint(base, path).unwrap().as_str(), base);
            }
        }
        let with_query = endpoint("http://h/openai/v1/?api-version=1", "/v1/rerank").unwrap();
        assert_eq!(with_query.as_str(), "http://h/openai/v1/rerank?api-version=1");
    }

    #[test]
    fn parameters_of_a_row_yield_to_those_of_the_address() {
        for (address, parameters, expected) in [
            ("http://h/x", &[][..], "http://h/x"),
            ("http://h/x", &[("version", "2026-10-14")], "http://h/x?version=2026-10-14"),
            ("http://h/x?version=2025-01-01", &[("version", "2026-10-14")], "http://h/x?version=2025-01-01"),
            ("http://h/x?a=%2F", &[("b", "1 2&3"), ("c", "")], "http://h/x?a=%2F&b=1+2%263&c="),
            ("http://h/x?%61=1", &[("a", "2")], "http://h/x?%61=1"),
        ] {
            let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let url = with_query(Url::parse(address).unwrap(), &parameters).unwrap();
            assert_eq!(url.as_str(), expected);
        }
        let key = BTreeMap::from([("api_key".to_owned(), "secret".to_owned())]);
        let message = with_query(Url::parse("http://h/x").unwrap(), &key).unwrap_err();
        assert!(!message.contains("secret"), "{message}");
    }

    #[test]
    fn a_path_is_taken_as_it_is() {
        for (base, path, address) in [
            ("http://h", "/score", "http://h/score"),
            ("http://h/", "/x/?a=b", "http://h/x/?a=b"),
            ("http://h/v1", "/custom:rank", "http://h/v1/custom:rank"),
            ("http://h/p?a=b&max_tokens=5", "/x", "http://h/p/x?a=b&max_tokens=5"),
            ("http://h", "/", "http://h/"),
        ] {
            assert_eq!(endpoint_at(base, path).unwrap().as_str(), address, "{base} {path}");
        }
        for (base, path, part) in [
            ("http://h", "rerank", EndpointPart::Path),
            ("http://h", "", EndpointPart::Path),
            ("http://h", "/x#y", EndpointPart::Path),
            ("http://h", "/x?api_key=secret", EndpointPart::Path),
            ("http://h?a=b", "/x?c=d", EndpointPart::Path),
            ("h", "/x", EndpointPart::Base),
        ] {
            let (found, message) = endpoint_at(base, path).unwrap_err();
            assert_eq!(found, part, "{base} {path}");
            assert!(!message.contains("secret"));
        }
    }

    #[test]
    fn what_is_not_a_base_is_refused() {
        for base in [
            "",
            "api.cohere.com",
            "ftp://host",
            "http://",
            "https://u:p@host",
            "https://host#a",
            "https://host?Key=b",
            "https://host?Ocp-Apim-Subscription-Key=b",
            "https://host?x-api-key=b",
            "https://host?X-Amz-Signature=b",
            "https://host?auth=b",
            "https://host?code=b",
            "file:///etc",
        ] {
            assert!(endpoint(base, "/v1/rerank").is_err(), "{base}");
        }
    }
}
