//! Explanations of results, for requests that ask for them: the text that was scored, and why the lexical scorer found
//! it relevant. They are answers to the caller, so they may hold words of the query; logs may not.

use std::sync::Arc;

use super::plan::{Plan, ScoredPart};
use crate::blocking::offload::{OFFLOAD_LOCAL_BYTES, result_of};
use crate::route::Target;
use crate::types::passages::Passages;
use crate::types::request::RerankRequest;
use crate::types::response::{CountingChunk, RankedPassage, ResultExplanation, ScoreSource};
use crate::upstream::{Backend, LocalScorer};

/// Explains each result of `ranking`, which `plan` of a request to `target` gave. If the request is dropped, long work
/// ends at its next passage.
pub(super) async fn explain(
    plan: &Plan,
    target: &Target,
    request: &Arc<RerankRequest>,
    ranking: &[RankedPassage],
) -> Vec<ResultExplanation> {
    let lexical = match &target.upstream.backend {
        Backend::Local(scorer) if target.answers_at_once() => Some(&**scorer),
        _ => None,
    };
    let mut explanations = Vec::with_capacity(ranking.len());
    for ranked in ranking {
        let mut explanation = explanation(plan, &request.passages, ranked, lexical);
        if !target.facts.scale.has_scores() {
            explanation.is_picked = ranked.score.map(|score| score > 0.0);
        }
        explanations.push(explanation);
    }
    if let Some(scorer) = lexical {
        let positions: Vec<usize> = ranking.iter().map(|ranked| ranked.position).collect();
        let words = matched_words(scorer, request.clone(), positions).await;
        for (explanation, words) in explanations.iter_mut().zip(words) {
            explanation.matched_words = Some(words);
        }
    }
    explanations
}

/// The explanation of one result, without the words.
fn explanation(
    plan: &Plan,
    passages: &Passages,
    ranked: &RankedPassage,
    lexical: Option<&LocalScorer>,
) -> ResultExplanation {
    if matches!(ranked.source, ScoreSource::Blank | ScoreSource::Refused | ScoreSource::Unscored) {
        return ResultExplanation::default();
    }
    let text = passages.get(ranked.position).text;
    let ScoredPart { range, chunk, chunks } = plan.scored_part(passages, ranked.position);
    let mut scored = &text[range];
    if let Some(scorer) = lexical {
        scored = &scored[..scored.floor_char_boundary(scorer.lexical.max_text_bytes())];
    }
    ResultExplanation {
        scored_characters: scored.chars().count(),
        is_truncated: chunks == 1 && scored.len() < text.len(),
        chunk: (chunks > 1).then_some(CountingChunk { number: chunk + 1, of: chunks }),
        matched_words: None,
        is_picked: None,
    }
}

/// The words of the query in the passages at `positions`. Of long lists they are searched on a worker.
async fn matched_words(scorer: &LocalScorer, request: Arc<RerankRequest>, positions: Vec<usize>) -> Vec<Vec<String>> {
    let lexical = scorer.lexical.clone();
    let is_short = request.text_bytes() <= OFFLOAD_LOCAL_BYTES;
    let words_while = move |is_wanted: &dyn Fn() -> bool| {
        let passages: Vec<&str> = positions.iter().map(|position| request.passages.get(*position).text).collect();
        lexical.matched_words(&request.query, &passages, is_wanted).unwrap_or_default()
    };
    if is_short {
        return words_while(&|| true);
    }
    result_of(scorer.workers.run(move |caller| words_while(&|| !caller.is_cancelled()))).await
}
