//! The rarity of terms in English at large.
//!
//! A rerank call carries a few dozen passages about one subject. The words of the subject are in all of them, so an IDF
//! counted there alone calls the most telling words worthless (on Cranfield that costs a fifth of nDCG@10). The
//! background gives each stem a rarity from its rank in a frequency-ordered word list. By Zipf's law the word of rank
//! `r` has about the share `0.1 / r` of a text, and a passage of 200 words holds it with probability
//! `1 - (1 - 0.1 / r)^200`.
//!
//! The list is the order of the vocabulary of BERT (uncased), published by Google under Apache-2.0; see NOTICE.

use std::collections::HashMap;
use std::sync::LazyLock;

/// English stems, most frequent first, one a line.
static STEMS: &str = include_str!("english_stems.txt");

/// The rank of each stem, from 1 for the most frequent.
static RANKS: LazyLock<HashMap<&'static str, u32>> = LazyLock::new(|| STEMS.lines().zip(1..).collect());

/// Length in words of the passage that a document frequency refers to.
const PASSAGE_WORDS: f64 = 200.0;
/// Share of the most frequent word in English text (Zipf's constant).
const ZIPF: f64 = 0.1;

/// The inverse document frequency of `stem` in English at large, above 0. Stems that are not listed count as rarer than
/// all that are.
pub(super) fn inverse_document_frequency(stem: &str) -> f64 {
    let rank = match RANKS.get(stem) {
        Some(&rank) => rank,
        None => u32::try_from(RANKS.len() + 1).unwrap_or(u32::MAX),
    };
    let share = ZIPF / f64::from(rank);
    -(1.0 - (1.0 - share).powf(PASSAGE_WORDS)).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rarer_words_weigh_more_and_unknown_ones_most() {
        let weights = ["first", "citi", "thyroid", "zyxomma"].map(inverse_document_frequency);
        assert!(weights.is_sorted() && weights[0] > 0.0, "{weights:?}");
    }
}
