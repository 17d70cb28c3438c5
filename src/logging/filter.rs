//! `telemetry.log_filter`: a level, or directives such as `rerankd=debug,warn`.

use rerankd_core::suggestion::nearest;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::{ACCESS_TARGET, REPEATS_TARGET, REQUEST_TARGET, SUBSTITUTION_TARGET};

/// A name that other programs have for the level `warn`.
const WARNING: &str = "warning";
/// The name of this program, with which its targets begin.
const OWN_TARGET: &str = "rerankd";
/// The targets that are not a place in the source.
const NAMED_TARGETS: [&str; 4] = [ACCESS_TARGET, REQUEST_TARGET, SUBSTITUTION_TARGET, REPEATS_TARGET];

/// Parses a filter. The library would take a word that is no level for the name of a target, and silence all others.
///
/// # Errors
/// A sentence that says what is wrong with the filter.
pub fn parse_filter(filter: &str) -> Result<EnvFilter, String> {
    // A span's fields may hold commas, which separate nothing.
    if filter.contains('[') {
        return parsed(filter);
    }
    let mut directives = Vec::new();
    for directive in filter.split(',').map(str::trim) {
        // A comma at the end is no fault.
        if directive.is_empty() && !filter.trim().is_empty() {
            continue;
        }
        let (target, level) = match directive.rsplit_once('=') {
            Some((target, level)) => (Some(target), level),
            None => (None, directive),
        };
        let level = if level.eq_ignore_ascii_case(WARNING) { "warn" } else { level };
        if target.is_none() && !is_level(level) && !is_own_target(level) {
            return Err(format!(
                "{directive:?} is no level; write trace, debug, info, warn, error or off, or directives such as \
                 \"info,rerankd::access=off\""
            ));
        }
        directives.push(match target {
            Some(target) => format!("{target}={level}"),
            None => level.to_owned(),
        });
    }
    parsed(&directives.join(","))
}

/// The target in `filter` that is nearly one of ours, with the one that was probably meant.
pub(crate) fn misspelt_target(filter: &str) -> Option<(&str, &'static str)> {
    for directive in filter.split(',') {
        let target = directive.split(['=', '[']).next().unwrap_or_default().trim();
        if !is_own_target(target) || NAMED_TARGETS.contains(&target) {
            continue;
        }
        if let Some(meant) = nearest(target, NAMED_TARGETS.into_iter()) {
            return Some((target, meant));
        }
    }
    None
}

fn parsed(filter: &str) -> Result<EnvFilter, String> {
    EnvFilter::builder().parse(filter).map_err(|error| format!("is not a log filter: {error}"))
}

fn is_level(word: &str) -> bool {
    // The library takes an empty word for `error`.
    !word.is_empty() && word.parse::<LevelFilter>().is_ok()
}

/// Returns true for the name of this program, of one of its crates, or of a part of them.
fn is_own_target(word: &str) -> bool {
    word.starts_with(OWN_TARGET)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_no_level_is_refused_and_warning_is_one() {
        for word in ["verbose", "", " ", "informational", "info,verbose"] {
            let told = parse_filter(word).unwrap_err();
            assert!(told.contains("is no level; write trace, debug, info, warn, error or off, or "), "{word}: {told}");
        }
        for (filter, meant) in [
            ("warning", "warn"),
            ("WARN", "warn"),
            ("Warning", "warn"),
            ("off", "off"),
            ("info,", "info"),
            ("rerankd=warning, error", "rerankd=warn,error"),
            ("info,rerankd::access=off", "rerankd::access=off,info"),
            ("rerankd_core", "rerankd_core=trace"),
        ] {
            assert_eq!(parse_filter(filter).unwrap().to_string(), meant, "{filter}");
        }
        assert!(parse_filter("rerankd=loud").unwrap_err().starts_with("is not a log filter: "));
    }

    #[test]
    fn targets_that_are_nearly_one_of_ours_are_found() {
        assert_eq!(misspelt_target("warn,rerankd::acess=info"), Some(("rerankd::acess", ACCESS_TARGET)));
        assert_eq!(misspelt_target("rerankd::requests=info"), Some(("rerankd::requests", REQUEST_TARGET)));
        for filter in ["warn", "warn,rerankd::access=off", "rerankd=debug", "rerankd::http=debug", "rerankd_core=info"]
        {
            assert_eq!(misspelt_target(filter), None, "{filter}");
        }
    }
}
