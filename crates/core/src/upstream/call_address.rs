//! The address of an upstream's calls, which may hold the name of the model that is asked.

use std::collections::BTreeMap;

use url::Url;

use super::endpoint::{EndpointPart, base, below, join, set_path, with_query};
use super::path_template::{PathValues, with_model, with_values};

/// The address of an upstream's calls.
#[derive(Clone, Debug)]
pub struct CallAddress {
    /// The upstream's name, for messages.
    pub upstream: String,
    /// Scheme, host and an optional prefix.
    pub base_url: String,
    /// The path below it.
    pub path: CallPath,
    /// Values of the path by name: `upstreams.X.path_values`, and those of customary variables.
    pub values: BTreeMap<String, String>,
    /// Environment variable that customarily holds a value, by name.
    pub variables: BTreeMap<String, String>,
    /// Parameters of the query that the provider wants.
    pub query_parameters: BTreeMap<String, String>,
}

/// The path of an upstream's calls. Names in braces stand for values.
#[derive(Clone, Debug)]
pub enum CallPath {
    /// The provider's documented one. A base URL that ends in a part of it is completed.
    Documented(String),
    /// One that the operator gave, taken as it is.
    Given(String),
}

impl CallAddress {
    /// Returns true if each model has an address of its own.
    #[must_use]
    pub fn holds_model(&self) -> bool {
        let (CallPath::Documented(path) | CallPath::Given(path)) = &self.path;
        path.contains("{model")
    }

    /// The address of calls to `model`. A model's name fills its place in the path, and decides nothing else: it is put
    /// in last.
    ///
    /// # Errors
    /// A sentence, and the part of the address that it is about.
    pub fn url(&self, model: &str) -> Result<Url, (EndpointPart, String)> {
        let AddressTemplate { mut url, path, .. } = self.template()?;
        let path = with_model(&path, model, &self.upstream).map_err(|message| (EndpointPart::Model, message))?;
        set_path(&mut url, &path)?;
        with_query(url, &self.query_parameters).map_err(|message| (EndpointPart::Parameters, message))
    }

    /// The path as messages for clients may show it: with the names of its values in place of these, and of the
    /// model's.
    #[must_use]
    pub fn shown_path(&self) -> String {
        let (CallPath::Documented(own) | CallPath::Given(own)) = &self.path;
        let shown = match self.template() {
            // A base may end in a part of the path, or in all of it.
            Ok(AddressTemplate { path, expanded, .. }) => match path.strip_suffix(&expanded) {
                Some(prefix) => format!("{prefix}{own}"),
                None => path,
            },
            Err(_) => own.clone(),
        };
        match shown.split_once('?') {
            Some((path, _query)) => path.to_owned(),
            None => shown,
        }
    }

    fn template(&self) -> Result<AddressTemplate, (EndpointPart, String)> {
        let url = base(&self.base_url).map_err(|message| (EndpointPart::Base, message))?;
        let values = PathValues { upstream: &self.upstream, given: &self.values, variables: &self.variables };
        let (CallPath::Documented(own) | CallPath::Given(own)) = &self.path;
        let expanded = with_values(own, &values)?;
        let prefix = url.path().trim_end_matches('/');
        let path = match &self.path {
            CallPath::Documented(_) => join(prefix, &expanded),
            CallPath::Given(_) => below(prefix, &expanded)?,
        };
        Ok(AddressTemplate { url, path, expanded })
    }
}

/// An address that lacks the model's name alone.
struct AddressTemplate {
    /// The base.
    url: Url,
    /// The whole path, that of the base included. A URL holds no braces, so those in it are of placeholders.
    path: String,
    /// The upstream's own path, with its values.
    expanded: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(base_url: &str, path: CallPath) -> CallAddress {
        CallAddress {
            upstream: "up".to_owned(),
            base_url: base_url.to_owned(),
            path,
            values: BTreeMap::from([("account".to_owned(), "0a1b".to_owned())]),
            variables: BTreeMap::new(),
            query_parameters: BTreeMap::new(),
        }
    }

    fn documented(base_url: &str, path: &str) -> CallAddress {
        address(base_url, CallPath::Documented(path.to_owned()))
    }

    /// Clients name models. `v2/x` led past the operation, and a model called like the prefix of a gateway to its root.
    #[test]
    fn the_name_of_a_model_does_not_steer_the_join() {
        for (base, path, model, expected) in [
            ("https://h/v1", "/_inference/rerank/{model}", "v2/x", "https://h/v1/_inference/rerank/v2/x"),
            ("https://gw/proxy", "/_inference/rerank/{model}", "proxy", "https://gw/proxy/_inference/rerank/proxy"),
            ("https://gw/m", "/run/{model}", "m", "https://gw/m/run/m"),
            ("https://gw/run/m", "/run/{model}", "m", "https://gw/run/m/run/m"),
            ("https://h/v1", "/v1/inference/{model}", "v1/rerank", "https://h/v1/inference/v1/rerank"),
            ("https://h/%7Bmodel%7D", "/run/{model}", "m", "https://h/%7Bmodel%7D/run/m"),
            ("https://h/{model}", "/run/{model}", "m", "https://h/%7Bmodel%7D/run/m"),
            (
                "https://h/accounts/0a1b/ai",
                "/accounts/{account}/ai/run/{model}",
                "@cf/m",
                "https://h/accounts/0a1b/ai/run/@cf/m",
            ),
        ] {
            assert_eq!(documented(base, path).url(model).unwrap().as_str(), expected, "{base} {model}");
        }
    }

    #[test]
    fn a_given_path_is_joined_as_it_is() {
        let given = address("https://h/v1?a=b", CallPath::Given("/run/{model}".to_owned()));
        assert_eq!(given.url("v2/x").unwrap().as_str(), "https://h/v1/run/v2/x?a=b");
        let with_query = address("https://h", CallPath::Given("/run/{model}?a={account}".to_owned()));
        assert_eq!(with_query.url("m").unwrap().as_str(), "https://h/run/m?a=0a1b");
        assert_eq!(with_query.shown_path(), "/run/{model}");
    }

    #[test]
    fn each_fault_is_of_one_part() {
        let part = |address: CallAddress, model: &str| address.url(model).unwrap_err().0;
        assert_eq!(part(documented("h", "/run"), "m"), EndpointPart::Base);
        assert_eq!(part(documented("http://h", "/{"), "m"), EndpointPart::Path);
        assert_eq!(part(documented("http://h", "/{project}"), "m"), EndpointPart::Values);
        assert_eq!(part(documented("http://h", "/run/{model}"), "my model"), EndpointPart::Model);
        let query_parameters = BTreeMap::from([("api_key".to_owned(), "secret".to_owned())]);
        let keyed = CallAddress { query_parameters, ..documented("http://h", "/run") };
        assert_eq!(part(keyed, "m"), EndpointPart::Parameters);
    }

    #[test]
    fn the_shown_path_holds_no_value() {
        for (base, path, shown) in [
            ("https://h", "/v2/rerank", "/v2/rerank"),
            ("https://h/v1", "/v2/rerank", "/v1/rerank"),
            ("https://h/p", "/accounts/{account}/run/{model}", "/p/accounts/{account}/run/{model}"),
            ("https://h/accounts/0a1b", "/accounts/{account}/run/{model}", "/accounts/{account}/run/{model}"),
            ("https://h/v1/rerank", "/accounts/{account}/run/{model}", "/v1/rerank"),
        ] {
            assert_eq!(documented(base, path).shown_path(), shown, "{base}");
        }
    }
}
