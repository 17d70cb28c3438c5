//! Model name to ordered targets.
//!
//! A name is, in this order: a model of the configuration; `UPSTREAM/MODEL`; an alias; a model that exactly one configured
//! upstream is known to have; `local`; what fits the pattern of an alias. No name at all means `default`.

pub mod alias;
pub mod balance;
pub mod hedge;
pub mod shadow;
mod unknown;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;

use self::alias::Alias;
use self::hedge::Hedge;
use self::shadow::Shadow;
use crate::cache::key::CacheScope;
use crate::cache::key::ScoreSpace;
use crate::coalesce::Flights;
use crate::config::settings::{AbsentUpstream, LocalSettings, OnDeadline, OnFailure, TargetSettings};
use crate::error::Error;
use crate::local::{self, LocalModel};
use crate::provider::{ModelFacts, Scoring};
use crate::upstream::{Backend, Embedded, Upstream};

/// The model used when a request names none.
pub const DEFAULT_MODEL: &str = "default";

/// One (upstream, upstream model) that may answer.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where to ask.
    pub upstream: Arc<Upstream>,
    /// What to ask for.
    pub model: String,
    /// What is known about the model.
    pub facts: ModelFacts,
    /// Whether the registry lists the model; if not, it counts as listwise unless the provider says otherwise.
    pub listed: bool,
    /// The identity of its scores.
    pub space: ScoreSpace,
    /// Share of the requests among targets of the same scores.
    pub weight: u32,
    /// What the embedded scorer's hybrid is made of; `None` for every other target.
    pub parts: Option<Parts>,
}

/// The two models of the embedded scorer that its hybrid asks.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Picks the head of the list, and ranks what the other cannot read.
    pub lexical: Arc<Target>,
    /// Reads the head.
    pub cross_encoder: Arc<Target>,
    /// How their scores are put together, and for which queries.
    pub settings: LocalSettings,
}

/// A public model and its ordered targets.
#[derive(Clone, Debug)]
pub struct Route {
    /// The name in the configuration, or the one that was asked for where a route was made for it.
    pub model: String,
    /// The name that metrics carry. Never invented by a client.
    pub label: String,
    /// Other names of the model.
    pub aliases: Vec<Alias>,
    /// Where to ask, best first; never empty. Those of one score space stand together.
    pub targets: Vec<Arc<Target>>,
    /// What happens when every target failed.
    pub on_failure: OnFailure,
    /// What happens when the deadline passes and some scores are there.
    pub on_deadline: OnDeadline,
    /// Sends slow calls twice, if that is wanted.
    pub hedge: Option<Hedge>,
    /// Who is asked the same behind the client's back.
    pub shadow: Option<Arc<Shadow>>,
    /// Where its pairs are in flight, if they must not meet those of the traffic.
    pub flights: Option<Flights>,
}

/// All models that can be asked for.
#[derive(Clone, Debug, Default)]
pub struct RouteTable {
    routes: BTreeMap<String, Arc<Route>>,
    upstreams: Vec<Arc<Upstream>>,
    /// What would make an upstream of a provider that has none of its name, by that name.
    absent_upstreams: BTreeMap<&'static str, AbsentUpstream>,
}

impl Target {
    /// What `settings` say of `upstream`; `None` if the upstream is the embedded scorer and has no such model.
    #[must_use]
    pub fn new(upstream: Arc<Upstream>, settings: &TargetSettings) -> Option<Self> {
        let TargetSettings { model, revision, scores, weight, .. } = settings;
        let (facts, listed, parts) = match &upstream.backend {
            Backend::Remote(remote) => {
                let (facts, listed) = remote.facts.model(model);
                (facts, listed, None)
            }
            Backend::Local(embedded) => match local::models(embedded).find(|known| known.name() == model)? {
                LocalModel::CrossEncoder => return Self::new(embedded.cross_encoder.clone()?, settings),
                LocalModel::Hybrid => (LocalModel::Hybrid.facts(), true, Some(Parts::new(&upstream, embedded)?)),
                LocalModel::Lexical => (LocalModel::Lexical.facts(), true, None),
            },
        };
        // No upstream has an empty name, so shared scores are never taken for those of an upstream.
        let (owner, name) =
            scores.as_ref().map_or_else(|| (upstream.name.clone(), model), |scores| (String::new(), scores));
        let (revision, scale) = (revision.clone(), facts.scale);
        let space = ScoreSpace { upstream: owner, model: name.clone(), revision, scale };
        Some(Self { upstream, model: model.clone(), facts, listed, space, weight: *weight, parts })
    }

