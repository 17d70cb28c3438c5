//! The version of a model, where its upstream tells one. Scores of two versions are scores of two models.

/// A model's version, as a hash of the name that its upstream gives it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ModelVersion(u64);

impl ModelVersion {
    /// The version of a model whose upstream tells none.
    pub const NONE: Self = Self(0);

    /// The version that a reply tells by this name.
    #[must_use]
    pub fn of(name: Option<&str>) -> Self {
        let Some(name) = name else { return Self::NONE };
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&blake3::hash(name.as_bytes()).as_bytes()[..8]);
        // 0 is taken.
        Self(u64::from_le_bytes(bytes).max(1))
    }

    /// The version of this [`Self::hash`].
    #[must_use]
    pub const fn of_hash(hash: u64) -> Self {
        Self(hash)
    }

    /// The hash; 0 if the upstream tells no version.
    #[must_use]
    pub const fn hash(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_differ_are_other_versions_and_no_name_is_none() {
        assert_eq!(ModelVersion::of(None), ModelVersion::NONE);
        assert_eq!(ModelVersion::of(Some("2026-09-01")), ModelVersion::of(Some("2026-09-01")));
        let mut seen = vec![ModelVersion::NONE];
        for name in ["", "1", "2", "2026-09-01"] {
            let version = ModelVersion::of(Some(name));
            assert!(!seen.contains(&version), "{name}");
            seen.push(version);
        }
    }
}
