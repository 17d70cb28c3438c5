//! The environment of a process, whose values may be secrets.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::{self, Debug, Formatter};

/// Environment variables by name. U+FFFD stands for what is not UTF-8; a variable is never left out.
///
/// `Debug` shows the names alone, because the values may be secrets.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// An environment without variables.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The environment of this process.
    #[must_use]
    pub fn from_process() -> Self {
        // A variable that was left out would look as if it were not set; this way its reader can say that it is wrong.
        std::env::vars_os().map(|(name, value)| (lossy(&name), lossy(&value))).collect()
    }

    /// The value of a variable; `None` if it is not set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Returns true if a variable is set, even to nothing.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Returns true if a variable is set to something else than blanks.
    pub(super) fn is_filled(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| !value.trim().is_empty())
    }

    /// All variables, by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Sets a variable.
    pub fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }
}

impl Debug for Environment {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        out.debug_set().entries(self.0.keys()).finish()
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self(variables.into_iter().collect())
    }
}

impl<const N: usize> From<[(String, String); N]> for Environment {
    fn from(variables: [(String, String); N]) -> Self {
        Self::from_iter(variables)
    }
}

fn lossy(value: &OsStr) -> String {
    value.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_shows_names_and_no_values() {
        let environment = Environment::from([("COHERE_API_KEY".to_owned(), "sk-1".to_owned())]);
        assert_eq!(format!("{environment:?}"), r#"{"COHERE_API_KEY"}"#);
    }
}
