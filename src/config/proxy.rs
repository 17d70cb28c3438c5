//! The proxy of calls to an address, by the customary variables of the environment.
//!
//! They are `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, each in lower case too, as curl reads them. A
//! service on this machine is never asked through a proxy: the proxy would take `localhost` for its own machine.

use std::net::IpAddr;

use percent_encoding::percent_decode_str;
use rerankd_core::upstream::settings::ProxySettings;
use secrecy::SecretString;
use url::{Host, Url};

use super::Environment;

/// The proxy that calls to `url` go through; `None` if they go to `url` directly.
///
/// # Errors
/// A sentence: the value of the variable is no address of a proxy, or of a kind that is not supported.
pub(crate) fn proxy_for(url: &Url, environment: &Environment) -> Result<Option<ProxySettings>, String> {
    let Some(host) = url.host() else { return Ok(None) };
    if is_loopback(&host) || is_excepted(&host, url.port_or_known_default(), environment) {
        return Ok(None);
    }
    let names: &[&str] = match url.scheme() {
        "https" => &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
        // Beside a web server's REQUEST_METHOD the upper-case name is a header of the client's.
        _ if environment.is_set("REQUEST_METHOD") => &["http_proxy", "all_proxy", "ALL_PROXY"],
        _ => &["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"],
    };
    for name in names {
        let Some(value) = variable(environment, name) else { continue };
        return match parse(value) {
            Ok(proxy) => Ok(Some(proxy)),
            Err(fault) => Err(format!("environment variable {name} {fault}, or name {host} in NO_PROXY")),
        };
    }
    Ok(None)
}

/// The value of a variable; `None` if it is not set or blank.
fn variable<'a>(environment: &'a Environment, name: &str) -> Option<&'a str> {
    // docker's --env-file hands quotation marks on.
    let value =
        environment.get(name)?.trim_matches(|letter: char| letter.is_whitespace() || matches!(letter, '"' | '\''));
    (!value.is_empty()).then_some(value)
}

/// Parses the address of a proxy; without a scheme it is one that speaks HTTP.
///
/// # Errors
/// The end of a sentence that begins with the variable's name.
fn parse(value: &str) -> Result<ProxySettings, &'static str> {
    let with_scheme = if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
    let mut url = Url::parse(&with_scheme).map_err(|_| "is not the address of a proxy; write http://HOST:PORT")?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("names a proxy that speaks neither http nor https, which is not supported; use one that does");
    }
    if url.host().is_none() {
        return Err("names no host; write http://HOST:PORT");
    }
    let user = percent_decode_str(url.username()).decode_utf8_lossy().into_owned();
    let password = percent_decode_str(url.password().unwrap_or_default()).decode_utf8_lossy().into_owned();
    let credentials = (!user.is_empty() || !password.is_empty()).then(|| (user, SecretString::from(password)));
    // These fail for addresses without a host alone.
    let cleared = url.set_username("").is_ok() && url.set_password(None).is_ok();
    debug_assert!(cleared);
    url.set_path("");
    url.set_query(None);
    url.set_fragment(None);
    Ok(ProxySettings { url, credentials })
}

/// Returns true if the host is this machine.
fn is_loopback(host: &Host<&str>) -> bool {
    if let Some(address) = address(host) {
        // A connection to 0.0.0.0 or [::] reaches this machine on Linux.
        return address.is_loopback() || address.is_unspecified();
    }
    let name = name(host);
    name == "localhost" || name.ends_with(".localhost") || name == "localhost.localdomain"
}

/// Returns true if `NO_PROXY` names the host.
fn is_excepted(host: &Host<&str>, port: Option<u16>, environment: &Environment) -> bool {
    let Some(list) = variable(environment, "no_proxy").or(variable(environment, "NO_PROXY")) else { return false };
    for entry in list.split([',', ' ', '\t', '\n']) {
        let entry = entry.trim();
        if !entry.is_empty() && covers(entry, host, port) {
            return true;
        }
    }
    false
}

