//! What `rerankd serve` says when it is ready.

use std::net::SocketAddr;

use crate::local::lacking;
use crate::route::alias::Alias;
use crate::route::{Route, RouteTable};

/// Where the server listens, what it serves, and a call that works as printed.
pub(super) fn text(address: SocketAddr, routes: &RouteTable, needs_key: bool) -> String {
    let mut text = format!("rerankd {} listens on http://{address}\n\n  models\n", env!("CARGO_PKG_VERSION"));
    let width = routes.routes().map(|route| route.model.len()).max().unwrap_or(0);
    for route in routes.routes() {
        let targets: Vec<_> = route.targets.iter().map(|target| target.address()).collect();
        text.push_str(&format!("    {:width$}  {}{}\n", route.model, targets.join(", then "), also(route)));
    }
    let remote = routes.upstreams().iter().filter(|upstream| upstream.name != crate::local::NAME);
    let upstreams: Vec<_> = remote.map(|upstream| format!("{}/…", upstream.name)).collect();
    let key = if needs_key { " -H 'Authorization: Bearer YOUR_KEY'" } else { "" };
    if !upstreams.is_empty() {
        text.push_str(&format!("    or any model of an upstream as {}\n", upstreams.join(", ")));
    }
    if let Some(lacking) = routes.routes().flat_map(|route| &route.targets).find_map(|target| lacking(target)) {
        text.push_str(&format!("    {lacking}\n"));
    }
    text.push('\n');
    let host = callable(address);
    text.push_str(&format!(
        "  try\n    curl -s http://{host}/rerank{key} -d '{{\"query\": \"capital of Korea\", \"documents\": \
         [\"Busan is a port.\", \"Seoul is the capital of Korea.\"], \"top_n\": 1}}'\n\n  \
         docs http://{host}/docs   metrics http://{host}/metrics\n\n"
    ));
    text
}

/// The other names of a model.
pub(super) fn also(route: &Route) -> String {
    let aliases: Vec<_> = route.aliases.iter().map(Alias::as_str).collect();
    if aliases.is_empty() { String::new() } else { format!("  (also {})", aliases.join(", ")) }
}

/// An address that a client on this machine can call: "all interfaces" is none.
pub(super) fn callable(address: SocketAddr) -> SocketAddr {
    let mut callable = address;
    if address.ip().is_unspecified() {
        callable.set_ip(if address.is_ipv4() {
            std::net::Ipv4Addr::LOCALHOST.into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        });
    }
    callable
}
