//! BM25 over the passages of one request.
//!
//! There is no corpus here, only a few dozen passages about one subject. So two things differ from the BM25 of a search
//! engine (Robertson and Zaragoza, 2009):
//!
//! - The IDF is half that of English at large (`background_idf.rs`) and half that of the passages themselves. The
//!   passages alone would call the very words of the subject worthless.
//! - The sum is divided by the highest value that the query could reach, so scores lie between 0 and 1.
//!
//! The IDF's second half and the average length depend on the list, so scores of different lists are not comparable and
//! the model counts as listwise. The same list always gives the same scores.

mod background_idf;
pub mod counting;
mod stop_words;
pub mod tokens;

use rerankd_core::embedded::ListScorer;
use rerankd_core::text::from_first_visible;
use rerankd_core::types::as_f64;

use self::counting::{Slots, count_terms};
use self::tokens::{Detail, Tokenizer};

/// Bytes of a query or of a passage that are read: some 40,000 words, more than any provider's model reads. They take
/// about 10 ms to normalise and count.
pub const MAX_TEXT_BYTES: usize = 1 << 18;
/// Saturation of repeated terms, the `k1` of BM25: the higher, the more each repetition adds.
const K1: f64 = 1.2;
/// Strength of the length normalisation, the `b` of BM25: 0 for none, 1 for full.
const B: f64 = 0.75;
/// Share of the background in the IDF, 0 to 1.
const BACKGROUND_SHARE: f64 = 0.5;

/// The counts of one passage.
struct Counts {
    /// Slots of the query's terms that occur in the passage, each with its number of occurrences.
    terms: Vec<(usize, u32)>,
    /// Number of all terms of the passage.
    length: u32,
}

/// The lexical scorer.
#[derive(Clone, Copy, Debug)]
pub struct Lexical;

impl ListScorer for Lexical {
    fn max_text_bytes(&self) -> usize {
        MAX_TEXT_BYTES
    }

    fn score_while(&self, query: &str, passages: &[&str], is_wanted: &dyn Fn() -> bool) -> Option<Vec<f64>> {
        score_while(query, passages, is_wanted)
    }

    fn matched_words(&self, query: &str, passages: &[&str], is_wanted: &dyn Fn() -> bool) -> Option<Vec<Vec<String>>> {
        matched_words(query, passages, is_wanted)
    }
}

/// The words of `query` that the scorer finds in each passage, normalised, each once, in the query's order; `None` as
/// soon as `is_wanted` returns false.
fn matched_words(query: &str, passages: &[&str], is_wanted: &dyn Fn() -> bool) -> Option<Vec<Vec<String>>> {
    let (tokenizer, slots, terms) = query_terms(head(query));
    let mut words = vec![String::new(); terms.len()];
    tokenizer.words_while(
        head(query),
        || true,
        |term, word| {
            // Of several words of one stem the first stands for all.
            if let Some(&slot) = slots.get(term)
                && words[slot].is_empty()
            {
                word.clone_into(&mut words[slot]);
            }
        },
    );
    let mut scratch = vec![0; words.len()];
    let mut matched = Vec::with_capacity(passages.len());
    for passage in passages {
        if !is_wanted() {
            return None;
        }
        let counted = count(&tokenizer, &slots, head(passage), &mut scratch, is_wanted)?;
        matched.push(counted.terms.iter().map(|(slot, _)| words[*slot].clone()).collect());
    }
    Some(matched)
}

/// The lexical score of each passage for `query`, from 0 (no word in common) to 1.
#[must_use]
pub fn score(query: &str, passages: &[&str]) -> Vec<f64> {
    score_while(query, passages, || true).unwrap_or_default()
}

/// The same, or `None` as soon as `is_wanted` returns false. It is called before each passage and inside long ones.
#[must_use]
pub fn score_while(query: &str, passages: &[&str], is_wanted: impl Fn() -> bool) -> Option<Vec<f64>> {
    // Repetitions in the query at first; times the IDF below. The index of a term is its slot.
    let (tokenizer, slots, mut weights) = query_terms(head(query));
    let mut frequencies = vec![0; weights.len()];
    // One allocation for all passages, which a query of thousands of terms would otherwise repeat for each.
    let mut scratch = vec![0; weights.len()];
    let mut counts = Vec::with_capacity(passages.len());
    for passage in passages {
        if !is_wanted() {
            return None;
        }
        counts.push(count(&tokenizer, &slots, head(passage), &mut scratch, &is_wanted)?);
    }
    for counted in &counts {
        for &(slot, _) in &counted.terms {
            frequencies[slot] += 1;
        }
    }
    for (term, &slot) in &slots {
        let background = background_idf::inverse_document_frequency(term);
        let own = inverse_document_frequency(frequencies[slot], passages.len());
        // A map has no order, but each slot is changed once and for itself.
        weights[slot].1 *= BACKGROUND_SHARE * background + (1.0 - BACKGROUND_SHARE) * own;
    }
    // The score that a passage approaches if it repeats every term of the query without end.
    let highest: f64 = weights.iter().map(|(_, weight)| weight * (K1 + 1.0)).sum();
    if highest <= 0.0 {
        return Some(vec![0.0; passages.len()]);
    }
    let total_length: f64 = counts.iter().map(|counted| f64::from(counted.length)).sum();
    // At least 1, as passages without a term must not divide by 0.
    let average_length = (total_length / as_f64(passages.len())).max(1.0);
    Some(counts.iter().map(|counted| bm25(&weights, counted, average_length) / highest).collect())
}

