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

/// The nearest of the `known` names, if one is near.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > MAX_COMPARED_BYTES {
        return None;
    }
    // Half of a word's letters may differ, but no more than three: a short word is near to many names.
    let max_distance = (word.len() / 2).clamp(1, 3);
    // Of equally near names the first in the alphabet, so that the answer does not depend on their order.
    let (distance, name) = known.map(|name| (strsim::damerau_levenshtein(word, name), name)).min()?;
    (distance <= max_distance).then_some(name)
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
}
