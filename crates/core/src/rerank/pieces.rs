//! The texts that are scored for the passages of a request: the passages themselves, or the pieces of long ones.
//!
//! ```text
//!  positions   0         1              2
//!              │      ┌──┼──┐           │         chunk_max: a passage has as many pieces as it needs,
//!  pieces      0      1  2  3           4         and the score of its best one
//! ```
//!
//! Pieces are ranges of the passages: nothing is copied.

use std::ops::Range;

use crate::provider::PassageText;
use crate::text::from_first_visible;
use crate::types::index::{IndexVec, ListIndex, PieceIndex};
use crate::types::passages::Passages;
use crate::upstream::settings::LongPassages;

/// The pieces of the passages of one request.
#[derive(Debug)]
pub enum Pieces {
    /// Every passage is one piece.
    Whole,
    /// Some passages are cut, into several pieces or to the first.
    Cut {
        /// All pieces, in the order of their passages.
        pieces: IndexVec<PieceIndex, Piece>,
        /// Index after the last piece of each passage; every passage has at least one.
        ends: Vec<PieceIndex>,
    },
}

/// A part of a passage.
#[derive(Debug)]
pub struct Piece {
    /// Position of the passage in the request.
    position: usize,
    /// Bytes of its text.
    range: Range<usize>,
}

impl Pieces {
    /// Cuts passages that are too long, by `rule`.
    #[must_use]
    pub fn new(passages: &Passages, rule: LongPassages) -> Self {
        let (max_tokens, keeps_all) = match rule {
            LongPassages::Provider => return Self::Whole,
            LongPassages::Truncate(max_tokens) => (max_tokens, false),
            LongPassages::ChunkMax(max_tokens) => (max_tokens, true),
        };
        // A token is three ASCII bytes or more, so most passages need not be looked at letter by letter.
        if passages.iter().all(|passage| passage.text.len() <= max_tokens) {
            return Self::Whole;
        }
        let mut pieces = IndexVec::with_capacity(passages.len());
        let mut ends = Vec::with_capacity(passages.len());
        for (position, passage) in passages.iter().enumerate() {
            if keeps_all {
                for range in filled_pieces(passage.text, max_tokens) {
                    pieces.push(Piece { position, range });
                }
            } else {
                pieces.push(Piece { position, range: first_filled_piece(passage.text, max_tokens) });
            }
            ends.push(pieces.next_index());
        }
        Self::Cut { pieces, ends }
    }

    /// The number of pieces.
    #[must_use]
    pub fn count(&self, passages: &Passages) -> usize {
        match self {
            Self::Whole => passages.len(),
            Self::Cut { pieces, .. } => pieces.len(),
        }
    }

    /// The text of one piece.
    #[must_use]
    pub fn text<'a>(&self, passages: &'a Passages, piece: PieceIndex) -> &'a str {
        match self {
            Self::Whole => passages.get(piece.number()).text,
            Self::Cut { pieces, .. } => {
                let Piece { position, range } = &pieces[piece];
                &passages.get(*position).text[range.clone()]
            }
        }
    }

    /// The bytes of the passage's text that one piece consists of.
    #[must_use]
    pub fn range(&self, passages: &Passages, piece: PieceIndex) -> Range<usize> {
        match self {
            Self::Whole => 0..passages.get(piece.number()).text.len(),
            Self::Cut { pieces, .. } => pieces[piece].range.clone(),
        }
    }

    /// The text of one piece, with the JSON string that the client sent for it if it is a whole passage.
    #[must_use]
    pub fn passage_text<'a>(&self, passages: &'a Passages, piece: PieceIndex) -> PassageText<'a> {
        let literal = match self {
            Self::Whole => passages.literal(piece.number()),
            Self::Cut { .. } => None,
        };
        PassageText { text: self.text(passages, piece), literal }
    }

    /// The pieces of one passage; at least one.
    #[must_use]
    pub fn of(&self, position: usize) -> Range<PieceIndex> {
        match self {
            Self::Whole => PieceIndex::of(position)..PieceIndex::of(position + 1),
            Self::Cut { ends, .. } => {
                let start = if position == 0 { PieceIndex::of(0) } else { ends[position - 1] };
                start..ends[position]
            }
        }
    }
}

/// The pieces of a text that hold something, as ranges of its bytes, each of at most `max_tokens`; of a blank text the
/// first. A piece that holds nothing cannot be the best one, and not every provider takes it.
fn filled_pieces(text: &str, max_tokens: usize) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let mut start = 0;
    while start < text.len() {
        let end = start + cut(&text[start..], max_tokens);
        if !from_first_visible(&text[start..end]).is_empty() {
            pieces.push(start..end);
        }
        start = end;
    }
    if pieces.is_empty() {
        pieces.push(0..cut(text, max_tokens));
    }
    pieces
}

/// The first piece of a text, as a range of its bytes. If that holds nothing, the one that begins with the first text
/// there is: blanks in front, however many, must not hide it.
fn first_filled_piece(text: &str, max_tokens: usize) -> Range<usize> {
    let first_end = cut(text, max_tokens);
    let filled = from_first_visible(text);
    let filled_start = text.len() - filled.len();
    if filled.is_empty() || filled_start < first_end {
        return 0..first_end;
    }
    filled_start..filled_start + cut(filled, max_tokens)
}

