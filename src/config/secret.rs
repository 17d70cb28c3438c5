//! Secrets by reference: `env:NAME` or `file:/path`. A secret itself never stands in a configuration, and no message quotes one.

use std::path::Path;

use secrecy::SecretString;

use super::Environment;

/// Reads the secret that `reference` points to.
///
/// # Errors
/// What is wrong with the reference or with what it points to.
pub(super) fn resolve(reference: &str, environment: &Environment) -> Result<SecretString, String> {
    let (secret, place) = if let Some(name) = reference.strip_prefix("env:") {
        let value = environment.get(name).ok_or_else(|| format!("environment variable {name} is not set"))?;
        (value.clone(), format!("environment variable {name}"))
    } else if let Some(path) = reference.strip_prefix("file:") {
        let read =
            std::fs::read_to_string(Path::new(path)).map_err(|error| format!("{path} cannot be read: {error}"))?;
        (read, path.to_owned())
    } else {
        return Err(
            "must be a reference, \"env:NAME\" or \"file:/path\"; the secret itself does not belong here".into()
        );
    };
    let secret = crate::text::without_mark(&secret).trim();
    if secret.is_empty() {
        return Err(format!("{place} is empty"));
    }
    if let Some(what) = pasted_too_much(secret) {
        return Err(format!("{place} {what}"));
    }
    if !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("{place} holds blanks or characters that cannot stand in a header"));
    }
    Ok(SecretString::from(secret))
}

/// What stands around a key that people paste, and the shell would have taken away.
fn pasted_too_much(secret: &str) -> Option<&'static str> {
    let marks =
        [("\"", "\""), ("'", "'"), ("`", "`"), ("\\\"", "\\\""), ("\u{201C}", "\u{201D}"), ("\u{2018}", "\u{2019}")];
    let is_quoted = marks.iter().any(|(opening, closing)| secret.starts_with(opening) && secret.ends_with(closing));
    let is_reference = secret.starts_with("${") && secret.ends_with('}');
    let assigned = secret.split_once('=').filter(|(_, value)| !value.trim_start_matches('=').is_empty());
    let name = assigned.map_or("", |(name, _)| name);
    let is_assignment = name.ends_with("KEY")
        && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    let word = secret.split(|letter: char| !letter.is_ascii_alphabetic()).next().unwrap_or_default();
    let scheme_ends_word = secret[word.len()..].starts_with([' ', ':', '\t']);
    let is_header = ["bearer", "authorization", "basic"].iter().any(|scheme| word.eq_ignore_ascii_case(scheme));
    if secret.contains('\u{fffd}') {
        Some("is not UTF-8")
    } else if is_quoted {
        Some("holds quotation marks around the key, as docker's --env-file hands them on; leave them out")
    } else if is_reference {
        Some("holds the name of a variable and not its value: nobody has put that in its place")
    } else if is_assignment {
        Some("begins with the name of a variable and \"=\"; leave that out")
    } else if is_header && scheme_ends_word {
        Some("begins with the name of a header or a scheme, such as \"Bearer \"; leave that out, rerankd adds it")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn of_variable(value: &str) -> Result<String, String> {
        let environment = Environment::from([("KEY".to_owned(), value.to_owned())]);
        resolve("env:KEY", &environment).map(|secret| secret.expose_secret().to_owned())
    }

    #[test]
    fn keys_are_taken_without_the_blanks_around_them() {
        for value in ["sk-1", " sk-1\r\n", "\u{feff}sk-1\n"] {
            assert_eq!(of_variable(value).as_deref(), Ok("sk-1"), "{value:?}");
        }
        for value in ["it's", "bearer-token-7", "Basically", "\"sk", "a\"b\"c", "AbKEY=", "aGV5KEY=", "$KEY"] {
            assert_eq!(of_variable(value).as_deref(), Ok(value));
        }
    }

    /// Kind I, attack 19.
    #[test]
    fn what_is_pasted_around_a_key_is_refused_with_its_reason() {
        for (value, reason) in [
            ("\"sk-1\"", "quotation marks"),
            ("'sk-1'", "quotation marks"),
            (" 'sk-1' ", "quotation marks"),
            ("\"\"", "quotation marks"),
            ("\u{201C}sk-1\u{201D}", "quotation marks"),
            ("\\\"sk-1\\\"", "quotation marks"),
            ("${COHERE_API_KEY}", "the name of a variable"),
            ("COHERE_API_KEY=sk-1", "leave that out"),
            ("Bearer sk-1", "leave that out"),
            ("bearer: sk-1", "leave that out"),
            ("Authorization: Bearer sk-1", "leave that out"),
            ("sk\u{fffd}1", "is not UTF-8"),
            ("sk 1", "blanks"),
            (" ", "is empty"),
        ] {
            let message = of_variable(value).unwrap_err();
            assert!(message.starts_with("environment variable KEY ") && message.contains(reason), "{value}: {message}");
            assert!(!message.contains("sk-1"), "{message}");
        }
    }

    #[test]
    fn files_are_read_with_a_byte_order_mark_and_line_ends() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "\u{feff}sk-1\r\n").unwrap();
        let reference = format!("file:{}", file.path().display());
        assert_eq!(resolve(&reference, &Environment::new()).unwrap().expose_secret(), "sk-1");
        std::fs::write(file.path(), "'sk-1'\n").unwrap();
        assert!(resolve(&reference, &Environment::new()).unwrap_err().contains("quotation marks"));
    }
}
