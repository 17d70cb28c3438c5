//! The part of an HTTP client that is the same whatever it is for: TLS and the proxy.

use std::sync::Once;

use reqwest::ClientBuilder;
use secrecy::ExposeSecret;

use crate::text::root_cause;
use crate::upstream::settings::ProxySettings;

/// `builder` with our TLS, and with `proxy` as the only one; `None` is a direct connection.
///
/// # Errors
/// A sentence: the proxy cannot be used.
pub fn through(proxy: Option<&ProxySettings>, builder: ClientBuilder) -> Result<ClientBuilder, String> {
    install_tls_provider();
    // The configuration has read the proxy variables already; reqwest must not read them again.
    let builder = builder.no_proxy().user_agent(concat!("rerankd/", env!("CARGO_PKG_VERSION")));
    let Some(settings) = proxy else { return Ok(builder) };
    let proxy = reqwest::Proxy::all(settings.url.clone())
        .map_err(|error| format!("the proxy {settings} cannot be used: {}", root_cause(&error)))?;
    Ok(builder.proxy(match &settings.credentials {
        Some((user, password)) => proxy.basic_auth(user, password.expose_secret()),
        None => proxy,
    }))
}

/// Makes ring the process's TLS implementation, unless the embedding program chose one.
fn install_tls_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
}
