//! Why a model cannot be asked for: it lacks something, or there is none of this name.

use super::RouteTable;
use crate::config::settings::AbsentUpstream;
use crate::error::{Error, ErrorKind};
use crate::local::{self, LocalModel};
use crate::suggestion::{MAX_COMPARED_BYTES, suggestion};

impl RouteTable {
    pub(super) fn unknown(&self, model: &str) -> Error {
        let message = match (model.split_once('/'), self.absent(model)) {
            (Some((local::NAME, name)), _) if LocalModel::by_name(name).is_some() => {
                format!("{model} {}", local::NEEDS_WEIGHTS)
            }
            (_, Some((provider, way_out))) => {
                let model = quotable(model).unwrap_or("the model");
                // Clients whose names are built in may mean whatever model there is.
                format!(
                    "{model} cannot be asked: no upstream is called {provider}; {way_out}; models.NAME.aliases can give its name to another model"
                )
            }
            _ => {
                let known = self.names();
                format!(
                    "there is no model{}{}; known models: {}; models.NAME.aliases in the configuration gives a model further names",
                    quotable(model).map(|name| format!(" {name}")).unwrap_or_default(),
                    suggestion(model, known.iter().map(String::as_str)),
                    known.join(", ")
                )
            }
        };
        Error { pointer: Some("/model".into()), ..Error::new(ErrorKind::UnknownModel, message) }
    }
}

impl RouteTable {
    /// The provider that lacks an upstream and would have this model, and what would make one: `PROVIDER/MODEL`, or a model by its bare name.
    fn absent(&self, model: &str) -> Option<(&'static str, &str)> {
        let by_prefix = model.split_once('/').and_then(|(provider, _)| self.absent_upstreams.get_key_value(provider));
        let has_it = |absent: &AbsentUpstream| absent.models.iter().any(|known| known == model);
        let by_name = || self.absent_upstreams.iter().find(|(_, absent)| has_it(absent));
        by_prefix.or_else(by_name).map(|(provider, absent)| (*provider, &*absent.way_out))
    }
}

/// A client's word, if it looks like the name of a model and not like something that was to stay private.
fn quotable(model: &str) -> Option<&str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:@".contains(&byte);
    (model.len() <= MAX_COMPARED_BYTES && model.bytes().all(is_plain)).then_some(model)
}