/// The BM25 score of one passage, 0 or more. A term's weight, at its slot, is its repetitions in the query times its
/// IDF. `average_length` is in terms.
fn bm25(weights: &[(usize, f64)], counts: &Counts, average_length: f64) -> f64 {
    let length = 1.0 - B + B * f64::from(counts.length) / average_length;
    // Not `Iterator::sum`, which gives -0.0 for nothing, and clients would see the sign.
    let mut score = 0.0;
    for &(slot, count) in &counts.terms {
        let (_, weight) = weights[slot];
        let count = f64::from(count);
        score += weight * count * (K1 + 1.0) / (count + K1 * length);
    }
    score
}

/// The distinct terms of the query, each at its slot with the number of its repetitions, and the tokenizer that found
/// them. If none of them tells one text from another, every character counts.
fn query_terms(query: &str) -> (Tokenizer, Slots, Vec<(usize, f64)>) {
    let (tokenizer, slots, terms) = terms_in_detail(query, Detail::Telling);
    // A term of one character tells nothing: it is a lone letter of a script without spaces, and passages would hold it
    // within bigrams, where it is not found.
    if slots.keys().any(|term| term.chars().nth(1).is_some()) {
        return (tokenizer, slots, terms);
    }
    terms_in_detail(query, Detail::All)
}

/// The distinct terms of the query at one level of detail.
fn terms_in_detail(query: &str, detail: Detail) -> (Tokenizer, Slots, Vec<(usize, f64)>) {
    let tokenizer = Tokenizer::new(detail);
    let mut slots = Slots::new();
    let terms = counting::query_terms(&tokenizer, query, &mut slots);
    (tokenizer, slots, terms)
}

/// The part of a text that is read: the whole, or [`MAX_TEXT_BYTES`] of it.
fn head(text: &str) -> &str {
    if text.len() <= MAX_TEXT_BYTES {
        return text;
    }
    // Blanks in front must not use up the bytes and hide the text.
    let text = from_first_visible(text);
    &text[..text.floor_char_boundary(MAX_TEXT_BYTES)]
}

/// Counts one passage; `None` as soon as `is_wanted` returns false. `scratch` has a counter for each term of the query,
/// all 0 before and after.
fn count(
    tokenizer: &Tokenizer,
    slots: &Slots,
    passage: &str,
    scratch: &mut [u32],
    is_wanted: impl Fn() -> bool,
) -> Option<Counts> {
    let mut found = Vec::new();
    let length = count_terms(tokenizer, slots, passage, scratch, &mut found, is_wanted)?;
    // In the query's order: floating-point sums depend on it, and equal passages must get equal scores.
    found.sort_unstable();
    let terms = found.into_iter().map(|slot| (slot, std::mem::take(&mut scratch[slot]))).collect();
    Some(Counts { terms, length })
}

