//! Protection against web pages that reach the server through a visitor's browser: cross-site requests, DNS rebinding.
//!
//! Without keys, every client that reaches the server may rerank. A browser reaches it on behalf of every page that it
//! shows, either with a request that needs no permission (`fetch` with `no-cors`), or under a name that the page's
//! owner has bound to 127.0.0.1. Browsers send the page's site as `Origin` and the name as `Host`. Other clients send
//! no `Origin`.

use std::net::IpAddr;

use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use rerankd_core::error::{Error, ErrorKind};

use crate::http::settings::ServerSettings;

/// Header in which browsers say how the requesting page relates to the server (Fetch Metadata).
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// Names by which containers reach their host. They cannot be rebound: nobody can register names in `.internal`.
const CONTAINER_HOSTS: [&str; 2] = ["host.docker.internal", "host.containers.internal"];
/// The entry of a list that allows everything.
const ANY: &str = "*";

/// The web pages that may send requests, and the names by which the server may be reached.
#[derive(Debug)]
pub struct OriginPolicy {
    /// True if no key is needed.
    checks_origin: bool,
    /// True if besides only known names lead here.
    checks_host: bool,
    /// Names in the form of [`plain`], or `*`.
    allowed_hosts: Vec<String>,
    /// Origins in lower case, or `*`.
    allowed_origins: Vec<String>,
}

impl OriginPolicy {
    /// The policy for these settings. With keys nothing is checked, because no web page has one.
    #[must_use]
    pub fn new(settings: &ServerSettings) -> Self {
        let is_open = settings.api_keys.is_empty();
        Self {
            checks_origin: is_open,
            // Other machines use names that are not known here, unless they are listed.
            checks_host: is_open && (settings.listen.ip().is_loopback() || !settings.allowed_hosts.is_empty()),
            allowed_hosts: settings.allowed_hosts.iter().map(|host| plain(host)).collect(),
            allowed_origins: settings.allowed_origins.iter().map(|origin| origin.to_ascii_lowercase()).collect(),
        }
    }

    /// Checks the name by which the server was reached and the site that a browser sends.
    ///
    /// # Errors
    /// `forbidden` if one of them is not allowed.
    pub fn check(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Error> {
        if self.checks_host {
            self.check_host(uri, headers)?;
        }
        if self.checks_origin {
            self.check_origin(method, uri, headers)?;
        }
        Ok(())
    }

    /// Checks every name by which the server was reached.
    fn check_host(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Error> {
        // HTTP/2 has the name in the URI, and HTTP/1 may have it in both places. All of them must be allowed.
        let mut is_allowed = true;
        for host in headers.get_all(header::HOST) {
            is_allowed &= std::str::from_utf8(host.as_bytes()).is_ok_and(|host| self.allows_host(host));
        }
        if let Some(authority) = uri.authority() {
            is_allowed &= self.allows_host(authority.as_str());
        }
        if is_allowed {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Forbidden,
            "the request's Host is neither a name of this machine nor in server.allowed_hosts; ask by localhost or \
             127.0.0.1, add the name to server.allowed_hosts, or set server.api_keys",
        ))
    }

    /// Returns true if the server may be reached as `host`, with or without a port.
    fn allows_host(&self, host: &str) -> bool {
        let Some(name) = host_of(host) else { return false };
        is_this_machine(&name) || allows(&self.allowed_hosts, &name)
    }

    /// Checks the site of the page behind a request, if a browser sends it.
    fn check_origin(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Error> {
        let fetch_site = headers.get(FETCH_SITE).map(HeaderValue::as_bytes);
        // Scripts cannot set this header, and it is right even behind a proxy that changes `Host`.
        if fetch_site == Some(b"same-origin") {
            return Ok(());
        }
        let mut origins = headers.get_all(header::ORIGIN).iter().peekable();
        // Following a link from another site sends no `Origin` either. It is a GET, which calls no provider.
        let is_foreign = if origins.peek().is_none() {
            fetch_site == Some(b"cross-site") && !method.is_safe()
        } else {
            origins.any(|origin| !origin.to_str().is_ok_and(|origin| self.allows(origin, uri, headers)))
        };
        if is_foreign {
            return Err(Error::new(
                ErrorKind::Forbidden,
                "web pages of other sites may not ask; add the page's origin, such as https://app.example, to \
                 server.allowed_origins, or set server.api_keys",
            ));
        }
        Ok(())
    }

    /// Returns true if pages of `origin` may send requests: those of this server, of this machine and of
    /// `server.allowed_origins`.
    fn allows(&self, origin: &str, uri: &Uri, headers: &HeaderMap) -> bool {
        let origin = origin.to_ascii_lowercase();
        if allows(&self.allowed_origins, &origin) {
            return true;
        }
        let Some((scheme, authority)) = origin.split_once("://") else { return false };
        if host_of(authority).is_some_and(|name| is_this_machine(&name)) {
            return true;
        }
        let own_authority = match (uri.authority(), headers.get(header::HOST)) {
            (Some(own_authority), _) => own_authority.as_str(),
            (None, Some(host)) => match host.to_str() {
                Ok(host) => host,
                Err(_) => return false,
            },
            (None, None) => return false,
        };
        // The default port may be left out on either side.
        let default_port = if scheme == "https" { ":443" } else { ":80" };
        without_port(own_authority, default_port).eq_ignore_ascii_case(without_port(authority, default_port))
    }
}

/// The authority without `default_port`.
fn without_port<'a>(authority: &'a str, default_port: &str) -> &'a str {
    authority.strip_suffix(default_port).unwrap_or(authority)
}

