//! Texts from outside (queries, passages, names), made safe to print, cut to length and joined to sentences.

use rerankd_core::text::list_in_words;

use super::figures::grouped;

/// `text` on one line, with each control character replaced by one that can be seen.
pub fn printable(text: &str) -> String {
    text.chars().map(visible).collect()
}

/// `character`, or a visible substitute if it would act instead of being read: control characters steer a terminal, and
/// bidirectional overrides reorder the text after them. Neither these nor noncharacters are allowed in a page.
pub(super) fn visible(character: char) -> char {
    match character {
        '\t' | '\n' | '\u{b}' | '\u{c}' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => ' ',
        // U+2400 begins Unicode's pictures of the control characters, in the same order.
        '\0'..='\u{1f}' => char::from_u32(0x2400 + u32::from(character)).unwrap_or(' '),
        '\u{7f}' => '␡',
        '\u{80}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fdd0}'..='\u{fdef}' => '\u{fffd}',
        // The last two code points of each plane are noncharacters.
        _ if u32::from(character) & 0xfffe == 0xfffe => '\u{fffd}',
        _ => character,
    }
}

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

/// `count` with its noun in the singular or plural: `1 query`, `1,200 queries`.
#[must_use]
pub fn counted(count: usize, one: &str, many: &str) -> String {
    let noun = if count == 1 { one } else { many };
    format!("{} {noun}", grouped(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_made_visible() {
        assert_eq!(printable("a\u{1b}[2Jb\nc\u{202e}d\0\u{7f}\u{9b}\u{fffe}"), "a␛[2Jb c\u{fffd}d␀␡\u{fffd}\u{fffd}");
        assert_eq!(printable("日本語 العربية 👩‍💻"), "日本語 العربية 👩‍💻");
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(shortened("日本語です", 5), "日本語です");
        assert_eq!(shortened("日本語です", 4), "日本語…");
    }

    #[test]
    fn lists_read_like_sentences() {
        assert_eq!(listed(["a", "b", "c"]), "a, b and c");
        assert_eq!(listed(["a"]), "a");
        assert_eq!(counted(1, "query", "queries"), "1 query");
        assert_eq!(counted(0, "query", "queries"), "0 queries");
    }
}
