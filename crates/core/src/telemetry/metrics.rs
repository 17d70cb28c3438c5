//! Every metric: its name, unit, labels and buckets, in one place. `docs/metrics.md` explains them; a test holds it to
//! this file.
//!
//! Labels are bounded: model names come from the configuration and the registry, never from a request.

use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::buckets;
use super::labels::{
    AttemptLabels, BilledLabels, BuildLabels, DegradedLabels, ModelLabels, OutcomeLabels, PriceLabels, RequestLabels,
    ShedLabels, UpstreamLabels,
};
use super::log_lines;
use super::shadow_metrics::ShadowMetrics;
use crate::cache::CacheSize;
use crate::error::ErrorKind;
use crate::types::outcomes::{AttemptOutcome, DegradedReason, RequestOutcome, ShedReason};
use crate::types::response::{PairCounts, Usage};

/// The content type of the exposition.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The model label of a request that never got as far as a model.
pub const NO_MODEL: &str = "none";

type LatencyFamily<L> = Family<L, Histogram, fn() -> Histogram>;
type DollarCounter = Counter<f64, std::sync::atomic::AtomicU64>;

/// The metrics of one server.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    request_duration: LatencyFamily<ModelLabels>,
    in_flight: Gauge,
    pairs: Family<OutcomeLabels, Counter>,
    degraded: Family<DegradedLabels, Counter>,
    fallbacks: Family<AttemptLabels, Counter>,
    attempts: Family<AttemptLabels, Counter>,
    attempt_duration: LatencyFamily<AttemptLabels>,
    retries: Family<UpstreamLabels, Counter>,
    retries_denied: Family<UpstreamLabels, Counter>,
    shed: Family<ShedLabels, Counter>,
    hedges: Family<UpstreamLabels, Counter>,
    circuit_open: Family<UpstreamLabels, Gauge>,
    concurrency_limit: Family<UpstreamLabels, Gauge>,
    refreshed: Counter,
    /// The metrics of models that are compared on live traffic.
    pub shadow: ShadowMetrics,
    billed: Family<BilledLabels, Counter>,
    cost: Family<PriceLabels, DollarCounter>,
    saved: Family<PriceLabels, DollarCounter>,
    cache_queries: Gauge,
    cache_bytes: Gauge,
}

/// The metrics of one upstream.
#[derive(Clone, Debug)]
pub struct UpstreamMetrics {
    upstream: String,
    attempts: Family<AttemptLabels, Counter>,
    attempt_duration: LatencyFamily<AttemptLabels>,
    retries: Counter,
    retries_denied: Counter,
    shed: Family<ShedLabels, Counter>,
    circuit_open: Gauge,
    concurrency_limit: Gauge,
}

/// Holds one request in the in-flight gauge while it lives.
#[derive(Debug)]
pub struct InFlight(Gauge);