/// Byte offset at which the first piece of `text` ends. Counts as [`crate::upstream::size::estimate_tokens`] does:
/// three ASCII bytes a token, or two of others.
fn cut(text: &str, max_tokens: usize) -> usize {
    // In sixths of a token a byte of either kind is a whole number.
    const SIXTHS_OF_ASCII: usize = 2;
    const SIXTHS_OF_OTHERS: usize = 3;
    let mut sixths = 0;
    let mut last_blank_end = None;
    // Two roundings of the estimate can each add a part of a token.
    let limit = 6 * max_tokens.saturating_sub(1).max(1);
    for (at, letter) in text.char_indices() {
        sixths += if letter.is_ascii() { SIXTHS_OF_ASCII } else { SIXTHS_OF_OTHERS * letter.len_utf8() };
        // Never before the first letter, so that every piece holds one and the cuts end.
        if sixths > limit && at > 0 {
            return match last_blank_end {
                // Not so far back that the piece would be more than a fifth shorter.
                Some(end) if end > at / 5 * 4 => end,
                _ => at,
            };
        }
        if letter.is_whitespace() {
            last_blank_end = Some(at + letter.len_utf8());
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::upstream::size::estimate_tokens;

    fn pieces(texts: &[&str], rule: LongPassages) -> Vec<Vec<String>> {
        let passages: Passages = texts.iter().copied().collect();
        let pieces = Pieces::new(&passages, rule);
        let mut texts_of_passages = Vec::new();
        for position in 0..passages.len() {
            let range = pieces.of(position);
            let numbers = range.start.number()..range.end.number();
            let texts = numbers.map(|piece| pieces.text(&passages, PieceIndex::of(piece)).to_string());
            texts_of_passages.push(texts.collect());
        }
        texts_of_passages
    }

    #[test]
    fn long_passages_are_cut_between_words_and_others_left_alone() {
        let text = "one two three four five six seven eight";
        let cut = pieces(&["short", text, ""], LongPassages::ChunkMax(6));
        assert_eq!(cut[0], ["short"]);
        assert_eq!(cut[1], ["one two three ", "four five six ", "seven eight"]);
        assert_eq!(cut[2], [""]);
        assert_eq!(pieces(&["short", text], LongPassages::Truncate(6))[1], ["one two three "]);
        assert_eq!(pieces(&["short", text], LongPassages::Provider)[1], [text]);
    }

    #[test]
    fn blanks_in_front_do_not_hide_a_text() {
        let late = format!("{}late words that follow", " \n".repeat(5_000));
        assert_eq!(pieces(&[&late], LongPassages::Truncate(4)), [["late "]]);
        assert_eq!(pieces(&[&late], LongPassages::ChunkMax(4))[0].concat().trim_start(), "late words that follow");
        let blank = " ".repeat(5_000);
        assert_eq!(pieces(&[&blank], LongPassages::Truncate(4)), [[" ".repeat(9)]]);
        assert_eq!(pieces(&[&blank], LongPassages::ChunkMax(4)), [[" ".repeat(9)]]);
        let unseen = format!("{}late words that follow", "\u{200B}\0\u{FEFF}\u{A0}\u{AD}".repeat(1_000));
        assert_eq!(pieces(&[&unseen], LongPassages::Truncate(4)), [["late "]]);
        let chunks = pieces(&[&unseen], LongPassages::ChunkMax(4)).concat();
        assert!(chunks.len() < 8 && chunks.concat().ends_with("late words that follow"), "{chunks:?}");
        assert_eq!(pieces(&["  early words that follow"], LongPassages::Truncate(4)), [["  early "]]);
    }

    /// Attack 17 by letters that are no blanks and show nothing.
    #[test]
    fn invisible_letters_in_front_do_not_hide_a_text() {
        for letter in ['\u{200b}', '\u{feff}', '\0', '\u{1}', '\u{ad}', '\u{2800}', '\u{3164}', '\u{fe0f}', '\u{2066}']
        {
            let late = format!("{}late words", letter.to_string().repeat(5_000));
            assert_eq!(pieces(&[&late], LongPassages::Truncate(4)), [["late "]], "{letter:?}");
            assert_eq!(pieces(&[&late], LongPassages::ChunkMax(4))[0].len(), 2, "{letter:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_nothing_is_too_long(
            texts in proptest::collection::vec("[a é가]{0,60}", 0..6), most in 2usize..20,
        ) {
            let refs: Vec<&str> = texts.iter().map(String::as_str).collect();
            for (text, cut) in texts.iter().zip(pieces(&refs, LongPassages::ChunkMax(most))) {
                let filled = |text: &str| text.split_whitespace().collect::<String>();
                prop_assert_eq!(filled(&cut.concat()), filled(text));
                prop_assert!(!cut.is_empty());
                for piece in cut {
                    prop_assert!(estimate_tokens(&piece) <= most || piece.chars().count() == 1, "{:?}", piece);
                }
            }
            for (text, cut) in texts.iter().zip(pieces(&refs, LongPassages::Truncate(most))) {
                prop_assert!(cut.len() == 1 && (text.starts_with(&cut[0]) || text.trim_start().starts_with(&cut[0])));
                prop_assert_eq!(cut[0].trim().is_empty(), text.trim().is_empty());
            }
        }
    }
}
