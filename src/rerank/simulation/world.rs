//! One day's world: a pipeline before simulated upstreams.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::super::Reranker;
use super::super::assemble::assemble_with;
use super::super::response::RerankResponse;
use super::weather::{Simulated, Sky, Weather};
use crate::config::settings::{Settings, UpstreamSettings};
use crate::config::{Environment, Sources, load};
use crate::upstream::Upstream;

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
targets = [{ upstream = 'one', model = 'rerank-v3.5', scores = 'main' }, { upstream = 'two', model = 'rerank-v3.5', scores = 'main' }]
on_failure = 'original_order'
";

pub(super) fn settings() -> Settings {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), CONFIG).unwrap();
    let sources = Sources { file: Some(file.path().to_owned()), environment: Environment::new(), listen: None };
    load(&sources).unwrap().settings
}

/// One day's world.
pub(super) struct World {
    pub(super) reranker: Reranker,
    pub(super) skies: BTreeMap<&'static str, Arc<Sky>>,
    /// What happened, so that it can be told whether the days have been bad enough.
    pub(super) seen: Mutex<BTreeSet<&'static str>>,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let skies = [("one", "main", 6), ("two", "main", 6), ("other", "other", 64)];
        let skies: BTreeMap<_, _> = skies
            .into_iter()
            .zip(1..)
            .map(|((name, salt, most), index)| (name, Arc::new(Sky::new(salt, most, seed * 31 + index))))
            .collect();
        Self::under(skies, &settings())
    }

    /// A world without bad days, in which a call takes at most so many passages.
    pub(super) fn in_fine_weather(max_passages: usize) -> Self {
        let mut settings = settings();
        let mut skies = BTreeMap::new();
        for (upstream, (name, salt)) in
            settings.upstreams.iter_mut().zip([("one", "main"), ("two", "main"), ("other", "other")])
        {
            upstream.facts.max_passages = max_passages;
            let forecast = vec![(Duration::ZERO, Weather::Fine { milliseconds: 20 })];
            skies.insert(name, Arc::new(Sky { forecast, ..Sky::new(salt, 6, 1) }));
        }
        Self::under(skies, &settings)
    }

    pub(super) fn under(skies: BTreeMap<&'static str, Arc<Sky>>, settings: &Settings) -> Self {
        let remote = |settings: &UpstreamSettings, metrics: &_| {
            let keys = Arc::new(crate::upstream::keys::KeyRing::new(&settings.api_keys)?);
            let sky = skies[settings.name.as_str()].clone();
            Ok(Upstream::behind(Simulated(sky), settings, metrics, keys))
        };
        let reranker = assemble_with(settings, remote).unwrap();
        Self { reranker, skies, seen: Mutex::default() }
    }

    pub(super) fn seen(&self, what: &'static str) {
        self.seen.lock().unwrap().insert(what);
    }

    pub(super) fn note(&self, response: &RerankResponse) {
        let provenance = &response.provenance;
        provenance.degraded.iter().for_each(|reason| self.seen(reason));
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
                self.seen(what);
            }
        }
    }

    pub(super) fn calls(&self) -> usize {
        self.skies.values().map(|sky| sky.calls.load(Ordering::Relaxed)).sum()
    }
}
