//! Environment variables that look like configuration and are none, because levels want two underscores.

use toml::{Table, Value};

use super::Environment;
use super::layers::PREFIX;
use super::reader::Faults;

/// The beginning of all variables of rerankd's own.
const OWN_PREFIX: &str = "RERANKD_";
/// Words that other programs have for the address to listen on.
const ADDRESS_WORDS: [&str; 4] = ["HOST", "PORT", "ADDR", "BIND"];

/// Warns of every variable with single underscores that means a key of `table`. Others are nobody's business:
/// Kubernetes sets variables such as `RERANKD_SERVICE_HOST` for a service of this name.
pub(super) fn warn_of_stray_variables(table: &Table, environment: &Environment, faults: &Faults) {
    for (name, value) in environment.iter() {
        let Some(rest) = name.strip_prefix(OWN_PREFIX) else { continue };
        if name.starts_with(PREFIX) || value.contains("://") {
            continue;
        }
        if let Some(meant) = meant_by(rest, table) {
            faults.warn(name, format!("is not read: levels are parted by two underscores, as in {meant}"));
        }
    }
}

/// The variable that was probably meant by `RERANKD_` and `rest`; `None` if that is no key.
fn meant_by(rest: &str, table: &Table) -> Option<String> {
    if ADDRESS_WORDS.contains(&rest) {
        return Some(format!("{PREFIX}SERVER__LISTEN=127.0.0.1:8787"));
    }
    for (section, value) in table {
        let Value::Table(keys) = value else { continue };
        let section = section.to_uppercase();
        for key in keys.keys() {
            let key = key.to_uppercase();
            if rest == key || rest == format!("{section}_{key}") {
                return Some(format!("{PREFIX}{section}__{key}"));
            }
        }
        // Keys of upstreams and models are below names that the operator chose.
        if let "UPSTREAMS" | "MODELS" = &*section
            && let Some(below) = rest.strip_prefix(&*section)
            && below.starts_with('_')
        {
            return Some(format!("{PREFIX}{section}__NAME__KEY"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_variables_that_mean_a_key_are_warned_of() {
        let table = crate::config::compiled_in::table();
        for (rest, meant) in [
            ("LISTEN", Some("RERANKD__SERVER__LISTEN")),
            ("SERVER_LISTEN", Some("RERANKD__SERVER__LISTEN")),
            ("CACHE_MAX_BYTES", Some("RERANKD__CACHE__MAX_BYTES")),
            ("UPSTREAMS_COHERE_API_KEY", Some("RERANKD__UPSTREAMS__NAME__KEY")),
            ("PORT", Some("RERANKD__SERVER__LISTEN=127.0.0.1:8787")),
            ("CONFIG", None),
            ("SERVICE_HOST", None),
            ("SERVICE_PORT_HTTP", None),
            ("SOMETHING", None),
        ] {
            assert_eq!(meant_by(rest, table).as_deref(), meant, "{rest}");
        }
    }
}
