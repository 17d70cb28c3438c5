//! The versions of an upstream's models, where its replies tell them. Scores of two versions are scores of two models:
//! a version is a part of the keys of scores ([`crate::cache::key::QueryKey::of_version`]).

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::cache::key::CacheScope;
use crate::types::model_version::ModelVersion;

/// Most models of one upstream whose versions are remembered. Clients invent names of models.
const MAX_VERSIONED_MODELS: usize = 1_000;

/// The version that the latest reply of a model told, for each caller. One caller's calls may be answered by another
/// version than another's (a gateway that falls back for some of them), and must not make the cached scores of the
/// other unknown.
#[derive(Debug, Default)]
pub struct LatestVersion(Mutex<ToldVersions>);

#[derive(Debug, Default)]
struct ToldVersions {
    /// There is a caller for each configured key that has been used.
    by_caller: HashMap<CacheScope, ModelVersion>,
    /// The version that is known to the log, and its name as log lines may show it.
    logged: (ModelVersion, String),
}

/// The latest versions of an upstream's models, by the upstream's names for these.
#[derive(Debug, Default)]
pub struct ModelVersions(Mutex<RememberedModels>);

#[derive(Debug, Default)]
struct RememberedModels {
    models: HashMap<String, RememberedModel>,
    /// Look-ups so far.
    lookups: u64,
}

#[derive(Debug)]
struct RememberedModel {
    version: Arc<LatestVersion>,
    /// Number of its latest look-up.
    used: u64,
}

impl LatestVersion {
    /// The latest version for `caller`; [`ModelVersion::NONE`] if none was told so far.
    #[must_use]
    pub fn get(&self, caller: CacheScope) -> ModelVersion {
        self.0.lock().by_caller.get(&caller).copied().unwrap_or_default()
    }

    /// Records the version of a reply to `caller`. Returns the one before it.
    pub(crate) fn replace(&self, caller: CacheScope, version: ModelVersion) -> ModelVersion {
        let mut told = self.0.lock();
        if let Some(known) = told.by_caller.get_mut(&caller) {
            return std::mem::replace(known, version);
        }
        if version != ModelVersion::NONE {
            told.by_caller.insert(caller, version);
        }
        ModelVersion::NONE
    }

    /// Records `name`, that of a `version` which came after `before`, for log lines. Returns the name to log it
    /// against; `None` if it is no change, or known to the log already.
    pub(crate) fn note(&self, before: ModelVersion, version: ModelVersion, name: &str) -> Option<String> {
        let mut told = self.0.lock();
        let is_first = before == ModelVersion::NONE;
        // A caller's first version is no change.
        if told.logged.0 == version || (is_first && told.logged.0 != ModelVersion::NONE) {
            return None;
        }
        let (_, old) = std::mem::replace(&mut told.logged, (version, name.to_owned()));
        (!is_first).then_some(old)
    }

    /// Returns true if no reply told a version.
    fn is_untold(&self) -> bool {
        self.0.lock().by_caller.is_empty()
    }
}

impl ModelVersions {
    /// The latest version of `model`. All who ask for one model share it, unless more models than can be remembered are
    /// in use: then each has its own, and learns the version by itself.
    #[must_use]
    pub fn of(&self, model: &str) -> Arc<LatestVersion> {
        let mut remembered = self.0.lock();
        remembered.lookups += 1;
        let used = remembered.lookups;
        if let Some(known) = remembered.models.get_mut(model) {
            known.used = used;
            return known.version.clone();
        }
        if remembered.models.len() >= MAX_VERSIONED_MODELS {
            remembered.evict();
        }
        let version = Arc::new(LatestVersion::default());
        if remembered.models.len() < MAX_VERSIONED_MODELS {
            let model = model.to_owned();
            remembered.models.insert(model, RememberedModel { version: version.clone(), used });
        }
        version
    }
}

impl RememberedModels {
    /// Forgets one of the models that nobody holds: of those without a version, else of all, the one that was asked for
    /// longest ago.
    fn evict(&mut self) {
        let idle = self.models.iter().filter(|(_, known)| Arc::strong_count(&known.version) == 1);
        let oldest = idle.min_by_key(|(_, known)| (!known.version.is_untold(), known.used));
        let Some((model, _)) = oldest else { return };
        let model = model.clone();
        self.models.remove(&model);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: CacheScope = CacheScope::SHARED;

    fn versions() -> [ModelVersion; 2] {
        ["1", "2"].map(|name| ModelVersion::of(Some(name)))
    }

    #[test]
    fn the_version_before_is_told_once() {
        let latest = LatestVersion::default();
        let [one, two] = versions();
        assert_eq!([latest.replace(ONE, one), latest.replace(ONE, one)], [ModelVersion::NONE, one]);
        assert_eq!([latest.replace(ONE, two), latest.replace(ONE, two), latest.get(ONE)], [one, two, two]);
    }

    #[test]
    fn one_callers_version_is_none_of_anothers() {
        let latest = LatestVersion::default();
        let other = CacheScope::of_caller("other");
        let [one, two] = versions();
        latest.replace(ONE, one);
        assert_eq!(latest.replace(other, two), ModelVersion::NONE);
        assert_eq!([latest.get(ONE), latest.get(other)], [one, two]);
    }

    #[test]
    fn a_change_is_logged_once_for_all_callers() {
        let latest = LatestVersion::default();
        let [one, two] = versions();
        let none = ModelVersion::NONE;
        assert_eq!(latest.note(none, one, "1"), None, "the first");
        assert_eq!(latest.note(none, one, "1"), None, "another caller's first");
        assert_eq!(latest.note(none, two, "2"), None, "a caller who never saw the one before");
        assert_eq!(latest.note(one, two, "2"), Some("1".to_owned()));
        assert_eq!(latest.note(one, two, "2"), None, "another caller's change");
        assert_eq!(latest.note(two, none, "not told"), Some("2".to_owned()));
        assert_eq!(latest.note(none, one, "1"), None);
        assert_eq!(latest.note(one, two, "2"), Some("1".to_owned()));
    }

    #[test]
    fn invented_models_do_not_grow_what_is_remembered() {
        let versions = ModelVersions::default();
        let [one, _] = self::versions();
        let configured = versions.of("configured");
        versions.of("told").replace(ONE, one);
        for number in 0..3 * MAX_VERSIONED_MODELS {
            let _ = versions.of(&format!("invented {number}"));
        }
        assert!(versions.0.lock().models.len() <= MAX_VERSIONED_MODELS);
        assert!(Arc::ptr_eq(&configured, &versions.of("configured")));
        assert_eq!(versions.of("told").get(ONE), one);
    }

    /// An upstream that answers any name told a version for each, and no model after them was ever remembered.
    #[test]
    fn invented_models_with_versions_make_way_for_others() {
        let versions = ModelVersions::default();
        let [one, _] = self::versions();
        let configured = versions.of("configured");
        for number in 0..MAX_VERSIONED_MODELS + 10 {
            versions.of(&format!("invented {number}")).replace(ONE, one);
            if number == MAX_VERSIONED_MODELS / 2 {
                versions.of("direct").replace(ONE, one);
            }
        }
        assert_eq!(versions.of("direct").get(ONE), one);
        versions.of("late").replace(ONE, one);
        assert_eq!(versions.of("late").get(ONE), one);
        assert!(Arc::ptr_eq(&configured, &versions.of("configured")));
        assert!(versions.0.lock().models.len() <= MAX_VERSIONED_MODELS);
    }
}