impl Metrics {
    /// Fresh metrics, all at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("rerank");
        let shadow = ShadowMetrics::registered(&mut registry);
        let metrics = Self {
            registry,
            requests: Family::default(),
            request_duration: Family::new_with_constructor(buckets::latency),
            in_flight: Gauge::default(),
            pairs: Family::default(),
            degraded: Family::default(),
            fallbacks: Family::default(),
            attempts: Family::default(),
            attempt_duration: Family::new_with_constructor(buckets::latency),
            retries: Family::default(),
            retries_denied: Family::default(),
            shed: Family::default(),
            hedges: Family::default(),
            circuit_open: Family::default(),
            concurrency_limit: Family::default(),
            refreshed: Counter::default(),
            shadow,
            billed: Family::default(),
            cost: Family::default(),
            saved: Family::default(),
            cache_queries: Gauge::default(),
            cache_bytes: Gauge::default(),
        };
        metrics.registered()
    }

    /// Makes every metric known to the registry, which adds the prefix `rerank_` and, as a suffix, the unit.
    fn registered(mut self) -> Self {
        let registry = &mut self.registry;
        registry.register("requests", "Rerank requests by outcome", self.requests.clone());
        let help = "From the first byte of a rerank request to its answer";
        registry.register_with_unit("request_duration", help, Unit::Seconds, self.request_duration.clone());
        registry.register("requests_in_flight", "Rerank requests under way", self.in_flight.clone());
        registry.register("pairs", "Distinct query-passage pairs by how their score became known", self.pairs.clone());
        registry.register("degraded_answers", "Answers that are less than what was asked for", self.degraded.clone());
        let help = "Targets given up for the next one, by their last outcome";
        registry.register("fallbacks", help, self.fallbacks.clone());
        registry.register("upstream_attempts", "HTTP attempts at upstreams by outcome", self.attempts.clone());
        let help = "Duration of one HTTP attempt at an upstream";
        registry.register_with_unit("upstream_attempt_duration", help, Unit::Seconds, self.attempt_duration.clone());
        registry.register("upstream_retries", "Attempts beyond the first of a call", self.retries.clone());
        let help = "Retries that the retry budget forbade";
        registry.register("upstream_retries_denied", help, self.retries_denied.clone());
        let help = "Attempts that a guard of the upstream forbade, by guard";
        registry.register("upstream_shed", help, self.shed.clone());
        registry.register("upstream_hedges", "Slow calls that were sent to this upstream too", self.hedges.clone());
        let help = "Circuit breaker of the upstream: 1 while it is open, else 0";
        registry.register("upstream_circuit_open", help, self.circuit_open.clone());
        let help = "Attempts that may be under way at once, as adapted to what the upstream bears";
        registry.register("upstream_concurrency_limit", help, self.concurrency_limit.clone());
        registry.register("refreshed_pairs", "Known pairs computed afresh in the background", self.refreshed.clone());
        registry.register("billed_units", "Units that providers say they billed", self.billed.clone());
        registry.register(
            "cost_usd",
            "Cost as the upstream says it, else at list price, where known",
            self.cost.clone(),
        );
        let help = "Cost at list price that known scores saved, where the price is known";
        registry.register("saved_usd", help, self.saved.clone());
        registry.register("cache_queries", "Queries with known scores", self.cache_queries.clone());
        let help = "Memory taken by known scores";
        registry.register_with_unit("cache_size", help, Unit::Bytes, self.cache_bytes.clone());
        let help = "Log lines that found no space in the buffer or could not be written";
        registry.register("log_lines_dropped", help, log_lines::dropped_lines());
        let build = Family::<BuildLabels, Gauge>::default();
        build.get_or_create(&BuildLabels { version: env!("CARGO_PKG_VERSION") }).set(1);
        registry.register("build_info", "The version that runs", build);
        // A label that was never counted would be missing from the exposition instead of 0.
        for (outcome, _) in PairCounts::default().by_outcome() {
            self.pairs.get_or_create_owned(&OutcomeLabels { outcome });
        }
        self
    }

    /// The metrics of the upstream of this name.
    #[must_use]
    pub fn upstream(&self, name: &str) -> UpstreamMetrics {
        let labels = UpstreamLabels { upstream: name.to_owned() };
        // A label that was never counted would be missing from the exposition instead of 0.
        for reason in ShedReason::ALL {
            self.shed.get_or_create_owned(&ShedLabels { upstream: name.to_owned(), reason: reason.code() });
        }
        self.hedges.get_or_create_owned(&labels);
        UpstreamMetrics {
            upstream: name.to_owned(),
            attempts: self.attempts.clone(),
            attempt_duration: self.attempt_duration.clone(),
            retries: self.retries.get_or_create_owned(&labels),
            retries_denied: self.retries_denied.get_or_create_owned(&labels),
            shed: self.shed.clone(),
            circuit_open: self.circuit_open.get_or_create_owned(&labels),
            concurrency_limit: self.concurrency_limit.get_or_create_owned(&labels),
        }
    }

    /// Counts a request as under way until the guard is dropped.
    #[must_use]
    pub fn in_flight(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// Counts a rerank request that ended, and the time from its first byte to its end.
    pub fn request(&self, model: &str, dialect: &'static str, outcome: RequestOutcome, duration: Duration) {
        let labels = RequestLabels { model: model.to_owned(), dialect, outcome: outcome.code() };
        self.requests.get_or_create(&labels).inc();
        self.request_duration.get_or_create(&ModelLabels { model: model.to_owned() }).observe(duration.as_secs_f64());
    }

    /// Counts a rerank request that was refused before anything of it was read.
    pub fn refused(&self, dialect: &'static str, kind: ErrorKind) {
        let labels = RequestLabels { model: NO_MODEL.to_owned(), dialect, outcome: kind.code() };
        self.requests.get_or_create(&labels).inc();
    }

    /// Counts the pairs of one answer, by the source of their scores.
    pub fn pairs(&self, counts: PairCounts) {
        for (outcome, count) in counts.by_outcome() {
            self.pairs.get_or_create(&OutcomeLabels { outcome }).inc_by(count as u64);
        }
    }

    /// Counts an answer that is less than what was asked for.
    pub fn degraded(&self, model: &str, reason: DegradedReason) {
        self.degraded.get_or_create(&DegradedLabels { model: model.to_owned(), reason: reason.code() }).inc();
    }

    /// Counts a target that was given up for the next one after a failure of this kind.
    pub fn fallback(&self, upstream: &str, failure: ErrorKind) {
        let labels = AttemptLabels { upstream: upstream.to_owned(), outcome: failure.code() };
        self.fallbacks.get_or_create(&labels).inc();
    }

    /// Counts a slow call that was sent to this upstream too.
    pub fn hedged(&self, upstream: &str) {
        self.hedges.get_or_create(&UpstreamLabels { upstream: upstream.to_owned() }).inc();
    }

    /// Counts known scores that are being computed afresh.
    pub fn refreshed(&self, pairs: usize) {
        self.refreshed.inc_by(pairs as u64);
    }

    /// Counts what an upstream charged for one call to a model.
    pub fn charge(&self, upstream: &str, model: &str, usage: Usage) {
        self.bill(upstream, "tokens", usage.tokens);
        self.bill(upstream, "search_units", usage.search_units);
        if let Some(cost) = usage.cost_usd {
            add_dollars(&self.cost, upstream, model, cost);
        }
    }

    /// Counts US dollars that were not charged because scores were known.
    pub fn saved(&self, upstream: &str, model: &str, usd: f64) {
        add_dollars(&self.saved, upstream, model, usd);
    }

    /// US dollars counted for a model of an upstream: those charged, and those saved.
    #[must_use]
    pub fn dollars(&self, upstream: &str, model: &str) -> (f64, f64) {
        let labels = PriceLabels { upstream: upstream.to_owned(), model: model.to_owned() };
        let amount_of = |family: &Family<PriceLabels, DollarCounter>| family.get(&labels).map_or(0.0, |sum| sum.get());
        (amount_of(&self.cost), amount_of(&self.saved))
    }

    /// Counts billed units of one kind. An upstream that bills none gets no series.
    fn bill(&self, upstream: &str, unit: &'static str, count: Option<u64>) {
        if let Some(count) = count
            && count > 0
        {
            self.billed.get_or_create(&BilledLabels { upstream: upstream.to_owned(), unit }).inc_by(count);
        }
    }

    /// The text for a scraper (OpenMetrics, which Prometheus reads).
    #[must_use]
    pub fn exposition(&self, cache: CacheSize) -> String {
        // Set at each scrape, because the cache does not report its size by itself.
        self.cache_queries.set(i64::try_from(cache.queries).unwrap_or(i64::MAX));
        self.cache_bytes.set(i64::try_from(cache.bytes).unwrap_or(i64::MAX));
        let mut exposition = String::new();
        // Writing to a string cannot fail.
        let written = text::encode(&mut exposition, &self.registry);
        debug_assert!(written.is_ok());
        exposition
    }
}

