//! Other names of a model. Many clients have a provider's model name built in, and a sidecar answers it with the model
//! that is configured.

/// A name, or a pattern: a name whose end is open (`nvidia/*`). `*` alone is every name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias(String);

impl Alias {
    /// The alias written as `text`.
    ///
    /// # Errors
    /// A sentence, if it is empty or has a `*` that is not its end.
    pub fn new(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("a name must not be empty".into());
        }
        if text.strip_suffix('*').unwrap_or(text).contains('*') {
            return Err(format!("{text:?} has a * that is not its end"));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name or pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns true if it may stand for more than one name.
    #[must_use]
    pub fn is_pattern(&self) -> bool {
        self.0.ends_with('*')
    }

    /// Returns true if it is exactly `name`, and no pattern.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        !self.is_pattern() && self.0 == name
    }

    /// Bytes of `name` that a pattern spells out; `None` if it does not fit or is no pattern.
    #[must_use]
    pub fn fit(&self, name: &str) -> Option<usize> {
        let stem = self.0.strip_suffix('*')?;
        if name.starts_with(stem) { Some(stem.len()) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_may_be_open() {
        let fit = |alias: &str, name| Alias::new(alias).unwrap().fit(name);
        assert_eq!(fit("*", "anything"), Some(0));
        assert_eq!(fit("nvidia/*", "nvidia/x"), Some(7));
        assert_eq!(fit("nvidia/*", "cohere/x"), None);
        assert_eq!(fit("exact", "exact"), None);
        assert!(Alias::new("exact").unwrap().is("exact"));
        assert!(!Alias::new("*").unwrap().is("*"));
        for wrong in ["", "a*b", "**"] {
            assert!(Alias::new(wrong).is_err(), "{wrong}");
        }
    }
}
