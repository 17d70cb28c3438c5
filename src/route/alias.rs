//! Other names of a model. Many clients have a provider's model name built in, and a sidecar serves it by whatever is configured.

/// A name, or a pattern: a name whose end is open (`nvidia/*`). `*` alone is every name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias(String);

impl Alias {
    /// The alias that `text` says.
    ///
    /// # Errors
    /// A sentence: it is empty, or has a `*` that is not its end.
    pub fn new(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("a name must not be empty".into());
        }
        if text.strip_suffix('*').unwrap_or(text).contains('*') {
            return Err(format!("{text:?} has a * that is not its end"));
        }
        Ok(Self(text.to_owned()))
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it stands for more than one name.
    #[must_use]
    pub fn is_pattern(&self) -> bool {
        self.0.ends_with('*')
    }

    /// Whether it is exactly `name`.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        !self.is_pattern() && self.0 == name
    }

    /// How much of `name` a pattern names itself; `None` if it does not fit or is no pattern.
    #[must_use]
    pub fn fit(&self, name: &str) -> Option<usize> {
        self.0.strip_suffix('*').filter(|stem| name.starts_with(stem)).map(str::len)
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
