//! The log lines of requests: one for each if `telemetry.access_log` is on, and one for each that failed.
//!
//! All have the same fields. The handler for reranking hands its own over with the answer ([`RerankFacts`]) or with the
//! error; the outermost layer, which knows the id, the client and the time taken, writes the line.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::Request;
use http::{HeaderValue, Method, StatusCode, Uri};
use rerankd_core::error::{Error, ErrorKind};
use rerankd_core::route::DEFAULT_MODEL;
use rerankd_core::text::printable;
use rerankd_core::types::outcomes::DegradedReason;
use rerankd_core::types::response::{PairCounts, RerankResponse, milliseconds};
use tokio::time::Instant;
use tracing::Level;

use super::App;
use super::answer_headers::dollars;
use super::handler_error::HandlerError;
use crate::dialect::Dialect;
use crate::logging::{ACCESS_TARGET, REQUEST_TARGET, SUBSTITUTION_TARGET};

/// Longest part of a path or a name in a log line, in bytes. Clients choose them, and could fill the log.
const MAX_SHOWN_BYTES: usize = 200;
/// Ends of paths that probes and scrapers ask every few seconds.
const PROBES: [&str; 8] = ["/healthz", "/livez", "/readyz", "/metrics", "/health", "/auth", "/ready", "/live"];

/// The address of the client at the other end of the connection. An extension of every request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientAddress(pub(crate) SocketAddr);

/// The facts about a rerank request that its log line tells. An extension of the answer, on its way to the layer that
/// writes the line.
#[derive(Clone, Debug)]
pub(super) struct RerankFacts {
    dialect: &'static str,
    /// The route's label. Never the client's own text, which could be anything.
    model: String,
    upstream: Option<String>,
    upstream_model: Option<String>,
    pairs: PairCounts,
    fallbacks: usize,
    degraded: Vec<DegradedReason>,
    cost_usd: Option<f64>,
    /// Parts that could not be done as asked, for the warning about a degraded answer.
    warnings: Vec<String>,
}

/// A request under way. Dropped before its answer, it was abandoned.
pub(super) struct RequestLog<'a> {
    app: &'a App,
    id: &'a HeaderValue,
    method: Method,
    uri: &'a Uri,
    client: Option<SocketAddr>,
    started: Instant,
    is_told: bool,
}

/// One line about a request.
struct RequestLine<'a> {
    request: &'a RequestLog<'a>,
    path: Cow<'a, str>,
    duration: Duration,
    /// Status of the answer; `None` for a request that was abandoned.
    status: Option<StatusCode>,
    facts: Option<&'a RerankFacts>,
    failure: Option<&'a HandlerError>,
    /// The reason why the answer is no better, for the end of the line.
    reason: &'a str,
}

/// Logs `line` at one level for one target, both constants. A macro, because tracing keeps them in statics.
macro_rules! log {
    ($target:expr, $level:expr, $line:expr, $left_out:expr) => {{
        let line: &RequestLine<'_> = $line;
        let facts = line.facts;
        tracing::event!(
            target: $target,
            $level,
            request.id = line.request.id.to_str().unwrap_or_default(),
            method = line.request.method.as_str(),
            path = &*line.path,
            status = line.status.map(|status| status.as_u16()),
            duration_ms = milliseconds(line.duration),
            client = line.request.client.map(display),
            dialect = line.dialect(),
            model = line.model(),
            upstream = facts.and_then(|facts| facts.upstream.as_deref()),
            upstream_model = facts.and_then(|facts| facts.upstream_model.as_deref()),
            pairs = facts.map(|facts| facts.pairs.total),
            cached = facts.map(|facts| facts.pairs.hit),
            fallbacks = facts.map(|facts| facts.fallbacks),
            degraded = facts.map(|facts| debug(facts.degraded_codes())),
            cost_usd = facts.and_then(|facts| facts.cost_usd).map(dollars),
            code = line.failure.map(|failure| failure.error.kind.code()),
            left_out = $left_out,
            "{line}"
        );
    }};
}