/// The fault of an entry of `server.allowed_hosts`; `None` if it is valid.
pub(crate) fn host_fault(host: &str) -> Option<&'static str> {
    // A host with a port differs from its name alone.
    let is_name = host == ANY || host_of(host).is_some_and(|name| name == plain(host));
    (!is_name)
        .then_some("must be a host name without scheme, port and path, such as \"rerank.example\"; \"*\" allows all")
}

/// The fault of an entry of `server.allowed_origins`; `None` if it is valid.
pub(crate) fn origin_fault(origin: &str) -> Option<&'static str> {
    let is_origin = match origin.split_once("://") {
        Some((_, authority)) => host_of(authority).is_some(),
        None => origin == ANY,
    };
    (!is_origin).then_some("must be a scheme and a host, such as \"https://app.example\"; \"*\" allows all")
}

/// Returns true if a list holds `name`, or `*`. Both are compared as they are: in lower case.
fn allows(allowed: &[String], name: &str) -> bool {
    allowed.iter().any(|allowed| allowed == name || allowed == ANY)
}

/// The host in `host:port`, in lower case; `None` for anything else, such as `user@host`.
fn host_of(authority: &str) -> Option<String> {
    let parsed: Authority = authority.parse().ok()?;
    let is_bare = !authority.contains('@') && !parsed.host().is_empty();
    is_bare.then(|| plain(parsed.host()))
}

