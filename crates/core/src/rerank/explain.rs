//! Explanations of results, for requests that ask for them: the text that was scored, and why the lexical scorer found
//! it relevant. They are answers to the caller, so they may hold words of the query; logs may not.

use std::sync::Arc;

use faststr::FastStr;

use super::embedded_scoring::{lexical_scores, readable};
use super::plan::{Plan, ScoredPart};
use crate::blocking::offload::{OFFLOAD_LOCAL_BYTES, result_of};
use crate::route::{HybridParts, Target};
use crate::types::request::RerankRequest;
use crate::types::response::{CountingChunk, RankedPassage, ResultExplanation, ScoreSource};
use crate::upstream::call::Pairs;
use crate::upstream::in_process::PairReader;
use crate::upstream::size::estimate_tokens;
use crate::upstream::{Backend, LocalScorer};

/// Tokens of a pair that every reranker reads. Those of BERT's kind read the least, 512 (bge-reranker-base,
/// ms-marco-MiniLM, mxbai-rerank-base-v1).
const ALWAYS_READ_TOKENS: usize = 512;

/// Explains each result of `ranking`, which `plan` of a request to `target` gave. If the request is dropped, long work
/// ends at its next passage.
pub(super) async fn explain(
    plan: &Plan,
    target: &Target,
    request: &Arc<RerankRequest>,
    ranking: &[RankedPassage],
) -> Vec<ResultExplanation> {
    let mut explained = Explained { request, ranking, explanations: Vec::with_capacity(ranking.len()) };
    for ranked in ranking {
        let mut explanation = sent_part(plan, request, ranked);
        if !target.facts.scale.has_scores() {
            explanation.is_picked = ranked.score.map(|score| score > 0.0);
        }
        explained.explanations.push(explanation);
    }
    match &target.upstream.backend {
        Backend::Local(scorer) => {
            explained.cut_after(scorer.lexical.max_text_bytes());
            match &target.hybrid {
                Some(parts) => explained.read_in_head(plan, parts, scorer).await,
                None => explained.match_words(scorer).await,
            }
        }
        Backend::Stack(stack) => match &stack.pair_reader {
            Some(reader) => explained.read_by(reader, |_| true).await,
            None => explained.doubt(plan, target),
        },
    }
    explained.explanations
}

/// The explanation of one result, as far as rerankd alone decides what is scored.
fn sent_part(plan: &Plan, request: &RerankRequest, ranked: &RankedPassage) -> ResultExplanation {
    if matches!(ranked.source, ScoreSource::Blank | ScoreSource::Refused | ScoreSource::Unscored) {
        return ResultExplanation { is_truncated: Some(false), ..ResultExplanation::default() };
    }
    let text = request.passages.get(ranked.position).text;
    let ScoredPart { range, chunk, chunks } = plan.scored_part(&request.passages, ranked.position);
    ResultExplanation {
        scored_characters: text[range.clone()].chars().count(),
        is_truncated: Some(chunks == 1 && range.len() < text.len()),
        chunk: (chunks > 1).then_some(CountingChunk { number: chunk + 1, of: chunks }),
        matched_words: None,
        is_picked: None,
    }
}

/// The explanations of a ranking, to which each scorer adds what it knows.
struct Explained<'a> {
    request: &'a Arc<RerankRequest>,
    ranking: &'a [RankedPassage],
    /// One for each result, in the order of the ranking.
    explanations: Vec<ResultExplanation>,
}

impl Explained<'_> {
    /// The text of the passage that the result at `at` is about.
    fn text(&self, at: usize) -> &str {
        self.request.passages.get(self.ranking[at].position).text
    }

    /// Records that of longer passages the first `max_bytes` were scored.
    fn cut_after(&mut self, max_bytes: usize) {
        for at in 0..self.ranking.len() {
            if self.text(at).len() > max_bytes && self.explanations[at].scored_characters > 0 {
                self.record_bytes_read(at, self.text(at).floor_char_boundary(max_bytes));
            }
        }
    }

    /// Records that the first `bytes` of a whole passage were scored.
    fn record_bytes_read(&mut self, at: usize, bytes: usize) {
        let text = self.text(at);
        let scored_characters = text[..bytes].chars().count();
        let is_truncated = Some(bytes < text.len());
        let explanation = &mut self.explanations[at];
        explanation.scored_characters = scored_characters;
        explanation.is_truncated = is_truncated;
    }

    /// Records how much the cross-encoder read of the head of an embedded hybrid. The head is found anew: no score
    /// tells that it was in it.
    async fn read_in_head(&mut self, plan: &Plan, parts: &HybridParts, scorer: &LocalScorer) {
        let Some(reader) = &parts.cross_encoder.stack().pair_reader else { return };
        let lexical = lexical_scores(scorer, self.request.clone()).await;
        let head = parts.settings.mix.head(&lexical, readable(plan));
        // In ascending order, as the mix gives it.
        self.read_by(reader, |position| head.binary_search(&position).is_ok()).await;
    }

    /// Records how much `reader` reads of the passages at the positions that `is_read`.
    async fn read_by(&mut self, reader: &PairReader, is_read: impl Fn(usize) -> bool) {
        let mut read = Vec::new();
        let mut passages = Vec::new();
        for (at, ranked) in self.ranking.iter().enumerate() {
            if is_read(ranked.position) && self.explanations[at].scored_characters > 0 {
                read.push(at);
                passages.push(FastStr::new(self.text(at)));
            }
        }
        let lengths = reader.bytes_read(Pairs { query: self.request.query.to_string(), passages }).await;
        for (number, at) in read.into_iter().enumerate() {
            match lengths.get(number) {
                Some(bytes) => self.record_bytes_read(at, *bytes),
                None => self.explanations[at].is_truncated = None,
            }
        }
    }

    /// Records that a provider may have read less of the long texts than it was sent: few tell.
    fn doubt(&mut self, plan: &Plan, target: &Target) {
        let options = &self.request.options;
        let mut query_tokens = estimate_tokens(&self.request.query);
        if let Some(instruction) = &options.instruction {
            query_tokens += estimate_tokens(instruction);
        }
        let limit = options.max_tokens_per_doc.filter(|_| target.limits_passage_tokens());
        for (ranked, explanation) in self.ranking.iter().zip(&mut self.explanations) {
            if explanation.scored_characters == 0 || explanation.is_truncated != Some(false) {
                continue;
            }
            let text = self.request.passages.get(ranked.position).text;
            let sent = plan.scored_part(&self.request.passages, ranked.position).range;
            let tokens = estimate_tokens(&text[sent]);
            let is_over_limit = limit.is_some_and(|limit| tokens > limit as usize);
            if query_tokens + tokens > ALWAYS_READ_TOKENS || is_over_limit {
                explanation.is_truncated = None;
            }
        }
    }

    /// Adds the words of the query that each passage holds.
    async fn match_words(&mut self, scorer: &LocalScorer) {
        let positions = self.ranking.iter().map(|ranked| ranked.position).collect();
        let words = matched_words(scorer, self.request.clone(), positions).await;
        for (explanation, words) in self.explanations.iter_mut().zip(words) {
            explanation.matched_words = Some(words);
        }
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