    /// `model` at `upstream`, as it is addressed directly.
    #[must_use]
    pub fn direct(upstream: &Arc<Upstream>, model: &str) -> Option<Self> {
        let (name, model) = (upstream.name.clone(), model.to_owned());
        let settings = TargetSettings { upstream: name, model, revision: String::new(), scores: None, weight: 1 };
        Self::new(upstream.clone(), &settings)
    }

    /// Who is asked for `query`: the target itself, but for the embedded scorer's hybrid and queries that its cross-encoder cannot read.
    #[must_use]
    pub fn suited_to(self: Arc<Self>, query: &str) -> Arc<Self> {
        match &self.parts {
            Some(parts) if !parts.settings.scripts.hold(query) => parts.lexical.clone(),
            _ => self,
        }
    }

    /// Whether an answer takes hardly any time: the lexical scorer's.
    #[must_use]
    pub fn answers_at_once(&self) -> bool {
        matches!(self.upstream.backend, Backend::Local(_)) && self.parts.is_none()
    }

    /// `UPSTREAM/MODEL`, the name under which the target can always be addressed.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}/{}", self.upstream.name, self.model)
    }

    /// Whether the model is treated as listwise only because nobody said otherwise.
    #[must_use]
    pub fn is_guessed_listwise(&self) -> bool {
        !self.listed && self.facts.scoring == Scoring::Listwise
    }
}

impl Parts {
    fn new(upstream: &Arc<Upstream>, embedded: &Embedded) -> Option<Self> {
        let part = |model: LocalModel| Target::direct(upstream, model.name()).map(Arc::new);
        let (lexical, cross_encoder) = (part(LocalModel::Lexical)?, part(LocalModel::CrossEncoder)?);
        Some(Self { lexical, cross_encoder, settings: embedded.settings.clone() })
    }
}

impl Route {
    /// The route of a `name` that stands for one model of one upstream.
    fn direct(name: &str, upstream: &Arc<Upstream>, model: &str) -> Option<Arc<Self>> {
        Some(Arc::new(Self::to(name, Target::direct(upstream, model)?)))
    }

    /// The route of a `name` that leads to `target` and nowhere else.
    pub(crate) fn to(name: &str, target: Target) -> Self {
        let label = if target.listed { name.to_owned() } else { format!("{}/other", target.upstream.name) };
        Self {
            model: name.to_owned(),
            label,
            aliases: Vec::new(),
            targets: vec![Arc::new(target)],
            on_failure: OnFailure::Error,
            on_deadline: OnDeadline::Error,
            hedge: None,
            shadow: None,
            flights: None,
        }
    }

    /// The targets in the order in which to ask them for `caller` now: score spaces as configured, within each the one that is likely to answer first.
    #[must_use]
    pub fn order(&self, caller: CacheScope, now: Instant) -> Vec<Arc<Target>> {
        let spaces = self.targets.chunk_by(|left, right| left.space == right.space);
        spaces.flat_map(|targets| balance::in_order(targets, caller, now, &mut fastrand::f64)).collect()
    }

    /// The other targets of the same scores as `target`'s.
    pub fn equivalent_targets<'a>(&'a self, target: &'a Arc<Target>) -> impl Iterator<Item = &'a Arc<Target>> {
        self.targets.iter().filter(move |twin| twin.space == target.space && !Arc::ptr_eq(twin, target))
    }
}

impl RouteTable {
    /// The configured routes, over the upstreams that can also be addressed directly.
    #[must_use]
    pub fn new(
        routes: impl IntoIterator<Item = Route>,
        upstreams: Vec<Arc<Upstream>>,
        absent_upstreams: BTreeMap<&'static str, AbsentUpstream>,
    ) -> Self {
        let routes = routes.into_iter().map(|route| (route.model.clone(), Arc::new(route))).collect();
        Self { routes, upstreams, absent_upstreams }
    }

