//! "Too large": how it is told, and what is learnt from it.
//!
//! Limits of providers are many, partly undocumented, and change. A refusal for size is therefore an answer, not a failure: the call is cut
//! in two, and the upstream is not sent such a call again for a while.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// What there was too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oversize {
    /// Passages.
    Passages,
    /// Bytes or tokens, of all passages or of one.
    Text,
}

/// Words by which refusals for size are known, in lower case. Hosted APIs word them freely; these are from TEI, vLLM, llama.cpp, Voyage,
/// Jina and Cohere.
const TEXT_SIGNS: [&str; 16] = [
    "too large",
    "too long",
    "too big",
    "too many tokens",
    "token limit",
    "token_limit",
    "maximum context length",
    "max context length",
    "context window",
    "maximum number of tokens",
    "max allowed tokens",
    "maximum allowed tokens",
    "must have less than",
    "reduce the length",
    "tokens exceed",
    "length exceed",
];
const PASSAGES_SIGNS: [&str; 7] = [
    "batch size",
    "too many documents",
    "too many texts",
    "too many inputs",
    "number of documents",
    "number of texts",
    "number of inputs",
];

/// Whether a refusal with this status and these words is one for size, and what there was too much of.
///
/// Besides the refusals of HTTP, 500 is looked at: llama.cpp answers so when an input is over its physical batch.
#[must_use]
pub fn oversize(status: u16, said: Option<&str>) -> Option<Oversize> {
    if !matches!(status, 400 | 413 | 422 | 500) {
        return None;
    }
    let said = said.unwrap_or_default().to_lowercase();
    let has = |signs: &[&str]| signs.iter().any(|sign| said.contains(sign));
    // llama.cpp advises to "increase the physical batch size" where an input is too large.
    if has(&PASSAGES_SIGNS) && !said.contains("physical batch") {
        return Some(Oversize::Passages);
    }
    (status == 413 || has(&TEXT_SIGNS)).then_some(Oversize::Text)
}

/// After this long a learnt limit is doubled, and so on: what was too large once need not be so for ever.
const DECAY: Duration = Duration::from_mins(10);

/// Limits that an upstream taught us.
#[derive(Debug, Default)]
pub struct LearntLimits(Mutex<Learnt>);

#[derive(Clone, Copy, Debug, Default)]
struct Learnt {
    passages: Option<Limit>,
    bytes: Option<Limit>,
}

#[derive(Clone, Copy, Debug)]
struct Limit {
    most: usize,
    at: Instant,
}

impl LearntLimits {
    /// Calls were refused, and parts of them accepted: of at most so many passages, and so many bytes of text.
    pub fn learn(&self, oversize: Oversize, passages: usize, bytes: usize, now: Instant) {
        let mut learnt = self.0.lock();
        match oversize {
            Oversize::Passages => lower(&mut learnt.passages, passages, now),
            Oversize::Text => lower(&mut learnt.bytes, bytes, now),
        }
    }

    /// Most passages of one call, if that was learnt.
    #[must_use]
    pub fn passages(&self, now: Instant) -> Option<usize> {
        self.0.lock().passages.map(|limit| limit.relaxed(now))
    }

    /// Most bytes of text in one call, if that was learnt.
    #[must_use]
    pub fn bytes(&self, now: Instant) -> Option<usize> {
        self.0.lock().bytes.map(|limit| limit.relaxed(now))
    }
}

fn lower(limit: &mut Option<Limit>, most: usize, now: Instant) {
    if limit.is_none_or(|limit| limit.relaxed(now) > most) {
        *limit = Some(Limit { most: most.max(1), at: now });
    }
}

impl Limit {
    fn relaxed(self, now: Instant) -> usize {
        let age = now.saturating_duration_since(self.at);
        let doublings = u32::try_from(age.as_secs() / DECAY.as_secs()).unwrap_or(u32::MAX);
        1usize.checked_shl(doublings).and_then(|factor| self.most.checked_mul(factor)).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_for_size_are_known_by_their_words() {
        for (status, said, sign) in [
            (413, None, Some(Oversize::Text)),
            (413, Some("`inputs` must have less than 512 tokens. Given: 3111"), Some(Oversize::Text)),
            (422, Some("batch size 33 > maximum allowed batch size 32"), Some(Oversize::Passages)),
            (
                400,
                Some("This model's maximum context length is 8192 tokens. However, you requested 9001"),
                Some(Oversize::Text),
            ),
            (
                400,
                Some("The max allowed tokens per submitted batch is 600000. Your batch has 700000 tokens"),
                Some(Oversize::Text),
            ),
            (400, Some("INPUT_TOKEN_LIMIT_EXCEEDED"), Some(Oversize::Text)),
            (400, Some("too many documents: 12000"), Some(Oversize::Passages)),
            (500, Some("input is too large to process. increase the physical batch size"), Some(Oversize::Text)),
            (500, Some("internal error"), None),
            (400, Some("invalid model"), None),
            (400, None, None),
            (429, Some("too many tokens this minute"), None),
            (503, Some("too large"), None),
        ] {
            assert_eq!(oversize(status, said), sign, "{status} {said:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn limits_are_learnt_and_forgotten_by_and_by() {
        let limits = LearntLimits::default();
        assert_eq!(limits.passages(Instant::now()), None);
        limits.learn(Oversize::Passages, 50, 9_000, Instant::now());
        limits.learn(Oversize::Passages, 100, 9_000, Instant::now());
        assert_eq!(limits.passages(Instant::now()), Some(50), "what is known to be too much stays so");
        assert_eq!(limits.bytes(Instant::now()), None, "of bytes there were not too many");
        limits.learn(Oversize::Text, 10, 2_000, Instant::now());
        assert_eq!(limits.bytes(Instant::now()), Some(2_000));
        tokio::time::advance(DECAY).await;
        assert_eq!((limits.passages(Instant::now()), limits.bytes(Instant::now())), (Some(100), Some(4_000)));
        tokio::time::advance(DECAY * 100).await;
        assert_eq!(limits.passages(Instant::now()), Some(usize::MAX));
    }
}
