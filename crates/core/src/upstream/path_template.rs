//! Paths with placeholders, such as `/client/v4/accounts/{account}/ai/run/{model}`.
//!
//! ```text
//! {model}        the model's name                  @cf/baai/bge-reranker-base   slashes stay
//! {model:id}     the same, without slashes        .rerank-v1-elasticsearch
//! {model:slug}   its last segment, dots as _       llama-3_2-nv-rerankqa-1b-v2
//! {NAME}         upstreams.X.path_values.NAME      023e105f4ecef8ad9ca31a8372d0c353
//! ```
//! Values are letters, digits and `. _ @ : / -`, in segments that are neither empty nor dots. So none can lead to
//! another path or add a query, even one that a client sends as the name of a model.

use std::collections::BTreeMap;

use super::endpoint::EndpointPart;

/// Placeholders for the name of the model.
const MODEL_PLACEHOLDERS: [&str; 3] = ["model", "model:id", "model:slug"];

/// The values of placeholders, and what messages say about them.
#[derive(Clone, Copy, Debug)]
pub(super) struct PathValues<'a> {
    /// The upstream's name.
    pub(super) upstream: &'a str,
    /// Values by name: `upstreams.X.path_values`, and those of customary variables.
    pub(super) given: &'a BTreeMap<String, String>,
    /// Environment variable that customarily holds a value, by name.
    pub(super) variables: &'a BTreeMap<String, String>,
}

