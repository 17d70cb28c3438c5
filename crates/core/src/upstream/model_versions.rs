//! The versions of an upstream's models, where its replies tell them. Scores of two versions are scores of two models:
//! a version is a part of the keys of scores ([`crate::cache::key::QueryKey::of_version`]).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use secrecy::ExposeSecret;

use super::{ScoringStack, redact};
use crate::types::model_version::ModelVersion;

/// Most models of one upstream whose versions are remembered. Clients invent names of models.
const MAX_VERSIONED_MODELS: usize = 1_000;

/// The version that the latest reply of a model told. Read once a request, without a lock.
#[derive(Debug, Default)]
pub struct LatestVersion {
    hash: AtomicU64,
    /// The name as log lines may show it.
    shown: Mutex<String>,
}

/// The latest versions of an upstream's models, by the upstream's names for these.
#[derive(Debug, Default)]
pub struct ModelVersions(Mutex<HashMap<String, Arc<LatestVersion>>>);

impl LatestVersion {
    /// The latest version; [`ModelVersion::NONE`] if none was told so far.
    #[must_use]
    pub fn get(&self) -> ModelVersion {
        // No other memory is ordered by it: what a reply taught reaches requests through locks.
        ModelVersion::of_hash(self.hash.load(Ordering::Relaxed))
    }

    /// Records the version of a reply. Returns the one before it.
    pub(crate) fn replace(&self, version: ModelVersion) -> ModelVersion {
        if self.get() == version {
            return version;
        }
        ModelVersion::of_hash(self.hash.swap(version.hash(), Ordering::Relaxed))
    }

    /// Records the name of the latest version for log lines. Returns the one before it.
    pub(crate) fn show(&self, name: String) -> String {
        std::mem::replace(&mut *self.shown.lock(), name)
    }
}

impl ScoringStack {
    /// The name of a version as a log line may show it. One that quotes a key or one of `texts` is told by a hash.
    #[must_use]
    pub fn shown_version<'a>(&self, name: &str, texts: &(impl Iterator<Item = &'a str> + Clone)) -> String {
        let secrets = self.keys.secrets();
        let plain: Vec<&str> = secrets.iter().map(ExposeSecret::expose_secret).collect();
        if redact::quotes(name, texts, &plain) {
            return format!("{:016x}", ModelVersion::of(Some(name)).hash());
        }
        redact::shortened(name)
    }
}

impl ModelVersions {
    /// The latest version of `model`. All who ask for one model share it, unless more models than can be remembered are
    /// in use: then each has its own, and learns the version by itself.
    #[must_use]
    pub fn of(&self, model: &str) -> Arc<LatestVersion> {
        let mut versions = self.0.lock();
        if let Some(known) = versions.get(model) {
            return known.clone();
        }
        if versions.len() >= MAX_VERSIONED_MODELS {
            versions.retain(|_, known| Arc::strong_count(known) > 1 || known.get() != ModelVersion::NONE);
        }
        let fresh = Arc::new(LatestVersion::default());
        if versions.len() < MAX_VERSIONED_MODELS {
            versions.insert(model.to_owned(), fresh.clone());
        }
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_before_is_told_once() {
        let latest = LatestVersion::default();
        let [one, two] = ["1", "2"].map(|name| ModelVersion::of(Some(name)));
        assert_eq!([latest.replace(one), latest.replace(one)], [ModelVersion::NONE, one]);
        assert_eq!([latest.replace(two), latest.replace(two), latest.get()], [one, two, two]);
    }

    #[test]
    fn invented_models_do_not_grow_what_is_remembered() {
        let versions = ModelVersions::default();
        let configured = versions.of("configured");
        versions.of("told").replace(ModelVersion::of(Some("1")));
        for number in 0..3 * MAX_VERSIONED_MODELS {
            let _ = versions.of(&format!("invented {number}"));
        }
        assert!(versions.0.lock().len() <= MAX_VERSIONED_MODELS);
        assert!(Arc::ptr_eq(&configured, &versions.of("configured")));
        assert_eq!(versions.of("told").get(), ModelVersion::of(Some("1")));
    }
}
