//! Long words that are common in error messages. One of them reveals nothing about a request, two in a row may.
//!
//! Without this list, "document 3 has 800 tokens" would be withheld for every sixth passage of technical documentation;
//! with it, for one of forty.

/// Folded, in alphabetical order. Words shorter than a window are not needed here.
const STOCK: [&str; 25] = [
    "characters",
    "connection",
    "document",
    "documents",
    "exceeded",
    "inference",
    "internal",
    "overloaded",
    "parameter",
    "parameters",
    "provided",
    "received",
    "requested",
    "requests",
    "required",
    "reranker",
    "reranking",
    "response",
    "submitted",
    "supported",
    "temporarily",
    "unavailable",
    "unexpected",
    "upstream",
    "validation",
];

/// Returns true if `word`, which is folded, is common in error messages.
pub(super) fn is_stock(word: &str) -> bool {
    STOCK.binary_search(&word).is_ok()
}

#[cfg(test)]
mod tests {
    use super::super::windows::WINDOW;
    use super::*;

    #[test]
    fn words_are_found() {
        assert!(STOCK.is_sorted());
        assert!(STOCK.iter().all(|word| word.len() >= WINDOW && is_stock(word)) && !is_stock("nobodies"));
    }
}
