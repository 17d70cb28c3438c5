//! The keys of an upstream: references to secrets, and the way to read them again.

use rerankd_core::provider::{Provider, ProviderFacts};
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
    pub(super) missing: Vec<String>,
}

impl UpstreamKeys {
    /// A reader of those keys that come from files; `None` if none does.
    pub(super) fn reader(&self) -> Option<KeyReader> {
        if !self.references.iter().any(|reference| secret::is_file(reference)) {
            return None;
        }
        let references = self.references.clone();
        Some(KeyReader::new(move |number| {
            let reference = references.get(number).filter(|reference| secret::is_file(reference))?;
            secret::resolve(reference, &Environment::new()).ok()
        }))
    }
}

impl Upstreams<'_> {
    /// The keys of `api_keys`, else the one of `api_key`. Reports what is wrong; a key that is missing is up to the
    /// caller.
    pub(super) fn declared_keys(&self, section: &Section<'_>) -> UpstreamKeys {
        let one = section.read("api_key", |value| self.resolve_all(&[text(value)?]));
        let several = section.read("api_keys", |value| self.resolve_all(&texts(value)?));
        if section.has("api_key") && section.has("api_keys") {
            section.fault("api_keys", "api_key is given too; put all keys here");
        }
        several.or(one).unwrap_or_default()
    }

    /// The keys behind `references`.
    ///
    /// # Errors
    /// The messages of all references that are wrong, one after the other.
    fn resolve_all(&self, references: &[String]) -> Result<UpstreamKeys, String> {
        let mut keys = UpstreamKeys::default();
        let mut wrong = Vec::new();
        for reference in references {
            match secret::resolve(reference, self.environment) {
                Ok(key) => {
                    keys.found.push(key);
                    keys.references.push(reference.clone());
                }
                Err(SecretFault::Missing(reason)) => keys.missing.push(reason),
                Err(SecretFault::Wrong(reason)) => wrong.push(reason),
            }
        }
        if wrong.is_empty() { Ok(keys) } else { Err(wrong.join("; ")) }
    }

    /// The key in the first of the provider's customary variables that is set. Reports if it is wrong.
    pub(super) fn customary_key(
        &self,
        provider: &dyn Provider,
        facts: &ProviderFacts,
        section: &Section<'_>,
    ) -> UpstreamKeys {
        let Some(variable) = detect::key_variable(self.table, provider.name(), self.environment) else {
            let variables = facts.key_variables.join(" or ");
            let reason = format!("is missing: say \"env:NAME\" or \"file:/path\", or set {variables}");
            return UpstreamKeys { missing: vec![reason], ..UpstreamKeys::default() };
        };
        section.value_or_fault("api_key", self.resolve_all(&[format!("env:{variable}")])).unwrap_or_default()
    }
}
