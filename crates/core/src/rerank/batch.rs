//! Cutting unknown passages into calls that the provider accepts.

use std::ops::Range;

use crate::upstream::size::{CallSize, estimate_tokens};

/// Limits of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallLimits {
    /// Most passages.
    pub passages: usize,
    /// Most tokens, the query counted once a passage.
    pub tokens: Option<usize>,
    /// Most bytes of passages.
    pub bytes: Option<usize>,
}

impl CallLimits {
    /// Returns true if a call of this size may be sent.
    #[must_use]
    pub fn admits(&self, call: &CallSize) -> bool {
        call.passages() <= self.passages
            && self.tokens.is_none_or(|limit| call.pair_tokens() <= limit)
            && self.bytes.is_none_or(|limit| call.passage_bytes() <= limit)
    }
}

/// Cuts `passages` into runs that respect `limits`, greedily and in order: full calls first, because some providers
/// bill by hundreds. A passage that is over a limit by itself gets a call of its own: the provider decides whether that
/// is too much.
#[must_use]
pub fn cut<'a>(query: &str, passages: impl Iterator<Item = &'a str>, limits: CallLimits) -> Vec<Range<usize>> {
    // Estimating tokens reads every text, so it is done only for a limit on tokens.
    let query_tokens = if limits.tokens.is_some() { estimate_tokens(query) } else { 0 };
    let mut calls = Vec::new();
    let mut start = 0;
    let mut end = 0;
    let mut tokens = 0;
    let mut bytes = 0;
    for passage in passages {
        let more_tokens = if limits.tokens.is_some() { query_tokens + estimate_tokens(passage) } else { 0 };
        let is_full = end - start >= limits.passages
            || limits.tokens.is_some_and(|limit| tokens + more_tokens > limit)
            || limits.bytes.is_some_and(|limit| bytes + passage.len() > limit);
        if is_full && end > start {
            calls.push(start..end);
            start = end;
            tokens = 0;
            bytes = 0;
        }
        end += 1;
        tokens += more_tokens;
        bytes += passage.len();
    }
    if end > start {
        calls.push(start..end);
    }
    calls
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NO_LIMITS: CallLimits = CallLimits { passages: usize::MAX, tokens: None, bytes: None };

    fn sizes(query: &str, passages: &[&str], limits: CallLimits) -> Vec<usize> {
        cut(query, passages.iter().copied(), limits).into_iter().map(|run| run.len()).collect()
    }

    #[test]
    fn passages_tokens_and_bytes_each_cut() {
        let passages = ["aaaaaa"; 7];
        assert_eq!(sizes("q", &passages, NO_LIMITS), [7]);
        assert_eq!(sizes("q", &passages, CallLimits { passages: 3, ..NO_LIMITS }), [3, 3, 1]);
        assert_eq!(sizes("q", &passages, CallLimits { bytes: Some(13), ..NO_LIMITS }), [2, 2, 2, 1]);
        // 1 token of query and 2 of passage, each time
        assert_eq!(sizes("q", &passages, CallLimits { tokens: Some(12), ..NO_LIMITS }), [4, 3]);
        assert_eq!(sizes("q", &[], NO_LIMITS), [0; 0]);
    }

    #[test]
    fn an_oversize_passage_travels_alone() {
        let limits = CallLimits { bytes: Some(4), ..NO_LIMITS };
        assert_eq!(sizes("q", &["a", "bbbbbbbb", "c", "d"], limits), [1, 1, 2]);
    }

    proptest! {
        #[test]
        fn calls_cover_every_passage_once_and_respect_the_limits(
            passages in proptest::collection::vec("[a가]{0,9}", 0..40),
            most in 1usize..9,
            tokens in 1usize..40,
            bytes in 1usize..60,
        ) {
            let limits = CallLimits { passages: most, tokens: Some(tokens), bytes: Some(bytes) };
            let calls = cut("qq", passages.iter().map(String::as_str), limits);
            let covered: Vec<_> = calls.iter().cloned().flatten().collect();
            prop_assert_eq!(covered, (0..passages.len()).collect::<Vec<_>>());
            for call in calls.into_iter().filter(|call| call.len() > 1) {
                let texts = &passages[call.clone()];
                prop_assert!(call.len() <= most);
                prop_assert!(texts.iter().map(String::len).sum::<usize>() <= bytes);
                prop_assert!(texts.iter().map(|text| 1 + estimate_tokens(text)).sum::<usize>() <= tokens);
            }
        }
    }
}
