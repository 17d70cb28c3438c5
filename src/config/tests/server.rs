//! The bounds of connections, bodies and origins.

use super::*;

/// Balancers keep idle connections for a minute: one that is closed here before is closed under a request.
#[test]
fn idle_connections_outlive_those_of_balancers() {
    let server = load_bare(&[]).settings.server;
    assert!(server.idle_timeout >= Duration::from_secs(75), "{:?}", server.idle_timeout);
    assert!(server.header_timeout <= Duration::from_secs(30), "{:?}", server.header_timeout);
    assert!(server.write_timeout <= Duration::from_mins(1), "{:?}", server.write_timeout);
}

#[test]
fn zero_leaves_bounds_to_the_machine() {
    let server = load_bare(&[]).settings.server;
    assert_eq!((server.max_connections, server.max_body_bytes_in_flight), (None, None));
    let text = "[server]\nmax_connections = 10\nmax_body_bytes_in_flight = 33554432";
    let server = load_text(text, &[]).unwrap().settings.server;
    assert_eq!((server.max_connections, server.max_body_bytes_in_flight), (Some(10), Some(32 << 20)));
}

#[test]
fn wrong_bounds_and_names_are_told() {
    let text = "[server]\nmax_body_bytes_in_flight = 1024\nidle_timeout = '0s'\n\
                allowed_hosts = ['https://rerank.example']\nallowed_origins = ['app.example']";
    let faults = faults(text).join("\n");
    for fault in [
        "server.max_body_bytes_in_flight: must be at least max_body_bytes",
        "server.idle_timeout: must be a duration",
        "server.allowed_hosts: \"https://rerank.example\" must be a host name without scheme",
        "server.allowed_origins: \"app.example\" must be a scheme and a host",
    ] {
        assert!(faults.contains(fault), "{fault}\n{faults}");
    }
}

#[test]
fn a_wrong_api_key_hides_no_repeated_one() {
    let found = faults_with("[server]\napi_keys = ['env:A', 7, 'env:A', 'env:B', 'env:B']", &[("A", "a"), ("B", "b")]);
    assert_eq!(
        found,
        [
            "server.api_keys[1]: must be a text",
            "server.api_keys: item 2 is the same key as one before it",
            "server.api_keys: item 4 is the same key as one before it",
        ]
    );
}
