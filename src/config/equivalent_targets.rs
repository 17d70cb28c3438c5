//! The check of `scores`, by which targets claim to give the same scores.

use rerankd_core::embedded;
use rerankd_core::provider::{InstructionSupport, ScoreScale, Scoring};
use rerankd_core::route::settings::TargetSettings;
use rerankd_core::upstream::settings::LongPassages;

use super::models::ModelDraft;
use super::reader::Section;
use super::targets::KnownUpstreams;

/// Everything that a target's scores depend on, beside the texts and the model's weights.
/// [`TERMS_IN_WORDS`] names them.
#[derive(PartialEq)]
struct ScoreTerms<'a> {
    scale: ScoreScale,
    scoring: Scoring,
    instruction: InstructionSupport,
    limits_passage_tokens: bool,
    /// Scores of no version and of one never meet in an answer, and a hedge would mix them.
    tells_version: bool,
    long_passages: LongPassages,
    rejects_blank_passages: bool,
    revision: &'a str,
}

/// The fields of [`ScoreTerms`], by their keys where they have one.
const TERMS_IN_WORDS: &str = "scale, scoring, instruction, long_passages, limit of tokens, blank passages, revision \
                              and told version of the model";

impl<'a> ScoreTerms<'a> {
    /// The terms of a target; `None` if its upstream is not usable. That cannot happen: targets of faulty upstreams are
    /// not read, and the embedded scorer is refused before.
    fn of(target: &'a TargetSettings, upstreams: &KnownUpstreams<'_>) -> Option<Self> {
        let upstream = upstreams.find(&target.upstream)?;
        let (facts, _) = upstream.facts.model(&target.model);
        Some(Self {
            scale: facts.scale,
            scoring: facts.scoring,
            instruction: facts.instruction,
            limits_passage_tokens: upstream.wire.limits_passage_tokens(),
            tells_version: upstream.wire.tells_version(),
            long_passages: upstream.long_passages,
            rejects_blank_passages: upstream.facts.rejects_blank_passages,
            revision: &target.revision,
        })
    }
}

/// Reports targets that claim the same scores and differ in something that scores depend on. The claim holds across
/// models, and for shadows too: their scores are cached with the others.
pub(super) fn check_equivalent_targets(
    section: &Section<'_>,
    drafts: &[ModelDraft<'_>],
    upstreams: &KnownUpstreams<'_>,
) {
    let mut claimants: Vec<&TargetSettings> = Vec::new();
    for draft in drafts {
        for target in draft.targets.iter().chain(&draft.shadow_target) {
            if target.scores.is_none() {
                continue;
            }
            let address = format!("{}/{}", target.upstream, target.model);
            if target.upstream == embedded::NAME {
                let message = format!("{address}: nothing gives the same scores as the embedded scorer");
                section.fault(draft.name, message);
                continue;
            }
            // The first one stands for all: equality is transitive.
            let Some(first) = claimants.iter().find(|earlier| earlier.scores == target.scores) else {
                claimants.push(target);
                continue;
            };
            if ScoreTerms::of(first, upstreams) != ScoreTerms::of(target, upstreams) {
                section
                    .fault(draft.name, format!("{address}: targets of the same scores must agree in {TERMS_IN_WORDS}"));
            }
        }
    }
}
