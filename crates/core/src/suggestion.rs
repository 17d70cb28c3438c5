//! Suggestions for misspelt names.

/// Longest word for which a similar name is sought, in bytes. A comparison costs the product of the lengths, and the
/// word may come from a client.
pub const MAX_COMPARED_BYTES: usize = 64;

/// The text `; did you mean X?` with the nearest of the `known` names, or an empty text if none is near.
#[must_use]
pub fn suggestion<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> String {
    match nearest(word, known) {
        Some(name) => format!("; did you mean {name}?"),
        None => String::new(),
    }
}

/// The nearest of the `known` names, of equally near ones the first in the alphabet; `None` if none is near.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > MAX_COMPARED_BYTES {
        return None;
    }
    // Half of a word's letters may differ, but no more than three: a short word is near to many names.
    let max_distance = (word.len() / 2).clamp(1, 3);
    let mut best: Option<(usize, &str)> = None;
    for name in known {
        // Most names are ruled out without the comparison, which is dear.
        let distance = if differs_in_form_alone(word, name) {
            0
        } else if least_distance(word, name) > max_distance {
            continue;
        } else {
            strsim::damerau_levenshtein(word, name)
        };
        let found = (distance, name);
        if found.0 <= max_distance && best.is_none_or(|best| found < best) {
            best = Some(found);
        }
    }
    best.map(|(_, name)| name)
}

/// Returns true if the words are the same but for case, `_` and `-`: `topN` and `top_n`.
fn differs_in_form_alone(word: &str, name: &str) -> bool {
    plain_letters(word).eq(plain_letters(name))
}

/// A word's bytes in lower case, without `_` and `-`.
fn plain_letters(word: &str) -> impl Iterator<Item = u8> {
    let letters = word.bytes().filter(|byte| !matches!(byte, b'_' | b'-'));
    letters.map(|byte| byte.to_ascii_lowercase())
}

/// A lower bound of the distance: each letter that only one of the words has costs a change.
fn least_distance(word: &str, name: &str) -> usize {
    let word_letters = letters(word);
    let name_letters = letters(name);
    let missing = (word_letters & !name_letters).count_ones().max((name_letters & !word_letters).count_ones());
    usize::try_from(missing).unwrap_or(usize::MAX)
}

/// The set of a word's letters modulo 64: where two words differ in it, their letters differ.
fn letters(word: &str) -> u64 {
    word.chars().fold(0, |set, letter| set | 1 << (u32::from(letter) % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_near_is_suggested_and_nothing_for_a_word_that_is_no_name() {
        let suggested = |word: &str| suggestion(word, ["default", "local"].into_iter());
        assert_eq!(suggested("defalt"), "; did you mean default?");
        assert_eq!(suggested("m"), "");
        assert_eq!(suggested(&"l".repeat(MAX_COMPARED_BYTES + 1)), "");
    }

    #[test]
    fn a_name_in_another_form_is_nearer_than_any_other() {
        for word in ["topN", "Top_N", "TOP-N", "topn"] {
            assert_eq!(nearest(word, ["top_k", "top_n"].into_iter()), Some("top_n"), "{word}");
        }
    }
}
