//! Rules by which the failures of a provider are sorted, as `[[errors]]` of its table declares them.

/// The kind of a failure, as a rule declares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// Refusal of this one call.
    Rejected,
    /// Too many calls; the next moment is better.
    RateLimited,
    /// Refusal of the key.
    Unauthorized,
    /// Account without credit, or an allowance that is used up for long.
    QuotaExhausted,
    /// Failure of the server.
    Unavailable,
    /// Refusal of the call for its size.
    TooLarge,
    /// No model of the name that was asked for.
    ModelMissing,
    /// Model that the provider does not serve any more.
    ModelRetired,
}

impl ErrorClass {
    /// The classes by their names in the configuration.
    pub const NAMES: [(&'static str, Self); 8] = [
        ("rejected", Self::Rejected),
        ("rate_limited", Self::RateLimited),
        ("unauthorized", Self::Unauthorized),
        ("quota_exhausted", Self::QuotaExhausted),
        ("unavailable", Self::Unavailable),
        ("too_large", Self::TooLarge),
        ("model_missing", Self::ModelMissing),
        ("model_retired", Self::ModelRetired),
    ];
}

/// One rule. A condition that is left out always holds; a rule without conditions matches every failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorRule {
    /// HTTP statuses of the reply, those of success included; empty for any.
    pub statuses: Vec<u16>,
    /// Machine-readable code anywhere in the body; `None` for any.
    pub code: Option<CodePattern>,
    /// Part of the message in lower case; `None` for any. Long quotations of a message do not count: they are texts of
    /// the request.
    pub says: Option<String>,
    /// Class of such a failure.
    pub class: ErrorClass,
    /// Decision about another attempt; `None` for what the class means.
    pub retry: Option<bool>,
}

/// A code in lower case, or the beginning of codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodePattern {
    text: String,
    is_prefix: bool,
}

impl CodePattern {
    /// The pattern that `text` writes: a code in any case, or its beginning and a `*`.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let lower = text.to_lowercase();
        match lower.strip_suffix('*') {
            Some(start) => Self { text: start.to_owned(), is_prefix: true },
            None => Self { text: lower, is_prefix: false },
        }
    }

    /// Returns true if `code`, which is in lower case, is the pattern's or begins with it.
    #[must_use]
    pub fn matches(&self, code: &str) -> bool {
        if self.is_prefix { code.starts_with(&self.text) } else { code == self.text }
    }
}
