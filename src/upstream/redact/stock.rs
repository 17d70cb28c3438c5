//! Long words that error messages are made of. One of them tells nothing of a request, two in a row may.
//!
//! Without them "document 3 has 800 tokens" was withheld from every sixth passage of technical documentation; with them from one of forty.

/// Folded, in alphabetical order; shorter words than a window need not stand here.
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

/// Whether error messages are made of `word`, which is folded.
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
