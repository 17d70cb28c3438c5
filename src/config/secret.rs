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
    if !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("{place} holds blanks or characters that cannot stand in a header"));
    }
    Ok(SecretString::from(secret))
}
