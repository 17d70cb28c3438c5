//! The step between an operator and each provider: a variable, a declaration, or nothing.

use std::collections::BTreeMap;
use std::fmt;

use rerankd_core::route::settings::AbsentUpstream;
use rerankd_core::text::list_in_words;
use rerankd_core::types::date::Date;
use rerankd_core::upstream::settings::UpstreamSettings;

use super::Environment;
use super::about_provider::ProviderGroup;
use super::compiled_in::is_compiled_in;
use super::provider_facts::{KnownProvider, Providers};
use super::upstreams::{LeftOutUpstream, ReadUpstreams};

/// A provider, as `rerankd models --providers` lists it.
#[derive(Clone, Debug)]
pub struct ListedProvider {
    /// Its name in the configuration.
    pub name: String,
    /// All that is known of it.
    pub known: KnownProvider,
    /// Its upstreams, each with true if only its name leads there.
    pub upstreams: Vec<(String, bool)>,
    /// The thing that is missing before it can be asked; `None` if nothing is.
    pub missing: Option<Missing>,
}

/// The thing that is missing before a provider can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Environment variables, each with its alternatives.
    Variables(Vec<Vec<String>>),
    /// A declaration of the upstream of this name, with these keys beside `provider`.
    Declaration(String, Vec<String>),
    /// Something else, in words.
    Other(String),
}

impl Missing {
    /// The same in fewer words, for a table whose rows have the provider's name: the first of several alternatives.
    #[must_use]
    pub fn brief(&self) -> String {
        match self {
            Self::Variables(variables) => {
                let first: Vec<_> = variables.iter().filter_map(|alternatives| alternatives.first().cloned()).collect();
                format!("set {}", list_in_words(&first, "and"))
            }
            Self::Declaration(_, keys) if keys.is_empty() => "declare".to_owned(),
            Self::Declaration(_, keys) => format!("declare with {}", list_in_words(keys, "and")),
            Self::Other(words) => words.clone(),
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variables(variables) => {
                let all: Vec<_> = variables.iter().map(|alternatives| list_in_words(alternatives, "or")).collect();
                write!(formatter, "set {}", list_in_words(&all, "and"))
            }
            Self::Declaration(name, _) => {
                let brief = self.brief();
                let with = brief.strip_prefix("declare").unwrap_or_default();
                write!(formatter, "declare [upstreams.{name}]{with}")
            }
            Self::Other(words) => formatter.write_str(words),
        }
    }
}

/// The circumstances on which the availability of providers depends.
pub(super) struct Availability<'a> {
    pub(super) providers: &'a Providers,
    pub(super) environment: &'a Environment,
    pub(super) upstreams: &'a ReadUpstreams,
    /// True if keys in the environment make upstreams.
    pub(super) upstreams_are_detected: bool,
    pub(super) today: Date,
}