/// Adds to the dollars of a model. A model that costs nothing gets no series.
fn add_dollars(family: &Family<PriceLabels, DollarCounter>, upstream: &str, model: &str, usd: f64) {
    if usd > 0.0 {
        let labels = PriceLabels { upstream: upstream.to_owned(), model: model.to_owned() };
        family.get_or_create(&labels).inc_by(usd);
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl UpstreamMetrics {
    /// The upstream's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.upstream
    }

    /// Counts an attempt that a guard forbade.
    pub fn shed(&self, reason: ShedReason) {
        self.shed.get_or_create(&ShedLabels { upstream: self.upstream.clone(), reason: reason.code() }).inc();
    }

    /// Sets two gauges: if a circuit is open for any caller, and the attempts that may be under way at once.
    pub fn set_guard(&self, is_open: bool, concurrency_limit: usize) {
        self.circuit_open.set(i64::from(is_open));
        self.concurrency_limit.set(i64::try_from(concurrency_limit).unwrap_or(i64::MAX));
    }

    /// Counts an HTTP attempt that ended, and its duration.
    pub fn attempt(&self, outcome: AttemptOutcome, duration: Duration) {
        let labels = AttemptLabels { upstream: self.upstream.clone(), outcome: outcome.code() };
        self.attempts.get_or_create(&labels).inc();
        self.attempt_duration.get_or_create(&labels).observe(duration.as_secs_f64());
    }

    /// Counts an attempt beyond the first of a call.
    pub fn retry(&self) {
        self.retries.inc();
    }

    /// Counts a retry that the budget forbade.
    pub fn retry_denied(&self) {
        self.retries_denied.inc();
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}