/// Returns true if an entry of `NO_PROXY` covers a host. An entry is `*`, a name and all below it, an address or a
/// network, each perhaps with a port.
fn covers(entry: &str, host: &Host<&str>, port: Option<u16>) -> bool {
    if entry == "*" {
        return true;
    }
    let (pattern, wanted_port) = split_port(entry);
    if wanted_port.is_some() && wanted_port != port {
        return false;
    }
    let without_brackets = pattern.trim_start_matches('[').trim_end_matches(']');
    if let Some((network, bits)) = without_brackets.split_once('/') {
        return address(host).is_some_and(|address| is_in(address, network, bits));
    }
    if let Some(address) = address(host) {
        return without_brackets.parse::<IpAddr>().is_ok_and(|excepted| excepted.to_canonical() == address);
    }
    // `.example.com` and `*.example.com` mean the domain itself too, as for curl.
    let domain = without_brackets.trim_start_matches('*').trim_matches('.').to_ascii_lowercase();
    let name = name(host);
    let is_below = name.strip_suffix(&*domain).is_some_and(|rest| rest.ends_with('.'));
    !domain.is_empty() && (name == domain || is_below)
}

/// Splits `host:port` or `[address]:port`. An IPv6 address without brackets has no port.
fn split_port(entry: &str) -> (&str, Option<u16>) {
    let is_bare_address = entry.matches(':').count() > 1 && !entry.starts_with('[');
    match entry.rsplit_once(':') {
        Some((host, port)) if !is_bare_address && !port.ends_with(']') => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (entry, None),
        },
        _ => (entry, None),
    }
}

/// Returns true if the address is in `network/bits`.
fn is_in(address: IpAddr, network: &str, bits: &str) -> bool {
    let Ok(network) = network.parse::<IpAddr>() else { return false };
    let Ok(bits) = bits.parse::<u32>() else { return false };
    match (address, network.to_canonical()) {
        (IpAddr::V4(address), IpAddr::V4(network)) if bits <= 32 => {
            // With 0 bits the shift is as wide as the number, which overflows; the mask is then empty.
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            address.to_bits() & mask == network.to_bits() & mask
        }
        (IpAddr::V6(address), IpAddr::V6(network)) if bits <= 128 => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            address.to_bits() & mask == network.to_bits() & mask
        }
        _ => false,
    }
}

/// The address of a host that is one, IPv4 even if it was written as IPv6.
fn address(host: &Host<&str>) -> Option<IpAddr> {
    match host {
        Host::Ipv4(address) => Some(IpAddr::V4(*address)),
        Host::Ipv6(address) => Some(IpAddr::V6(*address).to_canonical()),
        Host::Domain(_) => None,
    }
}

