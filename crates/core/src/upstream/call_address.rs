//! The address of an upstream's calls, which may hold the name of the model that is asked.

use std::collections::BTreeMap;

use url::Url;

use super::endpoint::{EndpointPart, endpoint, endpoint_at, with_query};
use super::path_template::{PathValues, expand};

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

    /// The address of calls to `model`.
    ///
    /// # Errors
    /// A sentence about the base or the path, and which of the two is wrong.
    pub fn url(&self, model: &str) -> Result<Url, (EndpointPart, String)> {
        let values = PathValues { upstream: &self.upstream, given: &self.values, variables: &self.variables };
        let of_path = |message| (EndpointPart::Path, message);
        let url = match &self.path {
            CallPath::Documented(path) => {
                let path = expand(path, model, &values).map_err(of_path)?;
                endpoint(&self.base_url, &path).map_err(|message| (EndpointPart::Base, message))?
            }
            CallPath::Given(path) => endpoint_at(&self.base_url, &expand(path, model, &values).map_err(of_path)?)?,
        };
        with_query(url, &self.query_parameters).map_err(of_path)
    }
}
