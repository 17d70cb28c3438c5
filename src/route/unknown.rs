//! Why a model cannot be asked for: it lacks something, or there is none of this name.

use super::RouteTable;
use crate::error::{Error, ErrorKind};
use crate::local::{self, LocalModel};
use crate::suggestion::{MAX_COMPARED_BYTES, suggestion};

impl RouteTable {
    pub(super) fn unknown(&self, model: &str) -> Error {
        let message = match model.split_once('/') {
            Some((local::NAME, name)) if LocalModel::by_name(name).is_some() => {
                format!("{model} {}", local::NEEDS_WEIGHTS)
            }
            Some((provider, _)) if self.absent_upstreams.contains_key(provider) => {
                let way_out = &self.absent_upstreams[provider];
                let model = quotable(model).unwrap_or("the model");
                // Clients whose names are built in may mean whatever model there is.
                format!(
                    "{model} cannot be asked: no upstream is called {provider}; {way_out}, or name another model so by models.NAME.aliases"
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

/// A client's word, if it looks like the name of a model and not like something that was to stay private.
fn quotable(model: &str) -> Option<&str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:@".contains(&byte);
    (model.len() <= MAX_COMPARED_BYTES && model.bytes().all(is_plain)).then_some(model)
}
