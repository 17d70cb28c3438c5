//! Upstreams without a declaration: one for every provider whose customary key variable is set.
//!
//! ```text
//!  FIRST    cohere, jina, voyage, mixedbread    like declared ones: the first is the default
//!  others   hosted providers and gateways       by their names only, after everything else
//! ```
//! Keys of the others often stand in an environment for chat models. So they take no name from anybody, and a request
//! goes there only if it asks for `UPSTREAM/MODEL`.

use rerankd_core::types::date::Date;
use rerankd_core::upstream::key_ring::KeyRing;
use toml::{Table, Value};

use super::Environment;
use super::about_provider::ProviderGroup;
use super::layers::plain_name;
use super::reader::{Faults, Section};
use super::upstreams::{ReadUpstreams, Upstreams};

/// The providers whose keys make upstreams that may be the default, in this order: the first one is.
const FIRST: [&str; 4] = ["cohere", "jina", "voyage", "mixedbread"];

/// Adds an upstream for each of the first providers with a key in the environment. The key itself is read with the
/// upstream, which may yet get another host, to which the key must not go.
pub(super) fn add_upstreams(table: &mut Table, environment: &Environment) {
    for name in FIRST {
        if key_variable(table, name, environment).is_none() {
            continue;
        }
        // `default.toml` has the table. Anything else in its place is reported where it is read.
        if let Some(Value::Table(upstreams)) = table.get_mut("upstreams") {
            upstreams.insert(name.to_owned(), declaration(name).into());
        }
    }
}

/// The tables of the other providers' upstreams, by name. Entries of `upstreams` without a provider, which are what the
/// environment changes of such upstreams, are taken from there.
pub(super) fn take_others(table: &mut Table, environment: &Environment, today: Date) -> Table {
    let mut others = Table::new();
    let mut names = Vec::new();
    if let Some(Value::Table(providers)) = table.get("providers") {
        for (name, provider) in providers {
            if makes_upstreams(name, provider, today) && key_variable(table, name, environment).is_some() {
                names.push(name.clone());
            }
        }
    }
    let Some(Value::Table(upstreams)) = table.get_mut("upstreams") else { return others };
    for name in names {
        let mut upstream = declaration(&name);
        // Names of variables write a hyphen as an underscore.
        let known = upstreams.keys().find(|key| plain_name(key) == plain_name(&name)).cloned();
        if let Some(known) = known {
            match upstreams.get(&known) {
                Some(Value::Table(changes)) if !changes.contains_key("provider") => upstream.extend(changes.clone()),
                // It is declared.
                _ => continue,
            }
            upstreams.remove(&known);
        }
        others.insert(name, upstream.into());
    }
    others
}

/// The table of an upstream of a provider's name.
fn declaration(provider: &str) -> Table {
    Table::from_iter([("provider".to_owned(), Value::from(provider))])
}

/// Returns true if a key in the environment makes an upstream, by its name only, of the provider with this table. Not
/// of software that one runs oneself, nor of a service that has ended.
fn makes_upstreams(name: &str, provider: &Value, today: Date) -> bool {
    let word = |key: &str| provider.get(key).and_then(Value::as_str).unwrap_or_default();
    let is_service = [ProviderGroup::Hosted, ProviderGroup::Gateway].iter().any(|group| group.name() == word("group"));
    let has_ended = Date::parse(word("retired_on")).is_some_and(|end| end <= today);
    is_service && !has_ended && !word("base_url").is_empty() && !FIRST.contains(&name)
}

/// The first customary variable of a provider that is set and not blank.
pub(super) fn key_variable(table: &Table, provider: &str, environment: &Environment) -> Option<String> {
    let variables = table.get("providers")?.get(provider)?.get("key_variables")?.as_array()?;
    for variable in variables {
        if let Some(name) = variable.as_str()
            && environment.is_filled(name)
        {
            return Some(name.to_owned());
        }
    }
    None
}

impl Upstreams<'_> {
    /// Reads the upstreams of `tables`, made by [`take_others`], to `upstreams`. One with a fault is left out with a
    /// warning: its key may be there for something else, so it must not keep rerankd from starting.
    pub(super) fn read_others(&self, section: &Section<'_>, tables: &Table, upstreams: &mut ReadUpstreams) {
        for (name, value) in tables {
            let Value::Table(table) = value else { continue };
            // Not even a warning: the key alone says nothing.
            if self.lacks_path_values(name, table) {
                continue;
            }
            let faults = Faults::default();
            let read = Section::of(section.path_of(name), table, &faults, |entry| self.upstream(name, entry));
            let (faults, warnings) = faults.into_parts();
            let mut reasons: Vec<String> = faults.into_iter().map(|fault| fault.message).collect();
            if let Some(Ok(usable)) = read
                && reasons.is_empty()
            {
                match KeyRing::new(&usable.api_keys, &usable.wire.call().key) {
                    Ok(_) => {
                        for warning in warnings {
                            section.warn(name, warning.message);
                        }
                        upstreams.usable.push(usable);
                        continue;
                    }
                    Err(reason) => reasons.push(reason),
                }
            }
            let reason = reasons.join("; ");
            section.warn(name, format!("made of a key in the environment, and left out: {reason}"));
            upstreams.unusable.insert(name.clone(), reason);
        }
    }

    /// Returns true if a value of the provider's path is missing, for which there is a variable.
    fn lacks_path_values(&self, provider: &str, table: &Table) -> bool {
        let Some(known) = self.providers.get(provider) else { return false };
        known.about.path_variables.iter().any(|(value, variable)| {
            let is_given = table.get("path_values").is_some_and(|values| values.get(value).is_some());
            !is_given && !self.environment.is_filled(variable)
        })
    }
}