/// The host in lower case, without the dot that may end a full domain name.
fn name(host: &Host<&str>) -> String {
    host.to_string().trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn proxy(url: &str, variables: &[(&str, &str)]) -> Option<String> {
        let found = proxy_for(&url.parse().unwrap(), &environment(variables)).unwrap();
        found.map(|proxy| proxy.to_string())
    }

    /// Otherwise key, query and passages would go to the proxy, and its 503 would read like the upstream's.
    #[test]
    fn what_is_on_this_machine_is_never_asked_through_a_proxy() {
        let variables = [("HTTP_PROXY", "http://p:1"), ("HTTPS_PROXY", "http://p:1"), ("ALL_PROXY", "http://p:1")];
        for host in [
            "localhost",
            "LOCALHOST.",
            "a.localhost",
            "127.0.0.1",
            "127.8.9.10:8080",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "0.0.0.0",
            "[::]",
            "0x7f.1",
        ] {
            for scheme in ["http", "https"] {
                assert_eq!(proxy(&format!("{scheme}://{host}/"), &variables), None, "{host}");
            }
        }
        for host in ["localhost.example", "notlocalhost", "128.0.0.1", "10.0.0.1", "[::2]"] {
            assert_eq!(proxy(&format!("http://{host}/"), &variables).as_deref(), Some("http://p:1"), "{host}");
        }
    }

    #[test]
    fn the_scheme_chooses_the_variable() {
        for (url, variables, expected) in [
            ("https://h", &[("HTTPS_PROXY", "http://s:1"), ("HTTP_PROXY", "http://p:1")][..], Some("http://s:1")),
            ("http://h", &[("HTTPS_PROXY", "http://s:1"), ("HTTP_PROXY", "http://p:1")], Some("http://p:1")),
            ("http://h", &[("HTTPS_PROXY", "http://s:1")], None),
            ("https://h", &[("HTTP_PROXY", "http://p:1")], None),
            ("https://h", &[("all_proxy", "http://a:1")], Some("http://a:1")),
            ("https://h", &[("https_proxy", "http://l:1"), ("HTTPS_PROXY", "http://u:1")], Some("http://l:1")),
            ("https://h", &[("https_proxy", " "), ("HTTPS_PROXY", "http://u:1")], Some("http://u:1")),
            ("https://h", &[("HTTPS_PROXY", "p:3128")], Some("http://p:3128")),
            ("https://h", &[("HTTPS_PROXY", "\"http://p:3128\"")], Some("http://p:3128")),
            ("https://h", &[("HTTPS_PROXY", "https://user:pass@p/x?y")], Some("https://p")),
            ("http://h", &[("HTTP_PROXY", "http://p:1"), ("REQUEST_METHOD", "GET")], None),
        ] {
            assert_eq!(proxy(url, variables).as_deref(), expected, "{url} {variables:?}");
        }
        let with_password = environment(&[("HTTPS_PROXY", "http://us%40er:pa%3Ass@p:1")]);
        let found = proxy_for(&"https://h".parse().unwrap(), &with_password).unwrap().unwrap();
        let (user, password) = found.credentials.as_ref().unwrap();
        assert_eq!((&**user, password.expose_secret()), ("us@er", "pa:ss"));
        assert!(!format!("{found:?} {found}").contains("pa:ss"));
    }

    #[test]
    fn exceptions_are_those_of_curl() {
        let cases = [
            ("*", "https://any.host", true),
            ("a.b, *", "http://10.0.0.1", true),
            ("example.com", "https://example.com", true),
            ("example.com", "https://api.example.com", true),
            (".example.com", "https://api.EXAMPLE.com.", true),
            (".example.com", "https://example.com", true),
            ("*.example.com", "https://api.example.com", true),
            ("example.com", "https://notexample.com", false),
            ("api.example.com", "https://example.com", false),
            ("example.com:8080", "http://example.com:8080", true),
            ("example.com:8080", "http://example.com", false),
            ("example.com:443", "https://example.com", true),
            ("10.0.0.1", "http://10.0.0.1:9", true),
            ("10.0.0.1:9", "http://10.0.0.1:9", true),
            ("10.0.0.1:9", "http://10.0.0.1:8", false),
            ("0.0.0.1", "http://10.0.0.1", false),
            ("10.0.0.0/8,192.168.0.0/16", "http://192.168.3.4", true),
            ("10.0.0.0/8", "http://11.0.0.1", false),
            ("10.0.0.0/33", "http://10.0.0.1", false),
            ("0.0.0.0/0", "http://10.0.0.1", true),
            ("fd00::/8", "http://[fd12::1]:8080", true),
            ("fd12::1", "http://[fd12::1]:8080", true),
            ("[fd12::1]:8080", "http://[fd12::1]:8080", true),
            ("[fd12::1]:8081", "http://[fd12::1]:8080", false),
            ("a.b c.d\tapi.x", "http://api.x", true),
            ("\"api.x\"", "http://api.x", true),
            ("'a.b,api.x'", "http://api.x", true),
            ("\"*\"", "http://api.x", true),
            (", ,.,*.", "http://h", false),
            ("", "http://h", false),
        ];
        for (list, url, is_direct) in cases {
            for name in ["NO_PROXY", "no_proxy"] {
                let found = proxy(url, &[("ALL_PROXY", "http://p:1"), (name, list)]);
                assert_eq!(found.is_none(), is_direct, "{list} {url}");
            }
        }
    }

    #[test]
    fn a_proxy_that_is_none_is_told() {
        for value in ["socks5://p:1", "http://", "http://p:99999", "::", "ftp://p"] {
            let found = proxy_for(&"https://h".parse().unwrap(), &environment(&[("HTTPS_PROXY", value)]));
            let message = found.unwrap_err();
            assert!(message.starts_with("environment variable HTTPS_PROXY "), "{message}");
            assert!(message.ends_with("or name h in NO_PROXY"), "{message}");
        }
    }

    proptest! {
        #[test]
        fn no_list_panics(list in "[a-f0-9.:/*, \\[\\]]{0,30}") {
            for url in ["http://a.b:80", "http://10.0.0.1", "http://[fd00::1]"] {
                proxy(url, &[("ALL_PROXY", "http://p:1"), ("NO_PROXY", &list)]);
            }
        }
    }
}
