//! Texts from outside (queries, passages, names), cut to length and joined to sentences.

use rerankd_core::text::{list_in_words, printable};

/// At most `length` characters of `text`, the last one `…` if there were more.
pub(super) fn shortened(text: &str, length: usize) -> String {
    // Stops at the limit, where counting would read all of a long passage.
    if text.char_indices().nth(length).is_none() {
        return text.to_owned();
    }
    text.chars().take(length.saturating_sub(1)).chain(['…']).collect()
}

/// A printable list as it stands in a sentence: `a, b and c`.
pub fn listed(words: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| printable(word.as_ref())).collect();
    list_in_words(&words, "and")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(shortened("日本語です", 5), "日本語です");
        assert_eq!(shortened("日本語です", 4), "日本語…");
    }

    #[test]
    fn lists_read_like_sentences() {
        assert_eq!(listed(["a", "b", "c"]), "a, b and c");
        assert_eq!(listed(["a"]), "a");
    }
}
