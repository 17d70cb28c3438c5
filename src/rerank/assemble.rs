//! From settings to a pipeline.

use std::sync::Arc;

use super::Reranker;
use super::background::Background;
use super::validate::Limits;
use crate::cache::ScoreCache;
use crate::cache::age::Lifetimes;
use crate::coalesce::Flights;
use crate::config::settings::{CacheSettings, ModelSettings, Settings, TargetSettings, UpstreamSettings};
use crate::local;
use crate::route::hedge::Hedge;
use crate::route::shadow::Shadow;
use crate::route::{Route, RouteTable, Target};
use crate::telemetry::metrics::Metrics;
use crate::upstream::Upstream;

/// Builds everything that outlives a request.
///
/// # Errors
/// A sentence: an upstream's client cannot be set up.
pub fn assemble(settings: &Settings) -> Result<Reranker, String> {
    assemble_with(settings, Upstream::remote)
}

/// The same with upstreams that are made by `remote`.
pub(crate) fn assemble_with(
    settings: &Settings,
    remote: impl Fn(&UpstreamSettings, &Metrics) -> Result<Upstream, String>,
) -> Result<Reranker, String> {
    let metrics = Arc::new(Metrics::new());
    let mut upstreams = Vec::with_capacity(settings.upstreams.len() + 1);
    for upstream in &settings.upstreams {
        let built = remote(upstream, &metrics).map_err(|reason| format!("upstreams.{}: {reason}", upstream.name))?;
        upstreams.push(Arc::new(built));
    }
    upstreams.push(Arc::new(local::upstream(&settings.local, &metrics)?));
    let routes = settings.models.iter().map(|model| route(model, &upstreams)).collect::<Result<Vec<_>, _>>()?;
    let cache = &settings.cache;
    Ok(Reranker {
        routes: RouteTable::new(routes, upstreams),
        cache: if cache.enabled {
            let CacheSettings { time_to_live, max_stale, refresh_ahead, .. } = *cache;
            ScoreCache::in_memory(cache.max_bytes, Lifetimes { time_to_live, max_stale, refresh_ahead })
        } else {
            ScoreCache::off()
        },
        flights: Flights::default(),
        limits: Limits { max_documents: settings.server.max_documents },
        background: Background::default(),
        request_timeout: settings.server.request_timeout,
        metrics,
    })
}

fn route(settings: &ModelSettings, upstreams: &[Arc<Upstream>]) -> Result<Route, String> {
    let target = |target: &TargetSettings| {
        let upstream = upstreams.iter().find(|upstream| upstream.name == target.upstream);
        let found = upstream.and_then(|upstream| Target::new(upstream.clone(), target));
        found.ok_or_else(|| format!("models.{}: a target does not exist", settings.name))
    };
    let shadow = settings.shadow.as_ref().map(|(shadow, settings)| {
        let target = target(shadow)?;
        let name = target.address();
        Ok::<_, String>(Arc::new(Shadow::new(Arc::new(Route::to(&name, target)), name, *settings)))
    });
    let targets = settings.targets.iter().map(|settings| target(settings).map(Arc::new));
    let mut targets = targets.collect::<Result<Vec<_>, _>>()?;
    // Those of one score space go where the first of them stands.
    let spaces: Vec<_> = targets.iter().map(|target| target.space.clone()).collect();
    targets.sort_by_key(|target| spaces.iter().position(|space| *space == target.space));
    Ok(Route {
        model: settings.name.clone(),
        label: settings.name.clone(),
        aliases: settings.aliases.clone(),
        targets,
        on_failure: settings.on_failure,
        on_deadline: settings.on_deadline,
        hedge: settings.hedge.enabled.then(|| Hedge::new(settings.hedge)),
        shadow: shadow.transpose()?,
    })
}
