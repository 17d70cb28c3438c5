//! The properties of a target and a client that decide how a request is planned.

use crate::cache::control::CacheControl;
use crate::cache::key::{CacheScope, ScoreSpace};
use crate::provider::Scoring;
use crate::route::Target;
use crate::types::model_version::ModelVersion;
use crate::upstream::settings::LongPassages;

/// The properties of a target and a client that a plan depends on, beside the request.
#[derive(Clone, Debug)]
pub struct PlanContext {
    /// Identity of the target's scores; part of every key.
    pub space: ScoreSpace,
    /// Version of the target's model, as far as it is known; part of every key.
    pub version: ModelVersion,
    /// Dependence of scores on the other passages of the list.
    pub scoring: Scoring,
    /// True if the upstream must not see blank passages. They get the floor of the scale, or no score if it has none.
    pub rejects_blanks: bool,
    /// Treatment of long passages by a pointwise model.
    pub long_passages: LongPassages,
    /// Callers whose cached scores may be used.
    pub scope: CacheScope,
    /// The client's cache directives.
    pub control: CacheControl,
}

impl PlanContext {
    /// The context of a request to `target`.
    pub(super) fn of(target: &Target, scope: CacheScope, control: CacheControl) -> Self {
        Self {
            space: target.space.clone(),
            version: target.version.get(scope),
            scoring: target.facts.scoring,
            rejects_blanks: target.rejects_blank_passages(),
            long_passages: target.long_passages(),
            scope,
            control,
        }
    }
}
