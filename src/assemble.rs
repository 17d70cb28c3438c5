//! The composition root: builds a pipeline from settings.

use std::sync::Arc;

use parking_lot::Mutex;
use rerankd_core::cache::ScoreCache;
use rerankd_core::cache::age::Lifetimes;
use rerankd_core::cache::settings::CacheSettings;
use rerankd_core::coalesce::Flights;
use rerankd_core::rerank::Reranker;
use rerankd_core::rerank::background_tasks::Background;
use rerankd_core::rerank::validate::Limits;
use rerankd_core::route::hedge::Hedge;
use rerankd_core::route::settings::ModelSettings;
use rerankd_core::route::shadow::Shadow;
use rerankd_core::route::{Route, RouteTable, Target};
use rerankd_core::telemetry::metrics::Metrics;
use rerankd_core::upstream::settings::UpstreamSettings;
use rerankd_core::upstream::{Upstream, in_process};

use crate::config::settings::Settings;

/// Builds everything that outlives a request.
///
/// # Errors
/// A sentence that names the key, if an upstream's client cannot be set up or a target does not exist.
pub fn assemble(settings: &Settings) -> Result<Reranker, String> {
    assemble_with(settings, Upstream::over_http)
}

/// The same, with upstreams made by `connect`.
pub(crate) fn assemble_with(
    settings: &Settings,
    connect: impl Fn(&UpstreamSettings, &Metrics) -> Result<Upstream, String>,
) -> Result<Reranker, String> {
    let metrics = Arc::new(Metrics::new());
    let build = |upstream: &UpstreamSettings| match connect(upstream, &metrics) {
        Ok(built) => Ok(Arc::new(built)),
        Err(reason) => Err(format!("upstreams.{}: {reason}", upstream.name)),
    };
    let mut upstreams = Vec::with_capacity(settings.upstreams.len() + 1);
    for upstream in &settings.upstreams {
        upstreams.push(build(upstream)?);
    }
    upstreams.push(Arc::new(in_process::upstream(rerankd_local::scorers(&settings.local), &metrics)?));
    let mut routes = Vec::with_capacity(settings.models.len());
    for model in &settings.models {
        let mut route = route(model, &upstreams)?;
        if let Some((target_settings, limits)) = &model.shadow {
            // A shadow's failures must not open the circuit of the traffic, nor retire its keys: it asks through a
            // stack of its own. Only the embedded scorer, which has no settings here, is shared.
            let shared = find_upstream(&upstreams, model, &target_settings.upstream)?;
            let upstream = match settings.upstreams.iter().find(|configured| configured.name == shared.name) {
                Some(configured) => {
                    let label = format!("{} (shadow)", configured.name);
                    build(&UpstreamSettings { label, ..configured.clone() })?
                }
                None => shared.clone(),
            };
            let Some(target) = Target::new(upstream, target_settings) else { return Err(missing_target(model)) };
            route.shadow = Some(Arc::new(Shadow::of(target, *limits)));
        }
        routes.push(route);
    }
    // The setting left out is for `Callers`: the cache knows scopes, and not whose they are.
    let CacheSettings { enabled, max_bytes, time_to_live, max_stale, refresh_ahead, .. } = settings.cache;
    let cache = if enabled {
        ScoreCache::in_memory(max_bytes, Lifetimes { time_to_live, max_stale, refresh_ahead })
    } else {
        ScoreCache::off()
    };
    Ok(Reranker {
        routes: RouteTable::new(routes, upstreams, settings.unknown_models.clone()),
        cache,
        flights: Flights::default(),
        limits: Limits { max_documents: settings.server.max_documents },
        background: Background::default(),
        request_timeout: settings.server.request_timeout,
        metrics,
        random: Mutex::new(fastrand::Rng::new()),
    })
}

/// The route of a configured model, still without its shadow.
fn route(settings: &ModelSettings, upstreams: &[Arc<Upstream>]) -> Result<Route, String> {
    let mut targets = Vec::with_capacity(settings.targets.len());
    for target_settings in &settings.targets {
        let upstream = find_upstream(upstreams, settings, &target_settings.upstream)?;
        let Some(target) = Target::new(upstream.clone(), target_settings) else {
            return Err(missing_target(settings));
        };
        targets.push(Arc::new(target));
    }
    // The targets of one score space stand together, at the place of the first of them: `Route::order` relies on it.
    let spaces: Vec<_> = targets.iter().map(|target| target.space.clone()).collect();
    targets.sort_by_key(|target| spaces.iter().position(|space| *space == target.space));
    Ok(Route {
        model: settings.name.clone(),
        label: settings.name.clone(),
        aliases: settings.aliases.clone(),
        targets,
        on_failure: settings.on_failure,
        on_deadline: settings.on_deadline,
        fallback_after: settings.fallback_after,
        hedge: settings.hedge.enabled.then(|| Hedge::new(settings.hedge)),
        shadow: None,
        flights: None,
    })
}

fn find_upstream<'a>(
    upstreams: &'a [Arc<Upstream>],
    model: &ModelSettings,
    name: &str,
) -> Result<&'a Arc<Upstream>, String> {
    upstreams.iter().find(|upstream| upstream.name == name).ok_or_else(|| missing_target(model))
}

/// The reason why a model cannot be built; never seen, because `config` has checked every target.
fn missing_target(model: &ModelSettings) -> String {
    format!("models.{}: a target does not exist", model.name)
}
