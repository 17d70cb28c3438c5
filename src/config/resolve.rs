//! From the merged tables to [`Settings`].
//!
//! Every key of a section is read before the first `?`, so that one pass over the configuration finds all faults.

use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rerankd_core::cache::age::RefreshAhead;
use rerankd_core::cache::settings::CacheSettings;
use rerankd_core::route::settings::{UnknownModels, WrittenIn};
use rerankd_core::types::date::Date;
use toml::{Table, Value};

use super::availability::Availability;
use super::reader::{
    Faults, HOUR, MEBIBYTE, MILLISECOND, Section, boolean, bytes, count, duration, one_of, text, texts,
};
use super::upstreams::{UpstreamDefaults, Upstreams};
use super::{Environment, api_keys, local, models, provider_facts, refusal_words, targets};
use crate::config::settings::Settings;
use crate::http::origin;
use crate::http::settings::ServerSettings;
use crate::logging::settings::{AccessLog, TelemetrySettings};
use crate::logging::{LogFormat, misspelt_target, parse_filter};

const ZERO: Duration = Duration::ZERO;
/// A year of 365.25 days, which is printed as "1year".
const YEAR: Duration = Duration::from_hours(8766);
/// The largest memory limit that can be configured: 16 TiB.
const MAX_MEMORY: usize = 1 << 44;

/// The words of `log_format`.
pub(super) const LOG_FORMATS: [(&str, LogFormat); 2] = [("text", LogFormat::Text), ("json", LogFormat::Json)];

/// The words of `access_log`.
pub(super) const ACCESS_LOGS: [(&str, AccessLog); 3] =
    [("auto", AccessLog::Auto), ("on", AccessLog::On), ("off", AccessLog::Off)];

/// The way in which an operator configures, by which advice is worded.
#[derive(Clone, Copy)]
pub(super) struct Manner {
    /// True if keys in the environment make upstreams.
    pub(super) upstreams_are_detected: bool,
    /// True if there is neither an upstream nor a model.
    pub(super) nothing_is_configured: bool,
    pub(super) written_in: WrittenIn,
}

/// The sources of the settings.
pub(super) struct Merged<'a> {
    /// All layers.
    pub(super) table: &'a Table,
    /// The upstreams of the environment that lead by their names only.
    pub(super) others: &'a Table,
    pub(super) environment: &'a Environment,
    pub(super) today: Date,
}

/// The settings of a configuration; `None` if a key that they need is missing or wrong.
pub(super) fn settings(merged: &Merged<'_>, manner: Manner, faults: &Faults) -> Option<Settings> {
    Section::root(merged.table, faults, |root| read_root(root, merged, manner))
}

fn read_root(root: &Section<'_>, merged: &Merged<'_>, manner: Manner) -> Option<Settings> {
    let Merged { table, others, environment, today } = *merged;
    let server = root.section("server", |section| server(section, environment));
    let cache = root.section("cache", cache);
    let telemetry = root.section("telemetry", telemetry);
    let local = root.section("local", |section| local::local(section, environment));
    let providers = provider_facts::providers(root);
    let refusal_words = Arc::new(root.section("refusals", refusal_words::words));
    let declared = Upstreams { table, environment, providers: &providers, others, refusal_words };
    let upstreams = root.section("upstreams", |section| {
        let mut upstreams = declared.read(section);
        declared.read_others(section, others, &mut upstreams);
        upstreams
    });
    let with_cross_encoder = local.as_ref().is_some_and(|local| local.cross_encoder.is_some());
    let availability = Availability {
        providers: &providers,
        environment,
        upstreams: &upstreams,
        upstreams_are_detected: manner.upstreams_are_detected,
        today,
    };
    let absent = availability.absent_upstreams();
    let listed_providers = availability.list();
    let usable = upstreams.usable;
    let known = targets::KnownUpstreams { usable: &usable, absent: &absent, table, with_cross_encoder };
    let policies = root.section("model_defaults", models::Policies::read);
    let read_models = root.section("models", |section| models::models(section, &known, policies));
    let unknown_models = UnknownModels {
        absent_upstreams: absent,
        left_out: read_models.left_out,
        alias_model: read_models.alias_model,
        written_in: manner.written_in,
        nothing_is_configured: manner.nothing_is_configured,
    };
    // For their faults alone: the upstreams have inherited the values.
    root.section("upstream_defaults", UpstreamDefaults::read);
    Some(Settings {
        server: server?,
        cache: cache?,
        telemetry: telemetry?,
        local: local?,
        upstreams: usable,
        providers: listed_providers,
        unknown_models,
        models: read_models.models,
    })
}