/// A host in lower case, without the dot that ends a fully qualified name.
fn plain(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

/// Returns true for a name that no DNS server can bind to another machine, and for loopback and unspecified addresses.
/// The name must be in the form of [`plain`].
fn is_this_machine(name: &str) -> bool {
    let unbracketed = match name.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').unwrap_or(name),
        None => name,
    };
    if let Ok(address) = unbracketed.parse::<IpAddr>() {
        // `::ffff:127.0.0.1` is a loopback address too.
        let address = address.to_canonical();
        return address.is_loopback() || address.is_unspecified();
    }
    name == "localhost" || name.ends_with(".localhost") || CONTAINER_HOSTS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(checks_host: bool) -> OriginPolicy {
        OriginPolicy {
            checks_origin: true,
            checks_host,
            allowed_hosts: vec!["rerank.example".to_owned()],
            allowed_origins: vec!["https://app.example".to_owned()],
        }
    }

    fn passes(policy: &OriginPolicy, method: &Method, headers: &[(&str, &str)]) -> bool {
        let header = |(name, value): &(&str, &str)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        let headers: HeaderMap = headers.iter().map(header).collect();
        policy.check(method, &Uri::from_static("/rerank"), &headers).is_ok()
    }

    #[test]
    fn names_of_this_machine_and_allowed_ones_are_answered() {
        for host in [
            "localhost",
            "LOCALHOST:8787",
            "localhost.:8787",
            "app.localhost:1",
            "127.0.0.1:8787",
            "127.1.2.3",
            "[::1]:8787",
            "[::ffff:127.0.0.1]",
            "0.0.0.0:8787",
            "host.docker.internal:8787",
            "rerank.example",
            "Rerank.Example:443",
        ] {
            assert!(passes(&policy(true), &Method::POST, &[("host", host)]), "{host}");
        }
        assert!(passes(&policy(true), &Method::POST, &[]), "HTTP/1.0 has none");
    }

    #[test]
    fn other_names_are_refused_where_only_this_machine_is_listened_to() {
        for host in [
            "evil.example",
            "evil.example:8787",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "evil-localhost",
            "localhost@evil.example",
            "evil.example@localhost",
            "10.0.0.1",
            "[fe80::1]",
            "",
            "rerankd:8787",
        ] {
            assert!(!passes(&policy(true), &Method::GET, &[("host", host)]), "{host}");
            assert!(passes(&policy(false), &Method::GET, &[("host", host)]), "{host}");
        }
        let absolute = Uri::from_static("http://evil.example/rerank");
        assert!(policy(true).check(&Method::POST, &absolute, &HeaderMap::new()).is_err());
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        let own = ("host", "rerankd:8787");
        for origin in [
            "https://evil.example",
            "http://evil.example:8787",
            "null",
            "",
            "https://app.example.evil.example",
            "http://app.example",
            "https://app.example:8443",
            "http://rerankd",
            "chrome-extension://abcdef",
            "http://localhost.evil.example",
            "http://localhost@evil.example",
        ] {
            assert!(!passes(&policy(false), &Method::POST, &[own, ("origin", origin)]), "{origin}");
            assert!(!passes(&policy(false), &Method::GET, &[own, ("origin", origin)]), "{origin}");
        }
        for origin in ["https://app.example", "HTTPS://APP.EXAMPLE", "http://rerankd:8787", "http://localhost:3000"] {
            assert!(passes(&policy(false), &Method::POST, &[own, ("origin", origin)]), "{origin}");
        }
        let behind_proxy = [("host", "rerank.example"), ("origin", "https://rerank.example")];
        assert!(passes(&policy(true), &Method::POST, &behind_proxy));
        let both = [own, ("origin", "https://app.example"), ("origin", "https://evil.example")];
        assert!(!passes(&policy(false), &Method::POST, &both));
    }

    #[test]
    fn what_browsers_say_of_the_site_counts_where_there_is_no_origin() {
        for (method, site, expected) in [
            (Method::POST, "cross-site", false),
            (Method::GET, "cross-site", true),
            (Method::POST, "none", true),
            (Method::POST, "same-origin", true),
        ] {
            assert_eq!(passes(&policy(true), &method, &[("sec-fetch-site", site)]), expected, "{method} {site}");
        }
    }

    #[test]
    fn every_host_counts_and_ports_that_go_without_saying_do_not() {
        let two_hosts = [("host", "localhost"), ("host", "evil.example")];
        let mut headers = HeaderMap::new();
        for (_, value) in two_hosts {
            headers.append(header::HOST, value.parse().unwrap());
        }
        assert!(policy(true).check(&Method::GET, &Uri::from_static("/rerank"), &headers).is_err());
        for (host, origin, expected) in [
            ("rerankd.lan:443", "https://rerankd.lan", true),
            ("rerankd.lan:80", "http://rerankd.lan", true),
            ("rerankd.lan:80", "https://rerankd.lan", false),
            ("rerankd.lan", "https://rerankd.lan:443", true),
        ] {
            let headers = [("host", host), ("origin", origin)];
            assert_eq!(passes(&policy(false), &Method::POST, &headers), expected, "{host} {origin}");
        }
        let behind_proxy =
            [("host", "rerankd:8787"), ("origin", "https://public.example"), ("sec-fetch-site", "same-origin")];
        assert!(passes(&policy(false), &Method::POST, &behind_proxy), "the browser knows");
    }

    #[test]
    fn entries_of_the_configuration_are_checked() {
        for host in ["rerank.example", "*", "10.0.0.1", "[fe80::1]", "rerank.example."] {
            assert_eq!(host_fault(host), None, "{host}");
        }
        for host in ["http://rerank.example", "rerank.example:80", "rerank.example/x", "", "a b"] {
            assert!(host_fault(host).is_some(), "{host}");
        }
        for origin in ["https://app.example", "http://app.example:3000", "*", "chrome-extension://abc"] {
            assert_eq!(origin_fault(origin), None, "{origin}");
        }
        for origin in ["app.example", "https://", "https://app.example/", ""] {
            assert!(origin_fault(origin).is_some(), "{origin}");
        }
    }
}
