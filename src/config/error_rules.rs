//! `[[providers.NAME.errors]]`: the rules by which failures of a provider are sorted.

use rerankd_core::types::error_rule::{CodePattern, ErrorClass, ErrorRule};
use toml::Value;

use super::reader::{Section, boolean, one_of, text};
use super::values::statuses;

/// The rules under the key `errors` of a provider; none if there is no such key. A rule with a fault is left out.
pub(super) fn read(section: &Section<'_>) -> Vec<ErrorRule> {
    if !section.has("errors") {
        return Vec::new();
    }
    let what = "a list of tables such as [{ status = 429, code = \"1113\", is = \"quota_exhausted\" }]";
    let rules = section.items("errors", what, read_rule, |_| Err("must be a table".to_owned()));
    rules.into_iter().flatten().collect()
}

fn read_rule(section: &Section<'_>) -> Option<ErrorRule> {
    let statuses = section.read_or("status", Vec::new(), statuses(200..=599));
    let code = section.read("code", word).map(|code| CodePattern::of(&code));
    let says = section.read("says", word).map(|words| words.to_lowercase());
    let class = section.require("is", one_of(&ErrorClass::NAMES));
    let retry = section.read("retry", boolean);
    if class.is_some() && !(section.has("status") || section.has("code") || section.has("says")) {
        section.fault("is", "would hold for every failure: say for which by status, code or says");
    }
    Some(ErrorRule { statuses: statuses?, code, says, class: class?, retry })
}

/// A text that is not empty.
fn word(value: &Value) -> Result<String, String> {
    match text(value)? {
        empty if empty.trim().is_empty() => Err("must not be empty".to_owned()),
        word => Ok(word),
    }
}
