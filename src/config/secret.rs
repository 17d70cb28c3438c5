//! Secrets by reference: `env:NAME` or `file:/path`. A secret itself never stands in a configuration, and no message
//! quotes one.

use std::io;
use std::path::Path;

use secrecy::SecretString;

use super::Environment;

/// The beginning of a reference to a file.
const FILE: &str = "file:";

/// The reason for which there is no secret, in a sentence.
#[derive(Debug)]
pub(super) enum SecretFault {
    /// The variable or file is not there, or empty.
    Missing(String),
    /// The reference or the content is wrong.
    Wrong(String),
}

impl From<SecretFault> for String {
    fn from(fault: SecretFault) -> Self {
        match fault {
            SecretFault::Missing(reason) | SecretFault::Wrong(reason) => reason,
        }
    }
}

/// Reads the secret that `reference` points to, without the blanks around it.
///
/// # Errors
/// A sentence about the reference, or about the content of the variable or file.
pub(super) fn resolve(reference: &str, environment: &Environment) -> Result<SecretString, SecretFault> {
    let (content, source) = read(reference, environment)?;
    let secret = rerankd_core::text::without_mark(&content).trim();
    if secret.is_empty() {
        return Err(SecretFault::Missing(format!("{source} is empty")));
    }
    // Before the characters are checked: these reasons name the way out.
    if let Some(fault) = paste_fault(secret) {
        return Err(SecretFault::Wrong(format!("{source} {fault}")));
    }
    if !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        let reason = format!("{source} holds blanks or characters that cannot stand in a header");
        return Err(SecretFault::Wrong(reason));
    }
    Ok(SecretString::from(secret))
}

/// Returns true if a secret is read from a file, which may change while the process runs.
pub(super) fn is_file(reference: &str) -> bool {
    reference.starts_with(FILE)
}

/// The content of the variable or file that `reference` points to, and its name for messages.
fn read(reference: &str, environment: &Environment) -> Result<(String, String), SecretFault> {
    if let Some(name) = reference.strip_prefix("env:") {
        let Some(value) = environment.get(name) else {
            return Err(SecretFault::Missing(format!("environment variable {name} is not set")));
        };
        return Ok((value.to_owned(), format!("environment variable {name}")));
    }
    if let Some(path) = reference.strip_prefix(FILE) {
        return match std::fs::read_to_string(Path::new(path)) {
            Ok(content) => Ok((content, path.to_owned())),
            Err(error) => {
                let reason = format!("{path} cannot be read: {error}");
                let is_missing = error.kind() == io::ErrorKind::NotFound;
                Err(if is_missing { SecretFault::Missing(reason) } else { SecretFault::Wrong(reason) })
            }
        };
    }
    let reason = "must be a reference, \"env:NAME\" or \"file:/path\"; the secret itself does not belong here";
    Err(SecretFault::Wrong(reason.to_owned()))
}

/// Quotation marks that end up in keys.
const MARKS: [char; 9] = ['"', '\'', '`', '\u{201c}', '\u{201d}', '\u{2018}', '\u{2019}', '\u{ab}', '\u{bb}'];
/// The names of headers for keys, of their schemes and of their variables, in lower case.
const LABELS: [&str; 8] = ["bearer", "authorization", "basic", "token", "x-api-key", "api-key", "apikey", "key"];

/// The fault of a key that was pasted with something around it, or in place of which something else was pasted.
fn paste_fault(secret: &str) -> Option<&'static str> {
    if secret.contains('\u{fffd}') {
        Some("is not UTF-8")
    } else if secret.starts_with(MARKS) || secret.ends_with(MARKS) {
        Some("holds quotation marks around the key, as docker's --env-file hands them on; leave them out")
    } else if has_label(secret) {
        Some("begins with the name of a header or a scheme, such as \"Bearer \"; leave that out, rerankd adds it")
    } else if has_variable(secret) {
        Some("begins with the name of a variable, such as \"API_KEY=\"; leave that out")
    } else if secret.starts_with('$') {
        Some("holds a reference to another variable, which nothing has put the value for; write the key itself")
    } else if secret.starts_with("env:") || secret.starts_with("file:") {
        Some("holds a reference instead of the key; name that in the configuration")
    } else if secret.starts_with('<') && secret.ends_with('>') {
        Some("holds a placeholder instead of the key")
    } else {
        None
    }
}

