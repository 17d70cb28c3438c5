//! The error for models that cannot be asked for: they lack a setting, or there is none of this name.

use super::RouteTable;
use crate::embedded::{self, LocalModel};
use crate::error::{Error, ErrorKind};
use crate::suggestion::{MAX_COMPARED_BYTES, suggestion};

impl RouteTable {
    /// The error for a model that no route leads to.
    pub(super) fn unknown(&self, model: &str) -> Error {
        let message = match (model.split_once('/'), self.absent(model)) {
            (Some((embedded::NAME, name)), _) if LocalModel::by_name(name).is_some() => {
                format!("{model} {}", embedded::NEEDS_CROSS_ENCODER)
            }
            (_, Some((provider, way_out))) => {
                let model = quotable(model).unwrap_or("the model");
                // Clients whose names are built in may mean whatever model there is.
                format!(
                    "{model} cannot be asked: no upstream is called {provider}; {way_out}; models.NAME.aliases can \
                     give its name to another model"
                )
            }
            _ => {
                let known = self.names();
                let name = match quotable(model) {
                    Some(name) => format!(" {name}"),
                    None => String::new(),
                };
                format!(
                    "there is no model{name}{}; known models: {}; models.NAME.aliases in the configuration gives a \
                     model further names",
                    suggestion(model, known.iter().map(String::as_str)),
                    known.join(", ")
                )
            }
        };
        Error { pointer: Some("/model".into()), ..Error::new(ErrorKind::UnknownModel, message) }
    }

    /// The provider that would have this model but has no upstream, and the way to configure one. The model is named
    /// `PROVIDER/MODEL`, or by its bare name.
    fn absent(&self, model: &str) -> Option<(&'static str, &str)> {
        if let Some((prefix, _)) = model.split_once('/')
            && let Some((provider, absent)) = self.absent_upstreams.get_key_value(prefix)
        {
            return Some((*provider, &*absent.way_out));
        }
        // Names of models may hold a slash themselves, so the whole name is looked up, too.
        for (provider, absent) in &self.absent_upstreams {
            if absent.models.iter().any(|known| known == model) {
                return Some((*provider, &*absent.way_out));
            }
        }
        None
    }
}

/// A client's word, if it looks like the name of a model and not like something that was to stay private.
fn quotable(model: &str) -> Option<&str> {
    if model.len() > MAX_COMPARED_BYTES {
        return None;
    }
    let is_plain = model.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./:@".contains(&byte));
    if is_plain { Some(model) } else { None }
}