impl RerankFacts {
    /// The facts of an answer; `None` if nothing will be logged of it.
    pub(super) fn of(app: &App, dialect: &dyn Dialect, model: &str, response: &RerankResponse) -> Option<Self> {
        let provenance = &response.provenance;
        if !app.access_log && provenance.fallbacks == 0 && provenance.degraded.is_empty() {
            return None;
        }
        Some(Self {
            dialect: dialect.name(),
            model: model.to_owned(),
            upstream: provenance.upstream.clone(),
            upstream_model: provenance.upstream_model.clone(),
            pairs: provenance.pairs,
            fallbacks: provenance.fallbacks,
            degraded: provenance.degraded.clone(),
            cost_usd: provenance.cost.spent_usd,
            warnings: provenance.warnings.clone(),
        })
    }

    /// True if the answer had to do without a target. The client is content with it; the operator must know.
    fn is_worse_than_asked(&self) -> bool {
        self.fallbacks > 0 || !self.degraded.is_empty()
    }

    fn degraded_codes(&self) -> Vec<&'static str> {
        self.degraded.iter().map(|reason| reason.code()).collect()
    }
}

impl<'a> RequestLog<'a> {
    /// A request that has just arrived, under the id that rerankd gave it.
    pub(super) fn begin(app: &'a App, id: &'a HeaderValue, uri: &'a Uri, request: &Request) -> Self {
        let client = request.extensions().get::<ClientAddress>().map(|client| client.0);
        Self { app, id, method: request.method().clone(), uri, client, started: Instant::now(), is_told: false }
    }

    /// Logs an answer.
    pub(super) fn answered(mut self, status: StatusCode, facts: Option<&RerankFacts>) {
        self.is_told = true;
        let line = self.line(Some(status), facts, None, "");
        if self.app.access_log {
            // Probes come every few seconds and say nothing while they succeed.
            if status.is_success() && PROBES.iter().any(|end| self.uri.path().ends_with(end)) {
                log!(ACCESS_TARGET, Level::DEBUG, &line, None::<u64>);
            } else {
                log!(ACCESS_TARGET, Level::INFO, &line, None::<u64>);
            }
        }
        let Some(facts) = facts else { return };
        if facts.is_worse_than_asked() {
            let reason = facts.warnings.join("; ");
            let line = RequestLine { reason: &reason, ..line };
            log!(REQUEST_TARGET, Level::WARN, &line, None::<u64>);
        }
    }

    /// Logs a refused or failed request: faults of clients as information, faults of upstreams and of rerankd as
    /// warnings. The access log has a line for each; without it, refusals before the caller was known have one line a
    /// second and code, and the others are logged at debug.
    pub(super) fn failed(mut self, status: StatusCode, failure: &HandlerError) {
        self.is_told = true;
        let error = &failure.error;
        let line = self.line(Some(status), None, Some(failure), &error.message);
        if failure.model.is_some() && concerns_operator(error) {
            log!(REQUEST_TARGET, Level::WARN, &line, None::<u64>);
            if self.app.access_log {
                log!(ACCESS_TARGET, Level::INFO, &RequestLine { reason: error.kind.code(), ..line }, None::<u64>);
            }
            return;
        }
        if self.app.access_log {
            log!(ACCESS_TARGET, Level::INFO, &line, None::<u64>);
            return;
        }
        if failure.model.is_some() {
            log!(REQUEST_TARGET, Level::INFO, &line, None::<u64>);
            return;
        }
        // Anybody can cause refusals, even without a key, and must not fill the log.
        let due = self.app.refusals.due(error.kind.code(), std::time::Instant::now());
        if due.is_some() || error.kind == ErrorKind::Internal {
            log!(REQUEST_TARGET, Level::INFO, &line, due.filter(|count| *count > 0));
        } else {
            log!(REQUEST_TARGET, Level::DEBUG, &line, None::<u64>);
        }
    }

    fn line<'l>(
        &'l self,
        status: Option<StatusCode>,
        facts: Option<&'l RerankFacts>,
        failure: Option<&'l HandlerError>,
        reason: &'l str,
    ) -> RequestLine<'l> {
        let duration = self.started.elapsed();
        RequestLine { request: self, path: shown(self.uri.path()), duration, status, facts, failure, reason }
    }
}

impl Drop for RequestLog<'_> {
    fn drop(&mut self) {
        if !self.is_told && self.app.access_log {
            log!(ACCESS_TARGET, Level::INFO, &self.line(None, None, None, ""), None::<u64>);
        }
    }
}

impl RequestLine<'_> {
    fn dialect(&self) -> Option<&'static str> {
        match (self.facts, self.failure) {
            (Some(facts), _) => Some(facts.dialect),
            (None, Some(failure)) if failure.model.is_some() => Some(failure.dialect.name()),
            (None, _) => None,
        }
    }

    fn model(&self) -> Option<&str> {
        match (self.facts, self.failure) {
            (Some(facts), _) => Some(&facts.model),
            (None, Some(failure)) => failure.model.as_deref(),
            (None, None) => None,
        }
    }
}