    /// The route of a model name; `None` means the default model.
    ///
    /// # Errors
    /// `unknown_model`, with the names that are known or what the model lacks; `invalid_request` if several upstreams have a model of this name.
    pub fn resolve(&self, model: Option<&str>) -> Result<Arc<Route>, Error> {
        let model = model.unwrap_or(DEFAULT_MODEL);
        if let Some(route) = self.routes.get(model) {
            return Ok(route.clone());
        }
        if let Some((upstream, upstream_model)) = self.addressed(model) {
            return Route::direct(model, upstream, upstream_model).ok_or_else(|| self.unknown(model));
        }
        if let Some(route) = self.routes.values().find(|route| route.aliases.iter().any(|alias| alias.is(model))) {
            return Ok(route.clone());
        }
        let owners: Vec<_> = self.upstreams.iter().filter(|upstream| upstream.lists(model)).collect();
        match owners[..] {
            [upstream] => Route::direct(model, upstream, model).ok_or_else(|| self.unknown(model)),
            [] if model == local::NAME => self.local().ok_or_else(|| self.unknown(model)),
            _ => self.by_pattern(model).map_or_else(|| Err(self.not_one(model, &owners)), |route| Ok(route.clone())),
        }
    }

    /// The route with the pattern that fits best.
    fn by_pattern(&self, model: &str) -> Option<&Arc<Route>> {
        let fit = |route: &&Arc<Route>| route.aliases.iter().filter_map(|alias| alias.fit(model)).max();
        self.routes.values().filter(|route| fit(route).is_some()).max_by_key(fit)
    }

    fn not_one(&self, model: &str, owners: &[&Arc<Upstream>]) -> Error {
        if owners.is_empty() {
            return self.unknown(model);
        }
        let addresses: Vec<_> = owners.iter().map(|upstream| format!("{}/{model}", upstream.name)).collect();
        let message = format!("several upstreams have this model; ask for one of {}", addresses.join(", "));
        Error::invalid_field("/model", message)
    }

    fn local(&self) -> Option<Arc<Route>> {
        let usual = |upstream: &Arc<Upstream>| match &upstream.backend {
            Backend::Local(embedded) => Route::direct(&upstream.name, upstream, local::models(embedded).next()?.name()),
            Backend::Remote(_) => None,
        };
        self.upstreams.iter().find_map(usual)
    }

    /// `UPSTREAM/MODEL` taken apart, if the first part is an upstream.
    fn addressed<'a>(&self, model: &'a str) -> Option<(&Arc<Upstream>, &'a str)> {
        let (name, upstream_model) = model.split_once('/')?;
        let upstream = self.upstreams.iter().find(|upstream| upstream.name == name)?;
        (!upstream_model.is_empty()).then_some((upstream, upstream_model))
    }

    /// The configured routes, in the order of their names.
    pub fn routes(&self) -> impl Iterator<Item = &Route> {
        self.routes.values().map(AsRef::as_ref)
    }

    /// The upstreams that can be addressed directly.
    #[must_use]
    pub fn upstreams(&self) -> &[Arc<Upstream>] {
        &self.upstreams
    }

    /// Every name that is known: the configured models and their aliases, then what each upstream is known to have.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let aliases =
            |route: &Arc<Route>| route.aliases.iter().map(|alias| alias.as_str().to_owned()).collect::<Vec<_>>();
        let configured = self.routes.keys().cloned().chain(self.routes.values().flat_map(aliases));
        let local =
            self.local().filter(|local| !self.routes.contains_key(&local.model)).map(|local| local.model.clone());
        configured.chain(local).chain(self.upstreams.iter().flat_map(|upstream| upstream.addresses())).collect()
    }
}

impl Upstream {
    /// The names of the models that this upstream is known to have.
    #[must_use]
    pub fn models(&self) -> Vec<&str> {
        match &self.backend {
            Backend::Remote(remote) => remote.facts.models.keys().map(String::as_str).collect(),
            Backend::Local(embedded) => local::models(embedded).map(LocalModel::name).collect(),
        }
    }

    fn lists(&self, model: &str) -> bool {
        matches!(self.backend, Backend::Remote(_)) && self.models().contains(&model)
    }

    fn addresses(&self) -> Vec<String> {
        self.models().into_iter().map(|model| format!("{}/{model}", self.name)).collect()
    }
}
