//! The terms of queries, and their counts in passages.
//!
//! A term of a query has a slot, counted from 0 in the order in which terms were first seen. Terms of passages that no
//! query has are counted for the length alone.

use std::collections::HashMap;

use super::tokens::Tokenizer;

/// The slot of each term of the queries. The slots of `n` terms are 0 to `n` - 1, so lists by slot have no gaps.
pub type Slots = HashMap<String, usize>;

/// The distinct terms of a query in its order, as slots, each with the number of its repetitions. New terms get the
/// next slots.
pub fn query_terms(tokenizer: &Tokenizer, query: &str, slots: &mut Slots) -> Vec<(usize, f64)> {
    let is_first_query = slots.is_empty();
    let mut terms: Vec<(usize, f64)> = Vec::new();
    tokenizer.terms(query, |term| {
        let next = slots.len();
        // `entry` alone would allocate a key for every term that is known.
        let slot = match slots.get(term) {
            Some(&slot) => slot,
            None => *slots.entry(term.to_owned()).or_insert(next),
        };
        // Each term of the first query stands at its slot, so that a query of thousands of terms is not searched.
        let known =
            if is_first_query { terms.get_mut(slot) } else { terms.iter_mut().find(|(known, _)| *known == slot) };
        match known {
            Some((_, weight)) => *weight += 1.0,
            None => terms.push((slot, 1.0)),
        }
    });
    terms
}

/// Counts the terms of a passage by slot, and returns the number of all its terms; `None` as soon as `is_wanted`
/// returns false. `counts` has a counter for each slot, all 0 before. `held` gets the slots whose counter is above 0
/// after: most passages have few of them.
pub fn count_terms(
    tokenizer: &Tokenizer,
    slots: &Slots,
    passage: &str,
    counts: &mut [u32],
    held: &mut Vec<usize>,
    is_wanted: impl Fn() -> bool,
) -> Option<u32> {
    let mut length = 0;
    let is_whole = tokenizer.terms_while(passage, is_wanted, |term| {
        length += 1;
        if let Some(&slot) = slots.get(term) {
            if counts[slot] == 0 {
                held.push(slot);
            }
            counts[slot] += 1;
        }
    });
    is_whole.then_some(length)
}