/// The IDF, as Lucene computes it, of a term that occurs in `frequency` of `passages`; always above 0.
#[must_use]
pub fn inverse_document_frequency(frequency: usize, passages: usize) -> f64 {
    let frequency = as_f64(frequency);
    let passages = as_f64(passages);
    (1.0 + (passages - frequency + 0.5) / (frequency + 0.5)).ln()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn best(query: &str, passages: &[&str]) -> usize {
        let scores = score(query, passages);
        (0..scores.len()).max_by(|&left, &right| scores[left].total_cmp(&scores[right])).unwrap()
    }

    #[test]
    fn scoring_ends_when_nobody_wants_it_any_more() {
        let asked = std::cell::Cell::new(0);
        let wanted_once = || asked.replace(asked.get() + 1) == 0;
        assert_eq!(score_while("q", &["a", "b", "c"], wanted_once), None);
        assert_eq!(asked.get(), 2, "the third passage was not looked at");
        assert_eq!(score_while("q", &["a", "q"], || true), Some(score("q", &["a", "q"])));
    }

    #[test]
    fn scoring_ends_inside_a_passage_too() {
        let asked = std::cell::Cell::new(0);
        let wanted_once = || asked.replace(asked.get() + 1) == 0;
        assert_eq!(score_while("q", &[&"some words ".repeat(10_000)], wanted_once), None);
        assert_eq!(asked.get(), 2, "the passage was begun and not finished");
    }

    #[test]
    fn of_an_endless_text_the_beginning_is_read() {
        let filler = "가나다 ".repeat(MAX_TEXT_BYTES / 10 + 1);
        let late = format!("{filler}needle");
        assert_eq!(score("needle", &[&late]), [0.0]);
        assert!(score("needle", &[&format!("needle {filler}")])[0] > 0.0);
        let blank = format!("{}needle {filler}", " \u{3000}".repeat(MAX_TEXT_BYTES));
        assert!(score("needle", &[&blank])[0] > 0.0, "blanks in front hide nothing");
        assert_eq!(score(&late, &["needle"]), [0.0], "nor is more of a query read");
        let longest = format!("{}needle", " ".repeat(MAX_TEXT_BYTES - "needle".len()));
        assert!(score("needle", &[&longest])[0] > 0.0);
    }

    #[test]
    fn the_passage_that_answers_comes_first_in_several_scripts() {
        assert_eq!(
            best(
                "Which planet is the largest?",
                &["Mars is red.", "Jupiter is the largest of the planets.", "Large fries"]
            ),
            1
        );
        assert_eq!(
            best("한국의 수도는 어디인가", &["일본의 수도는 도쿄이다.", "한국의 수도는 서울이다.", "날씨가 좋다."]),
            1
        );
        assert_eq!(best("日本で一番高い山", &["東京は日本の首都である。", "富士山は日本で最も高い山である。"]), 1);
        assert_eq!(best("столица России", &["Париж красив", "Москва — столица России"]), 1);
    }

    #[test]
    fn a_query_of_nothing_telling_still_finds_its_passage() {
        assert_eq!(best("to be or not to be", &["a cake recipe", "To be, or not to be, that is the question"]), 1);
        assert_eq!(best("C++", &["java code", "c++ code"]), 1);
        assert_eq!(best("犬", &["猫が走る", "犬が走る"]), 1);
    }

    /// The trap of this task: counted in the passages alone, the rare filler outweighs the subject that all of them share.
    #[test]
    fn a_word_that_all_passages_share_still_counts() {
        let passages = ["thyroid thyroid thyroid hormone treatment", "thyroid first first first", "thyroid year year"];
        let scores = score("thyroid year", &passages);
        assert!(scores[0] > 0.3 * scores[2], "{scores:?}");
    }

    #[test]
    fn matched_words_are_the_querys_own_each_once_in_its_order() {
        let matched = |query, passage| matched_words(query, &[passage], &|| true).unwrap().concat();
        let planets = "Largest planets: which PLANET, and what planets?";
        assert_eq!(matched(planets, "The planet Jupiter is the largest planet."), ["largest", "planets"]);
        assert_eq!(matched(planets, "nothing of it"), [""; 0]);
        assert_eq!(matched("한국의 수도", "한국의 수도는 서울이다"), ["한국", "국의", "수도"]);
        assert_eq!(matched("to be", "To be, or not to be"), ["to", "be"]);
        assert_eq!(matched_words("q", &["q"], &|| false), None);
    }

    #[test]
    fn nothing_in_common_is_zero_and_so_is_an_empty_query() {
        assert_eq!(score("quantum", &["apple pie", ""]), [0.0, 0.0]);
        assert_eq!(score("!?", &["the apple"]), [0.0]);
        assert!(score("quantum", &["apple"])[0].is_sign_positive(), "0, not -0");
        assert!(score("quantum", &[]).is_empty());
    }

    #[test]
    fn a_long_query_over_many_passages_takes_memory_for_what_is_found_only() {
        let query: String = (0..20_000).map(|word| format!("word{word}")).collect::<Vec<_>>().join(" ");
        let passages = vec!["word7 and nothing else"; 10_000];
        let scores = score(&query, &passages);
        assert!(scores[0] > 0.0 && scores.iter().all(|score| score.to_bits() == scores[0].to_bits()));
    }

    proptest! {
        #[test]
        fn any_text_gets_the_same_finite_score_between_0_and_1_every_time(
            query in "\\PC{0,30}", passages in proptest::collection::vec("\\PC{0,60}", 0..8),
        ) {
            let passages: Vec<&str> = passages.iter().map(String::as_str).collect();
            let scores = score(&query, &passages);
            prop_assert_eq!(scores.len(), passages.len());
            prop_assert!(scores.iter().all(|score| (0.0..=1.0).contains(score)), "{:?}", scores);
            prop_assert_eq!(scores, score(&query, &passages));
        }
    }
}