/// `path` with the values of all its placeholders but the model's, percent-encoded where a path needs it.
///
/// # Errors
/// A sentence that names the setting: a value is missing or has a character that it must not have, or a placeholder is
/// malformed. Quotes no value.
pub(super) fn with_values(path: &str, values: &PathValues<'_>) -> Result<String, (EndpointPart, String)> {
    let of_path = |message: &str| (EndpointPart::Path, message.to_owned());
    let mut expanded = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((literal, behind)) = rest.split_once('{') {
        expanded.push_str(literal);
        let (name, behind) = behind.split_once('}').ok_or_else(|| of_path("the path has a { without a }"))?;
        if MODEL_PLACEHOLDERS.contains(&name) {
            expanded.push_str(&format!("{{{name}}}"));
        } else {
            let value = values.value(name).map_err(|message| (EndpointPart::Values, message))?;
            let encoded = encoded(value, &values.setting(name)).map_err(|message| (EndpointPart::Values, message))?;
            expanded.push_str(&encoded);
        }
        rest = behind;
    }
    if rest.contains('}') {
        return Err(of_path("the path has a } without a {"));
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// A path of [`with_values`] with the name of `model`, percent-encoded where a path needs it. `upstream` is the
/// upstream's name.
///
/// # Errors
/// A sentence: the name has a character that it must not have. Does not quote it.
pub(super) fn with_model(path: &str, model: &str, upstream: &str) -> Result<String, String> {
    let mut expanded = path.to_owned();
    for name in MODEL_PLACEHOLDERS {
        let placeholder = format!("{{{name}}}");
        if !path.contains(&placeholder) {
            continue;
        }
        let what = format!("the name of a model of {upstream}, which is a part of its path,");
        if name == "model:id" && model.contains('/') {
            return Err(format!("{what} must have no slash"));
        }
        let slug;
        let value = if name == "model:slug" {
            slug = model.rsplit('/').next().unwrap_or_default().replace('.', "_");
            &slug
        } else {
            model
        };
        expanded = expanded.replace(&placeholder, &encoded(value, &what)?);
    }
    Ok(expanded)
}

impl PathValues<'_> {
    /// The key of a value in the configuration.
    fn setting(&self, name: &str) -> String {
        format!("upstreams.{}.path_values.{name}", self.upstream)
    }

    /// The value of a placeholder. An empty one counts as missing: variables are often set to nothing.
    fn value(&self, name: &str) -> Result<&str, String> {
        if let Some(value) = self.given.get(name)
            && !value.is_empty()
        {
            return Ok(value);
        }
        let variable = match self.variables.get(name) {
            Some(variable) => format!(", or the environment variable {variable}"),
            None => String::new(),
        };
        Err(format!("{} is missing, a part of the provider's path; set it{variable}", self.setting(name)))
    }
}

/// A value as it stands in a path, if it may. `what` begins the message if it may not.
fn encoded(value: &str, what: &str) -> Result<String, String> {
    let is_of_allowed_letters = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._@:/-".contains(&byte));
    let has_idle_segment = value.split('/').any(|segment| matches!(segment, "" | "."));
    if !is_of_allowed_letters || has_idle_segment || value.contains("..") {
        return Err(format!(
            "{what} must be of letters, digits and . _ @ : / - alone, without .. and without empty segments"
        ));
    }
    // A colon may stand in a path, but several servers take what follows it for a verb. All others of the allowed
    // letters mean themselves.
    Ok(value.replace(':', "%3A"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(path: &str, model: &str) -> Result<String, String> {
        let given =
            [("account", "0a1b"), ("project", "example.com:p"), ("dots", ".id"), ("blank", ""), ("up", "a/../b")];
        let given = given.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let variables = [("endpoint".to_owned(), "SAGEMAKER_ENDPOINT".to_owned())].into();
        let values = PathValues { upstream: "up", given: &given, variables: &variables };
        let path = with_values(path, &values).map_err(|(_, message)| message)?;
        with_model(&path, model, values.upstream)
    }

    #[test]
    fn placeholders_are_replaced_by_their_values() {
        for (path, model, expected) in [
            ("/v1/rerank", "m", "/v1/rerank"),
            ("/", "m", "/"),
            ("/v1/inference/{model}", "Qwen/Qwen3-Reranker-8B", "/v1/inference/Qwen/Qwen3-Reranker-8B"),
            ("/accounts/{account}/ai/run/{model}", "@cf/baai/bge", "/accounts/0a1b/ai/run/@cf/baai/bge"),
            ("/nvidia/{model:slug}/reranking", "nvidia/llama-3.2-nv", "/nvidia/llama-3_2-nv/reranking"),
            ("/nvidia/{model:slug}/reranking", "nv-1.5", "/nvidia/nv-1_5/reranking"),
            ("/model/{model}/invoke", "amazon.rerank-v1:0", "/model/amazon.rerank-v1%3A0/invoke"),
            ("/_inference/rerank/{model:id}", ".rerank-v1", "/_inference/rerank/.rerank-v1"),
            ("/{dots}/{model}{model}", "m", "/.id/mm"),
            ("/projects/{project}/config:rank", "m", "/projects/example.com%3Ap/config:rank"),
        ] {
            assert_eq!(expanded(path, model).as_deref(), Ok(expected), "{path} {model}");
            let mut url = url::Url::parse("http://h").unwrap();
            url.set_path(expected);
            assert_eq!(url.path(), expected, "a URL leaves the path as it is");
        }
    }

    #[test]
    fn a_missing_value_is_named_with_its_setting_and_its_variable() {
        for (path, message) in [
            ("/{blank}", "upstreams.up.path_values.blank is missing, a part of the provider's path; set it"),
            (
                "/{endpoint}",
                "upstreams.up.path_values.endpoint is missing, a part of the provider's path; set it, or the \
                 environment variable SAGEMAKER_ENDPOINT",
            ),
        ] {
            assert_eq!(expanded(path, "m").unwrap_err(), message);
        }
        assert_eq!(expanded("/{", "m").unwrap_err(), "the path has a { without a }");
        assert_eq!(expanded("/}", "m").unwrap_err(), "the path has a } without a {");
    }

    #[test]
    fn no_value_leads_elsewhere() {
        let models = [
            "",
            "/",
            "/m",
            "m/",
            "a//b",
            "..",
            "../m",
            "a/../b",
            "a..b",
            ".",
            "a/./b",
            "a b",
            "a?b",
            "a#b",
            "a%2Fb",
            "a\\b",
            "a\n",
            "é",
            "a{account}",
            "a;b",
            "a&b",
        ];
        for model in models {
            let message = expanded("/run/{model}", model).unwrap_err();
            assert!(message.starts_with("the name of a model of up"), "{message}");
            assert!(model.len() < 3 || !message.contains(model), "{message}");
        }
        let message = expanded("/{up}", "m").unwrap_err();
        assert!(message.starts_with("upstreams.up.path_values.up must be of letters"), "{message}");
        assert!(expanded("/{model:slug}", "a/").is_err());
        // Elasticsearch has other operations below an endpoint.
        let message = expanded("/_inference/rerank/{model:id}", "x/_stream").unwrap_err();
        assert_eq!(message, "the name of a model of up, which is a part of its path, must have no slash");
    }
}
