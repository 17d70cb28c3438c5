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
    /// Most characters, the query counted once.
    pub characters: Option<usize>,
}

impl CallLimits {
    /// No limit in any unit.
    pub const NONE: Self = Self { passages: usize::MAX, tokens: None, bytes: None, characters: None };

    /// Returns true if a call of this size may be sent.
    #[must_use]
    pub fn admits(&self, call: &CallSize) -> bool {
        call.passages() <= self.passages
            && self.tokens.is_none_or(|limit| call.pair_tokens() <= limit)
            && self.bytes.is_none_or(|limit| call.passage_bytes() <= limit)
            && self.characters.is_none_or(|limit| call.characters() <= limit)
    }

    /// Returns true if every text must be read to cut by these limits.
    #[must_use]
    pub fn read_texts(&self) -> bool {
        self.tokens.is_some() || self.characters.is_some()
    }
}

/// A call that is being filled with passages, measured in the limited units alone: to count the tokens or the
/// characters of a text is to read it.
#[derive(Debug)]
pub struct FillingCall {
    limits: CallLimits,
    /// Tokens of the query; 0 without a limit on them.
    query_tokens: usize,
    /// Characters of the query; 0 without a limit on them.
    query_characters: usize,
    /// Number of passages.
    passages: usize,
    /// The passages so far, with the query once a passage in tokens.
    filled: PairSize,
}

/// Sizes that a passage adds to a call; 0 in units without a limit.
#[derive(Clone, Copy, Debug, Default)]
struct PairSize {
    /// Tokens of the passage and the query.
    tokens: usize,
    /// Bytes of the passage.
    bytes: usize,
    /// Characters of the passage.
    characters: usize,
}

impl FillingCall {
    /// A call for `query` that holds no passage yet.
    #[must_use]
    pub fn new(query: &str, limits: CallLimits) -> Self {
        Self {
            limits,
            query_tokens: if limits.tokens.is_some() { estimate_tokens(query) } else { 0 },
            query_characters: if limits.characters.is_some() { query.chars().count() } else { 0 },
            passages: 0,
            filled: PairSize::default(),
        }
    }

    /// Adds a passage, also one that is over a limit.
    pub fn add(&mut self, passage: &str) {
        self.fill(self.size_of(passage));
    }

    /// Adds a passage if that keeps the limits. Returns false if it does not.
    pub fn try_add(&mut self, passage: &str) -> bool {
        let size = self.size_of(passage);
        let has_room = self.has_room_for(size);
        if has_room {
            self.fill(size);
        }
        has_room
    }

    fn size_of(&self, passage: &str) -> PairSize {
        PairSize {
            tokens: if self.limits.tokens.is_some() { self.query_tokens + estimate_tokens(passage) } else { 0 },
            bytes: passage.len(),
            characters: if self.limits.characters.is_some() { passage.chars().count() } else { 0 },
        }
    }

    fn has_room_for(&self, size: PairSize) -> bool {
        let CallLimits { passages, tokens, bytes, characters } = self.limits;
        self.passages < passages
            && tokens.is_none_or(|limit| self.filled.tokens + size.tokens <= limit)
            && bytes.is_none_or(|limit| self.filled.bytes + size.bytes <= limit)
            && characters.is_none_or(|limit| self.query_characters + self.filled.characters + size.characters <= limit)
    }

    fn fill(&mut self, size: PairSize) {
        self.passages += 1;
        self.filled.tokens += size.tokens;
        self.filled.bytes += size.bytes;
        self.filled.characters += size.characters;
    }

    /// Takes all passages out.
    fn empty(&mut self) {
        self.passages = 0;
        self.filled = PairSize::default();
    }
}