/// The line as people read it, such as `POST /v2/rerank 200 84 ms cohere/rerank-v4.0-fast 12 of 50 cached $0.002`.
impl fmt::Display for RequestLine<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let duration = ShortDuration(self.duration);
        write!(formatter, "{} {} ", self.request.method, self.path)?;
        match self.status {
            Some(status) => write!(formatter, "{} {duration}", status.as_u16())?,
            None => write!(formatter, "abandoned after {duration}")?,
        }
        if let Some(facts) = self.facts {
            facts.fmt(formatter)?;
        }
        if self.reason.is_empty() {
            return Ok(());
        }
        write!(formatter, ": {}", self.reason)
    }
}

/// The part of a line about the scores.
impl fmt::Display for RerankFacts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.upstream, &self.upstream_model) {
            (Some(upstream), Some(model)) => write!(formatter, " {upstream}/{model}")?,
            _ => formatter.write_str(" not reranked")?,
        }
        let PairCounts { total, hit, .. } = self.pairs;
        write!(formatter, " {hit} of {total} cached")?;
        if let Some(cost) = self.cost_usd {
            write!(formatter, " ${}", dollars(cost))?;
        }
        match self.fallbacks {
            0 => {}
            1 => formatter.write_str(" after 1 fallback")?,
            count => write!(formatter, " after {count} fallbacks")?,
        }
        if !self.degraded.is_empty() {
            write!(formatter, " degraded ({})", self.degraded_codes().join(", "))?;
        }
        Ok(())
    }
}

/// A duration with two or three digits: `0.4 ms`, `84 ms`, `1.2 s`.
struct ShortDuration(Duration);

impl fmt::Display for ShortDuration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = self.0.as_secs_f64() * 1e3;
        if milliseconds < 9.95 {
            write!(formatter, "{milliseconds:.1} ms")
        } else if milliseconds < 999.5 {
            write!(formatter, "{milliseconds:.0} ms")
        } else {
            write!(formatter, "{:.1} s", milliseconds / 1e3)
        }
    }
}

/// True for faults of upstreams and of rerankd. Two kinds are 429 for the client, but only the operator can do
/// something about them.
fn concerns_operator(error: &Error) -> bool {
    error.kind.status().is_server_error()
        || matches!(error.kind, ErrorKind::UpstreamRateLimited | ErrorKind::Overloaded)
}

/// Tells the operator that the default model answered in place of `model`, which nobody knows.
pub(super) fn tell_of_substitution(model: &str) {
    let model = shown(model);
    tracing::info!(
        target: SUBSTITUTION_TARGET,
        model = &*model,
        "{DEFAULT_MODEL} answers in place of the model {model}, which is unknown here; configure it under \
         [models], or give [models.default] this alias"
    );
}

/// A path or a name from a client as it stands in the log: on one line and not too long.
fn shown(text: &str) -> Cow<'_, str> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_plain && text.len() <= MAX_SHOWN_BYTES {
        return Cow::Borrowed(text);
    }
    let mut end = MAX_SHOWN_BYTES.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut shown = printable(&text[..end]);
    if end < text.len() {
        shown.push('…');
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_or_three_digits() {
        for (microseconds, text) in [
            (0, "0.0 ms"),
            (440, "0.4 ms"),
            (9_940, "9.9 ms"),
            (9_960, "10 ms"),
            (84_400, "84 ms"),
            (999_400, "999 ms"),
            (999_600, "1.0 s"),
            (61_250_000, "61.2 s"),
        ] {
            assert_eq!(ShortDuration(Duration::from_micros(microseconds)).to_string(), text);
        }
    }

    #[test]
    fn paths_are_shown_on_one_line_and_not_at_length() {
        assert_eq!(shown("/v1/rerank"), "/v1/rerank");
        assert_eq!(shown("/a\u{1b}[2J\nb"), "/a␛[2J b");
        let long = format!("/{}", "é".repeat(MAX_SHOWN_BYTES));
        let shown = shown(&long);
        assert!(shown.len() <= MAX_SHOWN_BYTES + '…'.len_utf8() && shown.ends_with("é…"), "{shown}");
    }
}
