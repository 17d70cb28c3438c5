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
    let build = |upstream: &UpstreamSettings| {
        let built = remote(upstream, &metrics).map_err(|reason| format!("upstreams.{}: {reason}", upstream.name))?;
        Ok::<_, String>(Arc::new(built))
    };
    let mut upstreams = settings.upstreams.iter().map(build).collect::<Result<Vec<_>, _>>()?;
    upstreams.push(Arc::new(local::upstream(&settings.local, &metrics)?));
    // A shadow's failures must not open the circuit of the traffic, nor retire its keys: it asks through a stack of its own.
    let apart = |upstream: &Arc<Upstream>| {
        let settings = settings.upstreams.iter().find(|settings| settings.name == upstream.name);
        let labelled = |settings: &UpstreamSettings| UpstreamSettings {
            label: format!("{} (shadow)", settings.name),
            ..settings.clone()
        };
        settings.map_or_else(|| Ok(upstream.clone()), |settings| build(&labelled(settings)))
    };
    let routes = settings.models.iter().map(|model| route(model, &upstreams, apart)).collect::<Result<Vec<_>, _>>()?;
    let cache = &settings.cache;
    Ok(Reranker {
        routes: RouteTable::new(routes, upstreams, settings.absent_upstreams.clone()),
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

fn route(
    settings: &ModelSettings,
    upstreams: &[Arc<Upstream>],
    apart: impl Fn(&Arc<Upstream>) -> Result<Arc<Upstream>, String>,
) -> Result<Route, String> {
    let missing = || format!("models.{}: a target does not exist", settings.name);
    let upstream = |name: &str| upstreams.iter().find(|upstream| upstream.name == name).cloned().ok_or_else(missing);
    let target =
        |upstream: Arc<Upstream>, settings: &TargetSettings| Target::new(upstream, settings).ok_or_else(missing);
    let shadow = settings.shadow.as_ref().map(|(settings, limits)| {
        let target = target(apart(&upstream(&settings.upstream)?)?, settings)?;
        Ok::<_, String>(Arc::new(Shadow::of(target, *limits)))
    });
    let targets = settings.targets.iter().map(|settings| target(upstream(&settings.upstream)?, settings).map(Arc::new));
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
        flights: None,
    })
}
