//! Base URL and documented path, joined the way people mean it.

use url::Url;

/// The address of a provider's call under `base_url`.
///
/// A base is scheme, host and an optional prefix. People also paste bases that end in a version (`…/v1`) or in the whole path;
/// nothing is doubled: a version in the base stands for the one in `path`, and a base that ends in the call's last segment is the
/// address itself.
///
/// # Errors
/// A sentence that says what is wrong with the base.
pub fn endpoint(base_url: &str, path: &str) -> Result<Url, String> {
    let mut url = Url::parse(base_url).map_err(|error| format!("is not a URL ({error})"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err("must start with http:// or https:// and name a host".into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user name or password; use api_key".into());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must not hold a query or a fragment".into());
    }
    let operation = path.rsplit('/').next().unwrap_or_default();
    let base = url.path().trim_end_matches('/').to_owned();
    let joined = match base.rsplit('/').next() {
        Some(last) if last == operation => base,
        Some(last) if is_version(last) => format!("{base}/{operation}"),
        _ => format!("{base}{path}"),
    };
    url.set_path(&joined);
    Ok(url)
}

fn is_version(segment: &str) -> bool {
    segment
        .strip_prefix('v')
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        ] {
            assert_eq!(endpoint(base, path).unwrap().as_str(), address, "{base}");
        }
    }

    #[test]
    fn what_is_not_a_base_is_refused() {
        for base in
            ["", "api.cohere.com", "ftp://host", "http://", "https://u:p@host", "https://host?a=b", "file:///etc"]
        {
            assert!(endpoint(base, "/v1/rerank").is_err(), "{base}");
        }
    }
}
