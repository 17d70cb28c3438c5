//! Texts of queries, passages and names: written by anybody, shown to somebody.

use super::figures::grouped;

/// `text` on one line, with whatever would act instead of being read made visible.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(visible).collect()
}

/// Control characters would steer a terminal, bidirectional overrides would turn around the words that follow, and
/// neither they nor noncharacters may stand in a page.
pub(super) fn visible(character: char) -> char {
    match character {
        '\t' | '\n' | '\u{b}' | '\u{c}' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => ' ',
        '\0'..='\u{1f}' => char::from_u32(0x2400 + u32::from(character)).unwrap_or(' '),
        '\u{7f}' => '␡',
        '\u{80}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fdd0}'..='\u{fdef}' => '\u{fffd}',
        _ if u32::from(character) & 0xfffe == 0xfffe => '\u{fffd}',
        _ => character,
    }
}

/// At most `length` characters of `text`, the last one `…` if there were more.
pub(super) fn shortened(text: &str, length: usize) -> String {
    match text.char_indices().nth(length) {
        None => text.to_owned(),
        Some(_) => text.chars().take(length.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// At most `length` characters of a name, without its middle: names of models differ at both ends.
pub(super) fn without_middle(name: &str, length: usize) -> String {
    let count = name.chars().count();
    if count <= length {
        return name.to_owned();
    }
    let end = length.saturating_sub(1) * 3 / 5;
    let start = length.saturating_sub(1) - end;
    name.chars().take(start).chain(['…']).chain(name.chars().skip(count - end)).collect()
}

/// `words`, printable, as a sentence lists them.
pub(crate) fn listed(words: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| printable(word.as_ref())).collect();
    match words.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// `count` with its noun.
pub(crate) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{} {}", grouped(count), if count == 1 { one } else { many })
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
        assert_eq!(without_middle("Alibaba-NLP/gte-reranker-modernbert-base", 20), "Alibaba-…rnbert-base");
        assert_eq!(without_middle("none", 20), "none");
    }

    #[test]
    fn lists_read_like_sentences() {
        assert_eq!(listed(["a", "b", "c"]), "a, b and c");
        assert_eq!(listed(["a"]), "a");
        assert_eq!(counted(1, "query", "queries"), "1 query");
        assert_eq!(counted(0, "query", "queries"), "0 queries");
    }
}
