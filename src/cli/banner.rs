//! The greeting of `rerankd serve` when it is ready: a text for people, or one JSON object where the log is JSON.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rerankd_core::embedded;
use rerankd_core::route::alias::Alias;
use rerankd_core::route::cross_encoder_hint;
use rerankd_core::route::{Route, RouteTable};
use serde_json::json;

use crate::logging::timestamp;

/// The path of the documentation: the page, or in a build without it the document.
const LINKED_DOCUMENTATION: &str = if cfg!(feature = "docs") { "/docs" } else { "/openapi.json" };

/// Most addresses of upstreams that lead by their names only in one line.
const MAX_ADDRESSES: usize = 3;

/// The server's address, the models that it serves, and a call that works as printed.
pub(super) fn text(address: SocketAddr, routes: &RouteTable, needs_key: bool) -> String {
    let mut text = format!("rerankd {} listens on http://{address}\n\n  models\n", env!("CARGO_PKG_VERSION"));
    let width = routes.routes().map(|route| route.model.len()).max().unwrap_or(0);
    for route in routes.routes() {
        let targets: Vec<_> = route.targets.iter().map(|target| target.address()).collect();
        text.push_str(&format!("    {:width$}  {}{}\n", route.model, targets.join(", then "), also(route)));
    }
    let mut upstreams = Vec::new();
    for upstream in routes.upstreams() {
        if upstream.name != embedded::NAME && !upstream.by_name_only {
            upstreams.push(format!("{}/…", upstream.name));
        }
    }
    if !upstreams.is_empty() {
        text.push_str(&format!("    or any model of an upstream as {}\n", upstreams.join(", ")));
    }
    if let Some(notice) = by_name_only(routes) {
        text.push_str(&format!("    {notice}\n"));
    }
    if let Some(hint) = first_hint(routes) {
        text.push_str(&format!("    {hint}\n"));
    }
    text.push('\n');
    let key = if needs_key { " -H 'Authorization: Bearer YOUR_KEY'" } else { "" };
    let host = callable(address);
    text.push_str(&format!(
        "  try\n    curl -s http://{host}/rerank{key} -d '{{\"query\": \"capital of Korea\", \"documents\": \
         [\"Busan is a port.\", \"Seoul is the capital of Korea.\"], \"top_n\": 1}}'\n\n  \
         docs http://{host}{LINKED_DOCUMENTATION}   metrics http://{host}/metrics\n\n"
    ));
    text
}

/// The same as a line of JSON, with the members that every line of the log has.
pub(super) fn json(address: SocketAddr, routes: &RouteTable) -> String {
    let mut models = Vec::new();
    for route in routes.routes() {
        let targets: Vec<_> = route.targets.iter().map(|target| target.address()).collect();
        let aliases: Vec<_> = route.aliases.iter().map(Alias::as_str).collect();
        models.push(json!({ "name": route.model, "targets": targets, "aliases": aliases }));
    }
    let version = env!("CARGO_PKG_VERSION");
    let line = json!({
        "timestamp": timestamp(),
        "level": "INFO",
        "target": "rerankd",
        "message": format!("rerankd {version} listens on http://{address}"),
        "event": "listening",
        "version": version,
        "address": address,
        "url": format!("http://{}", callable(address)),
        "models": models,
    });
    format!("{line}\n")
}

/// The sentence about upstreams that lead by their names only; `None` without any that has something to add.
pub(super) fn by_name_only(routes: &RouteTable) -> Option<String> {
    let mut addresses = Vec::new();
    for upstream in routes.upstreams() {
        let model = upstream.usual_model().unwrap_or("MODEL");
        // Another way to the same service, for the same key.
        let is_known = routes.upstreams().iter().any(|other| !other.by_name_only && other.models().contains(&model));
        if upstream.by_name_only && !is_known {
            addresses.push(format!("{}/{model}", upstream.name));
        }
    }
    let further = addresses.len().saturating_sub(MAX_ADDRESSES);
    addresses.truncate(MAX_ADDRESSES);
    let list = addresses.join(", ");
    match (addresses.len(), further) {
        (0, _) => None,
        (1, _) => Some(format!("ready by its name: {list}; make it the default by [models.default]")),
        (_, 0) => Some(format!("ready by their names: {list}; make one the default by [models.default]")),
        _ => Some(format!("ready by their names: {list} and {further} more, see `rerankd models --providers`")),
    }
}

/// The first hint at a better model that a target could have; `None` beside a provider, which is better at hand.
fn first_hint(routes: &RouteTable) -> Option<&'static str> {
    if has_providers(routes) {
        return None;
    }
    for route in routes.routes() {
        for target in &route.targets {
            if let Some(hint) = cross_encoder_hint(target) {
                return Some(hint);
            }
        }
    }
    None
}

/// Returns true if there is an upstream beside the embedded scorer and those that lead by their names only.
pub(super) fn has_providers(routes: &RouteTable) -> bool {
    routes.upstreams().iter().any(|upstream| upstream.name != embedded::NAME && !upstream.by_name_only)
}

/// The other names of a model, in brackets; empty if there are none.
pub(super) fn also(route: &Route) -> String {
    let aliases: Vec<_> = route.aliases.iter().map(Alias::as_str).collect();
    if aliases.is_empty() { String::new() } else { format!("  (also {})", aliases.join(", ")) }
}

/// The address under which a client on this machine reaches a server: loopback in place of "all interfaces".
pub(super) fn callable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let mut callable = address;
    // Set in place, because an IPv6 address also has a scope, which a new one would lose.
    callable.set_ip(ip);
    callable
}