/// Cuts `passages` into runs that respect `limits`, greedily and in order: full calls first, because some providers
/// bill by hundreds. A passage that is over a limit by itself gets a call of its own: the provider decides whether that
/// is too much.
#[must_use]
pub fn cut<'a>(query: &str, passages: impl Iterator<Item = &'a str>, limits: CallLimits) -> Vec<Range<usize>> {
    let mut calls = Vec::new();
    let mut call = FillingCall::new(query, limits);
    let mut start = 0;
    let mut end = 0;
    for passage in passages {
        let size = call.size_of(passage);
        if end > start && !call.has_room_for(size) {
            calls.push(start..end);
            start = end;
            call.empty();
        }
        call.fill(size);
        end += 1;
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
    use crate::upstream::size::TextSize;

    fn sizes(query: &str, passages: &[&str], limits: CallLimits) -> Vec<usize> {
        cut(query, passages.iter().copied(), limits).into_iter().map(|run| run.len()).collect()
    }

    #[test]
    fn passages_tokens_bytes_and_characters_each_cut() {
        let passages = ["aaaaaa"; 7];
        assert_eq!(sizes("q", &passages, CallLimits::NONE), [7]);
        assert_eq!(sizes("q", &passages, CallLimits { passages: 3, ..CallLimits::NONE }), [3, 3, 1]);
        assert_eq!(sizes("q", &passages, CallLimits { bytes: Some(13), ..CallLimits::NONE }), [2, 2, 2, 1]);
        // 1 token of query and 2 of passage, each time
        assert_eq!(sizes("q", &passages, CallLimits { tokens: Some(12), ..CallLimits::NONE }), [4, 3]);
        // 1 character of query, once a call
        assert_eq!(sizes("q", &passages, CallLimits { characters: Some(19), ..CallLimits::NONE }), [3, 3, 1]);
        assert_eq!(sizes("qq", &passages, CallLimits { characters: Some(19), ..CallLimits::NONE }), [2, 2, 2, 1]);
        // However many bytes each takes.
        let passages = ["가나다라마바"; 7];
        assert_eq!(sizes("큐", &passages, CallLimits { characters: Some(19), ..CallLimits::NONE }), [3, 3, 1]);
        assert_eq!(sizes("q", &[], CallLimits::NONE), [0; 0]);
    }

    #[test]
    fn an_oversize_passage_travels_alone() {
        let limits = CallLimits { bytes: Some(4), ..CallLimits::NONE };
        assert_eq!(sizes("q", &["a", "bbbbbbbb", "c", "d"], limits), [1, 1, 2]);
        let limits = CallLimits { characters: Some(5), ..CallLimits::NONE };
        assert_eq!(sizes("q", &["a", "bbbbbbbb", "c", "d"], limits), [1, 1, 2]);
    }

    proptest! {
        #[test]
        fn calls_cover_every_passage_once_and_respect_the_limits(
            query in "[a가]{0,5}",
            passages in proptest::collection::vec("[a가]{0,9}", 0..40),
            most in 1usize..9,
            tokens in 1usize..40,
            bytes in 1usize..60,
            characters in 1usize..30,
        ) {
            let limits = CallLimits {
                passages: most, tokens: Some(tokens), bytes: Some(bytes), characters: Some(characters)
            };
            let calls = cut(&query, passages.iter().map(String::as_str), limits);
            let covered: Vec<_> = calls.iter().cloned().flatten().collect();
            prop_assert_eq!(covered, (0..passages.len()).collect::<Vec<_>>());
            for (number, call) in calls.iter().enumerate() {
                let texts = &passages[call.clone()];
                let mut size = CallSize::of_query(TextSize::of(&query));
                for text in texts {
                    size = size.with(TextSize::of(text));
                }
                prop_assert!(limits.admits(&size) || texts.len() == 1);
                // Every call is full: the first passage of the next one has no room in it.
                if let Some(next) = calls.get(number + 1) {
                    prop_assert!(!limits.admits(&size.with(TextSize::of(&passages[next.start]))));
                }
            }
        }

        /// A limit in characters cuts by nothing else, and by no letter's length in bytes.
        #[test]
        fn calls_of_letters_of_any_length_are_cut_alike(
            lengths in proptest::collection::vec(0usize..9, 0..40), characters in 1usize..30,
        ) {
            let limits = CallLimits { characters: Some(characters), ..CallLimits::NONE };
            let [short, long] = ["a", "🦀"].map(|letter| {
                let passages: Vec<_> = lengths.iter().map(|length| letter.repeat(*length)).collect();
                cut(letter, passages.iter().map(String::as_str), limits)
            });
            prop_assert_eq!(short, long);
        }
    }
}
