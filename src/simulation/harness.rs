//! The harness of one day: a pipeline before simulated upstreams.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rerankd_core::cache::age::RefreshAhead;
use rerankd_core::rerank::Reranker;
use rerankd_core::types::response::RerankResponse;
use rerankd_core::upstream::Upstream;
use rerankd_core::upstream::key_ring::KeyRing;

use super::faults::{Behaviour, SimulatedTransport, SimulatedUpstream};
use crate::assemble::assemble_with;
use crate::config::settings::Settings;
use crate::config::{Environment, Sources, load};

pub(super) const CONFIG: &str = r"
[cache]
ttl = '20s'
max_stale = '60s'
refresh_ahead = '5s'
[upstreams.one]
provider = 'cohere'
base_url = 'http://one'
max_passages = 5
max_concurrency = 6
max_queue = 12
[upstreams.two]
provider = 'cohere'
base_url = 'http://two'
max_passages = 5
max_concurrency = 6
max_queue = 12
[upstreams.other]
provider = 'cohere'
base_url = 'http://other'
[models.default]
targets = [
  { upstream = 'one', model = 'rerank-v3.5', scores = 'main' },
  { upstream = 'two', model = 'rerank-v3.5', scores = 'main', weight = 2 },
  { upstream = 'other', model = 'rerank-v4.0-fast' },
]
[models.default.hedge]
enabled = true
max_calls = 0.1
max_spend = 0.1
[models.alone]
targets = [{ upstream = 'one', model = 'rerank-v3.5', scores = 'main' }]
on_deadline = 'partial'
[models.open]
targets = [
  { upstream = 'one', model = 'rerank-v3.5', scores = 'main' },
  { upstream = 'two', model = 'rerank-v3.5', scores = 'main' },
]
on_failure = 'original_order'
";

pub(super) fn settings() -> Settings {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), CONFIG).unwrap();
    let sources = Sources { file: Some(file.path().to_owned()), environment: Environment::new(), listen: None };
    load(&sources).unwrap().settings
}

/// A pipeline, its upstreams, and the events of the day.
pub(super) struct Harness {
    pub(super) reranker: Reranker,
    pub(super) upstreams: BTreeMap<&'static str, Arc<SimulatedUpstream>>,
    /// Events that happened, to tell whether the days have been bad enough.
    pub(super) seen: Mutex<BTreeSet<&'static str>>,
}

impl Harness {
    pub(super) fn new(seed: u64) -> Self {
        let mut upstreams = BTreeMap::new();
        // The limits in `CONFIG`, or the default: an upstream panics if more calls are in flight.
        for ((name, salt, max_in_flight), index) in
            [("one", "main", 6), ("two", "main", 6), ("other", "other", 64)].into_iter().zip(1..)
        {
            let upstream = SimulatedUpstream::new(salt, max_in_flight, seed * 31 + index);
            upstreams.insert(name, Arc::new(upstream));
        }
        let mut settings = settings();
        // Days of both kinds of refreshes, with the same faults.
        if seed.is_multiple_of(3) {
            settings.cache.refresh_ahead = RefreshAhead::Free;
        }
        Self::under(upstreams, &settings)
    }

    /// A harness without faults, in which a call takes at most `max_passages`.
    pub(super) fn without_faults(max_passages: usize) -> Self {
        let mut settings = settings();
        let mut upstreams = BTreeMap::new();
        for (upstream, (name, salt)) in
            settings.upstreams.iter_mut().zip([("one", "main"), ("two", "main"), ("other", "other")])
        {
            upstream.facts.max_passages = max_passages;
            let schedule = vec![(Duration::ZERO, Behaviour::Fine { milliseconds: 20 })];
            upstreams.insert(name, Arc::new(SimulatedUpstream { schedule, ..SimulatedUpstream::new(salt, 6, 1) }));
        }
        Self::under(upstreams, &settings)
    }

    pub(super) fn under(upstreams: BTreeMap<&'static str, Arc<SimulatedUpstream>>, settings: &Settings) -> Self {
        let reranker = assemble_with(settings, |upstream, metrics| {
            let keys = Arc::new(KeyRing::new(&upstream.api_keys, &upstream.wire.call().key)?);
            let simulated = upstreams[upstream.name.as_str()].clone();
            Ok(Upstream::behind(SimulatedTransport(simulated), upstream.stack(), metrics, keys))
        })
        .unwrap();
        Self { reranker, upstreams, seen: Mutex::default() }
    }

    pub(super) fn record(&self, what: &'static str) {
        self.seen.lock().unwrap().insert(what);
    }

    /// Records the events that an answer shows.
    pub(super) fn note(&self, response: &RerankResponse) {
        let provenance = &response.provenance;
        for reason in &provenance.degraded {
            self.record(reason.code());
        }
        for (what, happened) in [
            ("hit", provenance.pairs.hit > 0),
            ("coalesced", provenance.pairs.coalesced > 0),
            ("mixed", provenance.pairs.coalesced > 0 && provenance.pairs.scored > 0),
            ("stale", provenance.pairs.stale > 0),
            ("fallback", provenance.fallbacks > 0 && provenance.reranked),
            ("original order", !provenance.reranked),
            ("retried", provenance.attempts > 3),
        ] {
            if happened {
                self.record(what);
            }
        }
    }

    pub(super) fn calls(&self) -> usize {
        self.upstreams.values().map(|upstream| upstream.calls.load(Ordering::Relaxed)).sum()
    }
}