fn server(section: &Section<'_>, environment: &Environment) -> Option<ServerSettings> {
    let listen = section.require("listen", addresses);
    let request_timeout = section.require("request_timeout", duration(MILLISECOND..=HOUR));
    let max_body_bytes = section.require("max_body_bytes", bytes(1_024..=4_096 * MEBIBYTE));
    let max_documents = section.require("max_documents", count(1..=1_000_000));
    let max_requests = section.require("max_requests", count(1..=1_000_000));
    let max_connections = section.require("max_connections", count(0..=1_000_000));
    let max_body_bytes_in_flight = section.require("max_body_bytes_in_flight", bytes(0..=MAX_MEMORY));
    // 0 leaves the limit to the machine, so it is never too small for one body.
    if let Some(one_body) = max_body_bytes
        && let Some(all_bodies) = max_body_bytes_in_flight
        && (1..one_body).contains(&all_bodies)
    {
        section.fault("max_body_bytes_in_flight", "must be at least max_body_bytes, or 0 for what the memory allows");
    }
    let header_timeout = section.require("header_timeout", duration(MILLISECOND..=HOUR));
    let idle_timeout = section.require("idle_timeout", duration(MILLISECOND..=HOUR));
    let write_timeout = section.require("write_timeout", duration(MILLISECOND..=HOUR));
    let allowed_hosts = section.require("allowed_hosts", names(origin::host_fault));
    let allowed_origins = section.require("allowed_origins", names(origin::origin_fault));
    let api_keys = api_keys::api_keys(section, environment);
    let always_return_documents = section.require("always_return_documents", boolean);
    let drain_delay = section.require("drain_delay", duration(ZERO..=HOUR));
    let shutdown_timeout = section.require("shutdown_timeout", duration(ZERO..=HOUR));
    let (listen, listen_also) = listen?;
    Some(ServerSettings {
        listen,
        listen_also,
        request_timeout: request_timeout?,
        max_body_bytes: max_body_bytes?,
        max_documents: max_documents?,
        max_requests: max_requests?,
        max_connections: unless_zero(max_connections?),
        max_body_bytes_in_flight: unless_zero(max_body_bytes_in_flight?),
        header_timeout: header_timeout?,
        idle_timeout: idle_timeout?,
        write_timeout: write_timeout?,
        allowed_hosts: allowed_hosts?,
        allowed_origins: allowed_origins?,
        api_keys,
        always_return_documents: always_return_documents?,
        drain_delay: drain_delay?,
        shutdown_timeout: shutdown_timeout?,
    })
}

/// A limit; `None` for 0, which leaves it to the machine.
fn unless_zero(limit: usize) -> Option<usize> {
    (limit > 0).then_some(limit)
}

/// Parses a list of names; the first in which `fault` finds something wrong is the error.
fn names(fault: fn(&str) -> Option<&'static str>) -> impl Fn(&Value) -> Result<Vec<String>, String> {
    move |value| {
        let names = texts(value)?;
        for name in &names {
            if let Some(fault) = fault(name) {
                return Err(format!("{name:?} {fault}"));
            }
        }
        Ok(names)
    }
}

/// Parses an address, with the IPv6 loopback address beside it if `localhost` stands for both.
fn addresses(value: &Value) -> Result<(SocketAddr, Option<SocketAddr>), String> {
    let word = text(value)?;
    let is_localhost = word.starts_with("localhost:");
    let address: SocketAddr = word.replace("localhost:", "127.0.0.1:").parse().map_err(|_| {
        "must be an IP address and a port such as \"127.0.0.1:8787\" or \"[::1]:8787\", or \"localhost:8787\" for both"
    })?;
    Ok((address, is_localhost.then(|| (Ipv6Addr::LOCALHOST, address.port()).into())))
}

/// Parses `"free"`, or a duration from 0 to a year.
fn refresh_ahead(value: &Value) -> Result<RefreshAhead, String> {
    if value.as_str() == Some("free") {
        return Ok(RefreshAhead::Free);
    }
    let span = duration(ZERO..=YEAR)(value).map_err(|message| format!("{message}; or \"free\""))?;
    Ok(RefreshAhead::InBackground(span))
}

fn cache(section: &Section<'_>) -> Option<CacheSettings> {
    let enabled = section.require("enabled", boolean);
    let max_bytes = section.require("max_bytes", bytes(MEBIBYTE..=MAX_MEMORY));
    let time_to_live = section.require("ttl", duration(MILLISECOND..=YEAR));
    let max_stale = section.require("max_stale", duration(ZERO..=YEAR));
    let refresh_ahead = section.require("refresh_ahead", refresh_ahead);
    if let Some(time_to_live) = time_to_live
        && let Some(RefreshAhead::InBackground(span)) = refresh_ahead
        && span >= time_to_live
    {
        section.fault("refresh_ahead", "must be less than ttl");
    }
    let shared_between_callers = section.require("shared_between_callers", boolean);
    Some(CacheSettings {
        enabled: enabled?,
        max_bytes: max_bytes?,
        time_to_live: time_to_live?,
        max_stale: max_stale?,
        refresh_ahead: refresh_ahead?,
        shared_between_callers: shared_between_callers?,
    })
}

fn telemetry(section: &Section<'_>) -> Option<TelemetrySettings> {
    let log_format = section.require("log_format", one_of(&LOG_FORMATS));
    let access_log = section.require("access_log", one_of(&ACCESS_LOGS));
    let log_filter = section.require("log_filter", |value| {
        let filter = text(value)?;
        parse_filter(&filter)?;
        Ok(filter)
    });
    if let Some(filter) = &log_filter
        && let Some((target, meant)) = misspelt_target(filter)
    {
        section.warn("log_filter", format!("no line has the target {target}; did you mean {meant}?"));
    }
    Some(TelemetrySettings { log_format: log_format?, access_log: access_log?, log_filter: log_filter? })
}
