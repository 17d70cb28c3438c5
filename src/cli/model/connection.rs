//! The HTTP client of `rerankd model fetch`, and its errors in sentences.

use std::time::Duration;

use reqwest::{Client, StatusCode};
use rerankd_core::text::root_cause;
use rerankd_core::upstream::http_client::through;
use url::Url;

use crate::config::{Environment, proxy_for};

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for the next bytes.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// A client for calls to `address`, through the proxy that the environment names for it.
///
/// # Errors
/// A sentence: the proxy, or TLS, cannot be set up.
pub(super) fn client(address: &Url, environment: &Environment) -> Result<Client, String> {
    let proxy = proxy_for(address, environment)?;
    let builder = through(proxy.as_ref(), Client::builder())?;
    builder
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .build()
        .map_err(|error| format!("the HTTP client cannot be set up: {}", root_cause(&error)))
}

/// The error of an address that does not answer, with the way out.
pub(super) fn unreachable(address: &Url, error: &reqwest::Error) -> String {
    format!(
        "{} cannot be reached: {}; --index names another package index, HTTPS_PROXY a proxy, and --from a file that \
         was downloaded elsewhere",
        shown(address),
        root_cause(error)
    )
}

/// The error of an answer with another status than success, with the way out.
pub(super) fn refused(address: &Url, status: StatusCode) -> String {
    format!(
        "{} answers with status {}; --index names another package index, and --from a file that was downloaded \
         elsewhere",
        shown(address),
        status.as_u16()
    )
}

/// An address without what may be secret in it: credentials, and the query, which may be a signature.
pub(super) fn shown(address: &Url) -> String {
    let mut shown = address.clone();
    // These fail for addresses without a host alone.
    let cleared = shown.set_username("").is_ok() && shown.set_password(None).is_ok();
    debug_assert!(cleared);
    shown.set_query(None);
    shown.set_fragment(None);
    shown.into()
}