/// Returns true if a label stands before the key, or "Bearer" in place of it. A key may be one of the other labels.
fn has_label(secret: &str) -> bool {
    let separators = [' ', '\t', ':', '='];
    let label = secret.split(separators).next().unwrap_or_default();
    let is_followed = !secret[label.len()..].trim_matches(separators).is_empty();
    LABELS.iter().any(|known| label.eq_ignore_ascii_case(known))
        && (is_followed || label.eq_ignore_ascii_case("bearer"))
}

/// Returns true if a variable's name and an equals sign stand before the key.
fn has_variable(secret: &str) -> bool {
    let Some((left, value)) = secret.split_once('=') else { return false };
    let name = left.trim_start_matches("export ");
    let is_name = name.ends_with("KEY") || name.ends_with("TOKEN");
    // Equals signs at the end are the padding of a key in base64.
    is_name && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') && !value.trim_matches('=').is_empty()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn of_variable(value: &str) -> Result<String, String> {
        let environment = Environment::from([("KEY".to_owned(), value.to_owned())]);
        let secret = resolve("env:KEY", &environment)?;
        Ok(secret.expose_secret().to_owned())
    }

    #[test]
    fn keys_are_taken_without_the_blanks_around_them() {
        for value in ["sk-1", " sk-1\r\n", "\u{feff}sk-1\n"] {
            assert_eq!(of_variable(value).as_deref(), Ok("sk-1"), "{value:?}");
        }
        for value in
            ["it's", "bearer-token-7", "Basically", "a\"b\"c", "KEY==", "APIKEY=", "key", "none", "a$b", "a<b>"]
        {
            assert_eq!(of_variable(value).as_deref(), Ok(value));
        }
    }

    /// Such a key would be sent as it stands, and the provider's 401 would not tell why.
    #[test]
    fn what_is_pasted_around_a_key_is_refused_with_its_reason() {
        for (value, reason) in [
            ("\"sk-1\"", "quotation marks"),
            ("'sk-1'", "quotation marks"),
            (" 'sk-1' ", "quotation marks"),
            ("\"\"", "quotation marks"),
            ("\u{201C}sk-1\u{201D}", "quotation marks"),
            ("\\\"sk-1\\\"", "quotation marks"),
            ("COHERE_API_KEY=sk-1", "leave that out"),
            ("Bearer sk-1", "leave that out"),
            ("bearer: sk-1", "leave that out"),
            ("Authorization: Bearer sk-1", "leave that out"),
            ("\"sk-1", "quotation marks"),
            ("\u{201c}sk-1\u{201d}", "quotation marks"),
            ("\u{2018}sk-1\u{2019}", "quotation marks"),
            ("\"Bearer sk-1\"", "quotation marks"),
            ("Bearer", "leave that out"),
            ("Token sk-1", "leave that out"),
            ("X-Api-Key: sk-1", "leave that out"),
            ("api-key=sk-1", "leave that out"),
            ("Authorization=Bearer sk-1", "leave that out"),
            ("COHERE_API_KEY=sk-1", "variable"),
            ("export API_KEY=sk-1", "variable"),
            ("${COHERE_API_KEY}", "another variable"),
            ("$KEY", "another variable"),
            ("env:OTHER", "reference"),
            ("file:/run/secrets/key", "reference"),
            ("<your-key>", "placeholder"),
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
        assert!(String::from(resolve(&reference, &Environment::new()).unwrap_err()).contains("quotation marks"));
    }
}
