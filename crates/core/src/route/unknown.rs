//! The error for models that cannot be asked for: they lack a setting, or there is none of this name.

use super::settings::{AbsentUpstream, WrittenIn};
use super::{DEFAULT_MODEL, RouteTable};
use crate::embedded::{self, LocalModel};
use crate::error::{Error, ErrorKind};
use crate::suggestion::{MAX_COMPARED_BYTES, suggestion};

impl RouteTable {
    /// The error for a model that no route leads to.
    pub(super) fn unknown(&self, model: &str) -> Error {
        let addresses = self.addresses_by_name_only(model);
        let message = match (model.split_once('/'), self.absent(model)) {
            _ if self.unknown.left_out.contains_key(model) => {
                // Only names of the configuration are there, so this one may be quoted.
                format!("{model} cannot be asked: {}", self.unknown.left_out[model])
            }
            (Some((embedded::NAME, name)), _) if LocalModel::by_name(name).is_some() => {
                format!("{model} {}", embedded::NEEDS_CROSS_ENCODER)
            }
            _ if !addresses.is_empty() => {
                // Such a name is one of the registry, so it may be quoted.
                format!("{model} is asked for as {}; or {}", addresses.join(" or "), self.alias_advice(model))
            }
            (_, Some((provider, absent))) => {
                let name = quotable(model).unwrap_or("the model");
                let way_out = &absent.way_out;
                let reason = if absent.is_left_out {
                    way_out.clone()
                } else {
                    format!("no upstream is called {provider}; {way_out}")
                };
                // Clients whose names are built in may mean whatever model there is.
                format!("{name} cannot be asked: {reason}; or {}", self.alias_advice(model))
            }
            _ => {
                let known = self.names();
                let name = match quotable(model) {
                    Some(name) => format!(" {name}"),
                    None => String::new(),
                };
                format!(
                    "there is no model{name}{}; known models: {}; {}",
                    suggestion(model, known.iter().map(String::as_str)),
                    known.join(", "),
                    self.alias_advice(model)
                )
            }
        };
        Error { pointer: Some("/model".into()), ..Error::new(ErrorKind::UnknownModel, message) }
    }

    /// The addresses of a model at the upstreams that know it and lead by their name only.
    fn addresses_by_name_only(&self, model: &str) -> Vec<String> {
        let mut addresses = Vec::new();
        for upstream in &self.upstreams {
            if upstream.by_name_only && upstream.lists(model) {
                addresses.push(format!("{}/{model}", upstream.name));
            }
        }
        addresses
    }

    /// The provider that would have this model but has no upstream, and the way to configure one. The model is named
    /// `PROVIDER/MODEL`, or by its bare name.
    fn absent(&self, model: &str) -> Option<(&str, &AbsentUpstream)> {
        let absent_upstreams = &self.unknown.absent_upstreams;
        if let Some((prefix, _)) = model.split_once('/')
            && let Some((provider, absent)) = absent_upstreams.get_key_value(prefix)
        {
            return Some((provider, absent));
        }
        // Names of models may hold a slash themselves, so the whole name is looked up, too.
        for (provider, absent) in absent_upstreams {
            if absent.models.iter().any(|known| known == model) {
                return Some((provider, absent));
            }
        }
        None
    }

    /// The advice to have the default model answer to `model`. It ends with the line to paste.
    fn alias_advice(&self, model: &str) -> String {
        let owner = &self.unknown.alias_model;
        let mut aliases = Vec::new();
        if let Some(route) = self.routes.get(owner) {
            aliases.extend(route.aliases.iter().map(|alias| format!("{:?}", alias.as_str())));
        }
        aliases.push(format!("{:?}", quotable(model).unwrap_or("NAME")));
        let list = aliases.join(", ");
        match self.unknown.written_in {
            WrittenIn::File => {
                format!("to have {DEFAULT_MODEL} answer it, write under [models.{owner}]: aliases = [{list}]")
            }
            WrittenIn::Environment => {
                let variable = owner.to_uppercase().replace('-', "_");
                format!("to have {DEFAULT_MODEL} answer it, set RERANKD__MODELS__{variable}__ALIASES='[{list}]'")
            }
        }
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
