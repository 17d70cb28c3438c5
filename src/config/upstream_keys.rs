//! The keys of an upstream: references to secrets, and the way to read them again.

use rerankd_core::provider::{ProviderFacts, Wire};
use rerankd_core::upstream::key_reader::KeyReader;
use secrecy::SecretString;

use super::reader::{Section, text, texts};
use super::secret::{self, SecretFault};
use super::upstreams::Upstreams;
use super::{Environment, detect};

/// The keys of an upstream, and the reasons why others are not there.
#[derive(Default)]
pub(super) struct UpstreamKeys {
    pub(super) found: Vec<SecretString>,
    /// The reference to each key that was found.
    references: Vec<String>,
    /// The reasons why others are not there; empty unless the upstream is optional.
    missing: Vec<String>,
}

impl UpstreamKeys {
    /// A reader of those keys that come from files; `None` if none does.
    pub(super) fn reader(&self) -> Option<KeyReader> {
        let of_files: Vec<bool> = self.references.iter().map(|reference| secret::is_file(reference)).collect();
        if !of_files.contains(&true) {
            return None;
        }
        let references = self.references.clone();
        Some(KeyReader::new(of_files, move |number| secret::resolve(references.get(number)?, &Environment::new()).ok()))
    }
}

impl UpstreamKeys {
    /// The reason to leave the upstream out, which is that all its keys are missing; `None` if it can be used. Warns of
    /// every key that is missing.
    pub(super) fn reason_to_leave_out(&self, section: &Section<'_>) -> Option<String> {
        if self.missing.is_empty() {
            return None;
        }
        let reason = self.missing.join("; ");
        if !self.found.is_empty() {
            section.warn("api_keys", format!("{reason}; the other keys are used"));
            return None;
        }
        section.warn_of_table(format!("left out, for it is optional and {reason}; targets there are skipped"));
        Some(reason)
    }
}

impl Upstreams<'_> {
    /// The keys of `api_keys`, else the one of `api_key`. Reports what is wrong, and unless the upstream is optional
    /// what is missing.
    pub(super) fn declared_keys(&self, section: &Section<'_>, is_optional: bool) -> UpstreamKeys {
        let one = section.read("api_key", |value| self.resolve_all(&[text(value)?], is_optional));
        let several = section.read("api_keys", |value| self.resolve_all(&texts(value)?, is_optional));
        if section.has("api_key") && section.has("api_keys") {
            section.fault("api_keys", "api_key is given too; put all keys here");
        }
        several.or(one).unwrap_or_default()
    }

    /// The keys behind `references`.
    ///
    /// # Errors
    /// The messages of all references that are wrong, one after the other. A missing key is wrong, too, unless
    /// `may_be_missing`.
    fn resolve_all(&self, references: &[String], may_be_missing: bool) -> Result<UpstreamKeys, String> {
        let mut keys = UpstreamKeys::default();
        let mut wrong: Vec<String> = Vec::new();
        for reference in references {
            match secret::resolve(reference, self.environment) {
                Ok(key) => {
                    keys.found.push(key);
                    keys.references.push(reference.clone());
                }
                Err(SecretFault::Missing(reason)) if may_be_missing => keys.missing.push(reason),
                Err(fault) => wrong.push(fault.into()),
            }
        }
        if wrong.is_empty() { Ok(keys) } else { Err(wrong.join("; ")) }
    }

    /// The key in the first of the provider's customary variables that is set. Reports if it is wrong, and unless the
    /// upstream is optional if none is set.
    pub(super) fn customary_key(
        &self,
        wire: &Wire,
        facts: &ProviderFacts,
        section: &Section<'_>,
        is_optional: bool,
    ) -> UpstreamKeys {
        if let Some(variable) = detect::key_variable(self.table, wire.name(), self.environment) {
            let key = self.resolve_all(&[format!("env:{variable}")], is_optional);
            return section.value_or_fault("api_key", key).unwrap_or_default();
        }
        let variables = facts.key_variables.join(" or ");
        if is_optional {
            let reason = format!("environment variable {variables} is not set");
            return UpstreamKeys { missing: vec![reason], ..UpstreamKeys::default() };
        }
        section.fault("api_key", format!("is missing: say \"env:NAME\" or \"file:/path\", or set {variables}"));
        UpstreamKeys::default()
    }
}
