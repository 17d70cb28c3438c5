//! BM25 over the passages of one request.
//!
//! There is no corpus here, only a few dozen passages about one subject, so two things differ from a search engine's BM25
//! (Robertson and Zaragoza, 2009):
//!
//! - the IDF is half that of English at large (`background.rs`) and half that of the passages themselves. The passages alone
//!   would call the very words of the subject worthless;
//! - the sum is divided by the highest value that the query could reach, so scores lie between 0 and 1.
//!
//! The IDF's second half and the average length depend on the list, so scores of different lists are not comparable and the
//! model counts as listwise. The same list gives the same scores, always.

mod background;
mod stop_words;
pub(crate) mod tokens;

use std::collections::HashMap;

use self::tokens::{Detail, Tokenizer};
use crate::text::from_first_visible;

/// Most bytes of a query or of a passage that are read: some 40,000 words, more than any model of a provider reads.
/// Normalising and counting so much takes about 10 ms, however much more there is.
pub const MAX_TEXT_BYTES: usize = 1 << 18;
/// How fast repetition of a term saturates.
const K1: f64 = 1.2;
/// How much long passages are held back.
const B: f64 = 0.75;
/// Share of the background in the IDF.
const BACKGROUND: f64 = 0.5;

/// A term of the query.
struct Term {
    /// How often the query says it.
    weight: f64,
    /// How rare it is.
    idf: f64,
}

/// What was counted in a passage.
struct Counts {
    /// The terms of the query that it holds, and how often.
    terms: Vec<(usize, u32)>,
    /// Terms in all.
    length: u32,
}

/// The lexical score of each passage for `query`, from 0 (no word in common) to 1.
#[must_use]
pub fn score(query: &str, passages: &[&str]) -> Vec<f64> {
    score_while(query, passages, || true).unwrap_or_default()
}

/// The same as long as it `is_wanted`, which is asked before each passage and inside long ones; `None` once it is not.
#[must_use]
pub fn score_while(query: &str, passages: &[&str], is_wanted: impl Fn() -> bool) -> Option<Vec<f64>> {
    let (tokenizer, slots, mut terms) = query_terms(head(query));
    let mut frequencies = vec![0; terms.len()];
    let mut scratch = vec![0; terms.len()];
    let mut counts = Vec::with_capacity(passages.len());
    for passage in passages {
        if !is_wanted() {
            return None;
        }
        counts.push(count(&tokenizer, &slots, head(passage), &mut scratch, &is_wanted)?);
    }
    for (slot, _) in counts.iter().flat_map(|counts| &counts.terms) {
        frequencies[*slot] += 1;
    }
    for (term, &slot) in &slots {
        let own = inverse_document_frequency(frequencies[slot], passages.len());
        terms[slot].idf = BACKGROUND * background::inverse_document_frequency(term) + (1.0 - BACKGROUND) * own;
    }
    let highest: f64 = terms.iter().map(|term| term.weight * term.idf * (K1 + 1.0)).sum();
    let total_length: f64 = counts.iter().map(|counts| f64::from(counts.length)).sum();
    let average_length = (total_length / exact(passages.len())).max(1.0);
    let share = |counts: &Counts| if highest > 0.0 { bm25(&terms, counts, average_length) / highest } else { 0.0 };
    Some(counts.iter().map(share).collect())
}

fn bm25(terms: &[Term], counts: &Counts, average_length: f64) -> f64 {
    let length = 1.0 - B + B * f64::from(counts.length) / average_length;
    let part = |&(slot, count): &(usize, u32)| {
        let (term, count) = (&terms[slot], f64::from(count));
        term.weight * term.idf * count * (K1 + 1.0) / (count + K1 * length)
    };
    counts.terms.iter().map(part).fold(0.0, |sum, part| sum + part) // an empty `sum` would be -0.0
}

/// The distinct terms of the query, each with its place, and the tokenizer that found them. A query that holds nothing telling
/// is taken down to its single characters.
fn query_terms(query: &str) -> (Tokenizer, HashMap<String, usize>, Vec<Term>) {
    let (mut slots, mut terms) = (HashMap::new(), Vec::new());
    for detail in [Detail::Telling, Detail::All] {
        let tokenizer = Tokenizer::new(detail);
        (slots, terms) = (HashMap::new(), Vec::<Term>::new());
        tokenizer.terms(query, |term| {
            let slot = *slots.entry(term.to_owned()).or_insert(terms.len());
            match terms.get_mut(slot) {
                Some(known) => known.weight += 1.0,
                None => terms.push(Term { weight: 1.0, idf: 0.0 }),
            }
        });
        if slots.keys().any(|term| term.chars().nth(1).is_some()) {
            return (tokenizer, slots, terms);
        }
    }
    (Tokenizer::new(Detail::All), slots, terms)
}

/// What is read of a text: the whole, or as much from its first letter on as is allowed. Blanks in front must not hide
/// a text.
fn head(text: &str) -> &str {
    if text.len() <= MAX_TEXT_BYTES {
        return text;
    }
    let text = from_first_visible(text);
    &text[..text.floor_char_boundary(MAX_TEXT_BYTES)]
}

/// Counts one passage; `None` if it is not wanted any more. `scratch` has a place for each term of the query, all 0
/// before and after.
fn count(
    tokenizer: &Tokenizer,
    slots: &HashMap<String, usize>,
    passage: &str,
    scratch: &mut [u32],
    is_wanted: impl Fn() -> bool,
) -> Option<Counts> {
    let mut found = Vec::new();
    let mut length = 0;
    let is_whole = tokenizer.terms_while(passage, is_wanted, |term| {
        length += 1;
        if let Some(&slot) = slots.get(term) {
            if scratch[slot] == 0 {
                found.push(slot);
            }
            scratch[slot] += 1;
        }
    });
    if !is_whole {
        return None;
    }
    // In the query's order, so that equal passages have their parts added up alike.
    found.sort_unstable();
    let terms = found.into_iter().map(|slot| (slot, std::mem::take(&mut scratch[slot]))).collect();
    Some(Counts { terms, length })
}

/// Lucene's IDF of a term that stands in `frequency` of `passages`, always above 0.
pub(crate) fn inverse_document_frequency(frequency: usize, passages: usize) -> f64 {
    let (frequency, passages) = (exact(frequency), exact(passages));
    (1.0 + (passages - frequency + 0.5) / (frequency + 0.5)).ln()
}

#[expect(clippy::cast_precision_loss, reason = "counts of passages are far below 2^52")]
fn exact(count: usize) -> f64 {
    count as f64
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