impl Availability<'_> {
    /// The providers by name.
    pub(super) fn list(&self) -> Vec<ListedProvider> {
        let mut list = Vec::with_capacity(self.providers.len());
        for (name, known) in self.providers {
            let mut upstreams = Vec::new();
            for upstream in self.upstreams_of(name) {
                upstreams.push((upstream.name.clone(), upstream.by_name_only));
            }
            let missing = if upstreams.is_empty() { Some(self.missing(name, known)) } else { None };
            list.push(ListedProvider { name: name.clone(), known: known.clone(), upstreams, missing });
        }
        list
    }

    /// The providers without an upstream of their name and the upstreams that are left out, each with the way to get
    /// one.
    pub(super) fn absent_upstreams(&self) -> BTreeMap<String, AbsentUpstream> {
        let mut absent = BTreeMap::new();
        for (name, known) in self.providers {
            if self.upstreams.usable.iter().any(|upstream| upstream.name == *name) {
                continue;
            }
            let way_out = self.way_out(name, known);
            absent.insert(name.clone(), AbsentUpstream { is_left_out: false, way_out, models: self.models_of(name) });
        }
        for left_out in &self.upstreams.left_out {
            let models = self.models_of(&left_out.provider);
            let entry = AbsentUpstream { is_left_out: true, way_out: left_out.reason_in_words(), models };
            absent.insert(left_out.name.clone(), entry);
        }
        absent
    }

    fn upstreams_of(&self, provider: &str) -> impl Iterator<Item = &UpstreamSettings> {
        self.upstreams.usable.iter().filter(move |upstream| upstream.wire.name() == provider)
    }

    /// The models that a provider is known to have.
    fn models_of(&self, provider: &str) -> Vec<String> {
        match self.providers.get(provider) {
            Some(known) => known.facts.models.keys().cloned().collect(),
            None => Vec::new(),
        }
    }

    /// The way to get an upstream of a provider's name, in words.
    fn way_out(&self, name: &str, known: &KnownProvider) -> String {
        if let Some(other) = self.upstreams_of(name).next() {
            return format!("the upstream of this provider is called {0}, as in {0}/MODEL", other.name);
        }
        if let Some(reason) = self.obstacle(name, known) {
            return reason;
        }
        if let Some(variables) = self.missing_variables(name, known) {
            return format!("{} in rerankd's environment", Missing::Variables(variables));
        }
        let declaration = format!("declare [upstreams.{name}] with provider = \"{name}\"");
        let variables = list_in_words(&known.facts.key_variables, "or");
        match (known.facts.base_url.is_some(), variables.is_empty()) {
            (true, true) => format!("{declaration} and api_key"),
            (true, false) => format!("{declaration} and api_key, or {variables} in rerankd's environment"),
            // Software that one runs oneself has no customary key and no address of its own.
            (false, true) => format!("{declaration} and its base_url"),
            (false, false) => format!("{declaration}, its base_url and api_key"),
        }
    }

    /// The thing that is missing before a provider without an upstream can be asked.
    fn missing(&self, name: &str, known: &KnownProvider) -> Missing {
        if let Some(left_out) = self.upstreams.left_out.iter().find(|left_out| left_out.provider == name) {
            return Missing::Other(left_out.reason_in_words());
        }
        if let Some(reason) = self.obstacle(name, known) {
            return Missing::Other(reason);
        }
        if let Some(variables) = self.missing_variables(name, known) {
            return Missing::Variables(variables);
        }
        let mut keys = Vec::new();
        if known.facts.base_url.is_none() {
            keys.push("base_url".to_owned());
        }
        if known.needs_key() {
            keys.push("api_key".to_owned());
        }
        Missing::Declaration(name.to_owned(), keys)
    }

    /// The reason why neither a variable nor a declaration alone gives an upstream of this name.
    fn obstacle(&self, name: &str, known: &KnownProvider) -> Option<String> {
        if let Some(reason) = self.upstreams.unusable.get(name) {
            return Some(reason.clone());
        }
        let lifecycle = &known.facts.service_lifecycle;
        let end = lifecycle.retired_on.filter(|end| *end <= self.today)?;
        let successor = match &lifecycle.successor {
            Some(successor) => format!("; successor: {successor}"),
            None => String::new(),
        };
        Some(format!("retired on {}{successor}", end.as_str()))
    }

    /// The variables that are still to be set for an upstream of this name, each with its alternatives; `None` if none
    /// makes one.
    fn missing_variables(&self, name: &str, known: &KnownProvider) -> Option<Vec<Vec<String>>> {
        let is_service = matches!(known.about.group, Some(ProviderGroup::Hosted | ProviderGroup::Gateway));
        let can_be_detected = is_service && is_compiled_in(name) && known.facts.base_url.is_some();
        let keys = &known.facts.key_variables;
        if !self.upstreams_are_detected || !can_be_detected || keys.is_empty() {
            return None;
        }
        let mut variables = Vec::new();
        if !keys.iter().any(|variable| self.environment.is_filled(variable)) {
            variables.push(keys.clone());
        }
        for (_, variable) in &known.about.path_variables {
            if !self.environment.is_filled(variable) {
                variables.push(vec![variable.clone()]);
            }
        }
        (!variables.is_empty()).then_some(variables)
    }
}

impl LeftOutUpstream {
    fn reason_in_words(&self) -> String {
        format!("upstreams.{} is optional and has no key: {}", self.name, self.reason)
    }
}
