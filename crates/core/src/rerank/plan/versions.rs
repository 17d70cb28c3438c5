//! The version of the model that the scores of a plan are of. All are of one (law 2).

use super::Plan;
use crate::types::model_version::ModelVersion;
use crate::types::response::ScoreSource;

/// The versions of one plan.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlanVersions {
    /// The version of the plan's keys.
    planned: ModelVersion,
    /// The version of its scores: the planned one, or another that came before any score was there.
    of_scores: ModelVersion,
    /// True if scores of two versions came.
    are_mixed: bool,
}

impl PlanVersions {
    /// The versions of a plan without scores.
    pub(super) const fn of(planned: ModelVersion) -> Self {
        Self { planned, of_scores: planned, are_mixed: false }
    }
}

impl Plan {
    /// The version of the model that the plan's keys are for.
    #[must_use]
    pub const fn planned_version(&self) -> ModelVersion {
        self.versions.planned
    }

    /// Takes in that scores of `version` come, `None` for the planned one. Returns false if the plan has scores of
    /// another version already: it must not learn these, and its request must be planned anew.
    pub fn admit_version(&mut self, version: Option<ModelVersion>) -> bool {
        let version = version.unwrap_or(self.versions.planned);
        if version == self.versions.of_scores {
            return true;
        }
        for pair in &self.pairs {
            if pair.score.is_some() && pair.source != ScoreSource::Blank {
                self.versions.are_mixed = true;
                return false;
            }
        }
        self.versions.of_scores = version;
        // They are of the planned version.
        self.stale.clear();
        true
    }

    /// Takes in that pairs were scored by another version than others of this plan.
    pub fn mix_versions(&mut self) {
        self.versions.are_mixed = true;
    }

    /// Returns true if scores of two versions came, of which the plan has learnt one.
    #[must_use]
    pub const fn mixes_versions(&self) -> bool {
        self.versions.are_mixed
    }
}
