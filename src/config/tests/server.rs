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

#[test]
fn an_open_address_before_an_upstream_with_a_key_is_warned_of() {
    let warning = |text: &str, variables: &[(&str, &str)]| {
        let loaded = load_text(text, variables).unwrap();
        loaded.settings.exposure_warning().map(|warning| warning.to_string())
    };
    let key = [("COHERE_API_KEY", "k"), ("CALLER", "c")];
    for address in ["0.0.0.0:8787", "[::]:8787", "192.168.1.7:8787"] {
        let told = format!(
            "server.listen: anyone who reaches {address} can rerank at the cost of the configured keys; set \
             server.api_keys, or listen on 127.0.0.1"
        );
        let upstream = "[upstreams.cohere]\nprovider = 'cohere'";
        let open = format!("[server]\nlisten = '{address}'\n");
        assert_eq!(warning(&format!("{open}{upstream}"), &key), Some(told));
        assert_eq!(warning(&open, &[]), None, "nobody is paid");
        assert_eq!(warning(&format!("{open}api_keys = ['env:CALLER']\n{upstream}"), &key), None);
    }
    for address in ["127.0.0.1:8787", "[::1]:8787", "localhost:8787"] {
        let text = format!("[server]\nlisten = '{address}'\n[upstreams.cohere]\nprovider = 'cohere'");
        assert_eq!(warning(&text, &key), None, "{address}");
    }
}

#[test]
fn a_log_filter_that_would_silence_everything_is_a_fault_and_a_misspelt_target_a_warning() {
    for filter in ["verbose", ""] {
        let faults = load_text(&format!("[telemetry]\nlog_filter = '{filter}'"), &[]).unwrap_err().to_string();
        assert!(faults.contains(&format!("telemetry.log_filter: {filter:?} is no level; write trace, ")), "{faults}");
    }
    let loaded = load_text("[telemetry]\nlog_filter = 'warning,rerankd::acess=info'", &[]).unwrap();
    let told = "telemetry.log_filter: no line has the target rerankd::acess; did you mean rerankd::access?";
    assert_eq!(without_places(&loaded.warnings), [told]);
}
