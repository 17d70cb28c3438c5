//! The passages of the benches.

/// A passage of about 500 characters. Every eighth has escapes and letters outside ASCII.
pub(crate) fn passage(name: &str, index: usize) -> String {
    let odd = if index.is_multiple_of(8) { "\"quoted\"\nand 한국어 " } else { "" };
    format!("passage {name} {odd}{}at best.", "of words that mean little ".repeat(18))
}
