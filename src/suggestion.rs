//! The name that was probably meant.

/// Longest word for which a similar one is looked for, in bytes: comparing costs the product of the lengths, and the word may be a client's.
pub(crate) const MAX_COMPARED_BYTES: usize = 64;

/// `; did you mean X?`, if something is near.
#[must_use]
pub(crate) fn suggestion<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> String {
    if word.len() > MAX_COMPARED_BYTES {
        return String::new();
    }
    match known.map(|name| (strsim::damerau_levenshtein(word, name), name)).min() {
        Some((distance, name)) if distance <= (word.len() / 2).clamp(1, 3) => format!("; did you mean {name}?"),
        _ => String::new(),
    }
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
