//! Model names and the targets that they stand for, in the order in which to ask them.
//!
//! A name is, in this order: a model of the configuration; `UPSTREAM/MODEL`; an alias; a model that exactly one
//! configured upstream is known to have; `local`; a name that fits the pattern of an alias. No name at all means
//! `default`. Upstreams to which only their name leads ([`Upstream::by_name_only`]) come last, as `UPSTREAM/MODEL`, so
//! that they take no name from others.

pub mod alias;
pub mod balance;
pub mod hedge;
mod hint;
pub mod lifecycle;
pub mod settings;
pub mod shadow;
mod stack_target;
mod target;
mod unknown;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use self::alias::Alias;
use self::hedge::Hedge;
pub use self::hint::cross_encoder_hint;
pub(crate) use self::hint::no_shared_word;
use self::shadow::Shadow;
pub use self::stack_target::{ScoringPath, StackTarget};
pub use self::target::{HybridParts, Target};
use crate::cache::key::CacheScope;
use crate::coalesce::Flights;
use crate::embedded;
use crate::error::{Error, ErrorKind};
use crate::route::settings::{OnDeadline, OnFailure, UnknownModels};
use crate::upstream::{Backend, Upstream};

/// The model used when a request names none.
pub const DEFAULT_MODEL: &str = "default";

/// A public model and its ordered targets.
#[derive(Clone, Debug)]
pub struct Route {
    /// The name in the configuration, or the one that was asked for where a route was made for it.
    pub model: String,
    /// The name that metrics carry. Never invented by a client.
    pub label: String,
    /// Other names of the model.
    pub aliases: Vec<Alias>,
    /// Targets, best first; never empty. Those of one score space stand together, which [`Self::order`] relies on; they
    /// are put so where the route is made of the configuration.
    pub targets: Vec<Arc<Target>>,
    /// Policy for requests that every target failed.
    pub on_failure: OnFailure,
    /// Policy for requests of which only some scores arrive by the deadline.
    pub on_deadline: OnDeadline,
    /// The longest wait for the first answer of an upstream whose usual latency is not known, while another target is
    /// ready; zero for none.
    pub fallback_after: Duration,
    /// Budget for second calls; `None` if the model is not hedged.
    pub hedge: Option<Hedge>,
    /// A target that is compared with the answers in the background.
    pub shadow: Option<Arc<Shadow>>,
    /// The route's own pairs in flight, if they must not be shared with the traffic.
    pub flights: Option<Flights>,
}

/// All models that can be asked for.
#[derive(Clone, Debug, Default)]
pub struct RouteTable {
    /// The configured routes by name.
    routes: BTreeMap<String, Arc<Route>>,
    /// The upstreams that can be addressed directly.
    upstreams: Vec<Arc<Upstream>>,
    /// Treatment of other models.
    unknown: UnknownModels,
}

impl Route {
    /// The route of a `name` that stands for one model of one upstream.
    fn direct(name: &str, upstream: &Arc<Upstream>, model: &str) -> Option<Arc<Self>> {
        Some(Arc::new(Self::to(name, Target::direct(upstream, model)?)))
    }

    /// The route of a `name` that leads to `target` and nowhere else.
    pub(crate) fn to(name: &str, target: Target) -> Self {
        // Clients invent names of models that nobody lists. Each would be a new series of every metric.
        let label = if target.listed { name.to_owned() } else { format!("{}/other", target.upstream.name) };
        Self {
            model: name.to_owned(),
            label,
            aliases: Vec::new(),
            targets: vec![Arc::new(target)],
            on_failure: OnFailure::Error,
            on_deadline: OnDeadline::Error,
            fallback_after: Duration::ZERO,
            hedge: None,
            shadow: None,
            flights: None,
        }
    }

    /// The targets in the order in which to ask them for `caller` now: score spaces as configured, within each the
    /// target that is likely to answer first. `random` gives numbers from 0 to 1.
    #[must_use]
    pub fn order(&self, caller: CacheScope, now: Instant, random: &mut impl FnMut() -> f64) -> Vec<Arc<Target>> {
        let mut targets = Vec::with_capacity(self.targets.len());
        for equivalent in self.targets.chunk_by(|left, right| left.space == right.space) {
            targets.extend(balance::in_order(equivalent, caller, now, random));
        }
        targets
    }

    /// The other targets of the score space of `target`.
    pub fn equivalent_targets<'a>(&'a self, target: &'a Target) -> impl Iterator<Item = &'a Arc<Target>> {
        self.targets
            .iter()
            .filter(move |other| other.space == target.space && !std::ptr::eq(Arc::as_ptr(other), target))
    }
}

impl RouteTable {
    /// The configured routes, over the upstreams that can also be addressed directly.
    #[must_use]
    pub fn new(routes: impl IntoIterator<Item = Route>, upstreams: Vec<Arc<Upstream>>, unknown: UnknownModels) -> Self {
        let mut by_name = BTreeMap::new();
        for route in routes {
            by_name.insert(route.model.clone(), Arc::new(route));
        }
        Self { routes: by_name, upstreams, unknown }
    }

    /// The route of a model name; `None` means the default model.
    ///
    /// # Errors
    /// `unknown_model`, with the known names or the setting that the model lacks; `invalid_request` if several
    /// upstreams have a model of this name.
    pub fn resolve(&self, model: Option<&str>) -> Result<Arc<Route>, Error> {
        let model = model.unwrap_or(DEFAULT_MODEL);
        if let Some(route) = self.routes.get(model) {
            return Ok(route.clone());
        }
        let addressed = self.addressed(model);
        if let Some((upstream, upstream_model)) = addressed
            && !upstream.by_name_only
        {
            return Route::direct(model, upstream, upstream_model).ok_or_else(|| self.unknown(model));
        }
        if let Some(route) = self.routes.values().find(|route| route.aliases.iter().any(|alias| alias.is(model))) {
            return Ok(route.clone());
        }
        // Only models that an upstream is known to have: any name at all could be one that it does not list.
        let owners: Vec<_> =
            self.upstreams.iter().filter(|upstream| !upstream.by_name_only && upstream.lists(model)).collect();
        match owners[..] {
            [upstream] => Route::direct(model, upstream, model).ok_or_else(|| self.unknown(model)),
            [] if model == embedded::NAME => self.local().ok_or_else(|| self.unknown(model)),
            // A pattern also decides between several upstreams.
            _ => match (self.by_pattern(model), addressed) {
                (Some(route), _) => Ok(route.clone()),
                (None, Some((upstream, upstream_model))) => {
                    Route::direct(model, upstream, upstream_model).ok_or_else(|| self.unknown(model))
                }
                (None, None) => Err(self.not_one(model, &owners)),
            },
        }
    }

    /// The route of a model name as clients send it: where nothing is configured, the default model answers in place of
    /// one that is unknown, and the second value tells so in a sentence.
    ///
    /// # Errors
    /// The same as [`Self::resolve`].
    pub fn resolve_or_substitute(&self, model: Option<&str>) -> Result<(Arc<Route>, Option<String>), Error> {
        let error = match self.resolve(model) {
            Ok(route) => return Ok((route, None)),
            Err(error) => error,
        };
        let is_unknown = error.kind == ErrorKind::UnknownModel;
        // `local/NAME` means the embedded scorer and no other, so it is not given something else.
        let is_local = model.is_some_and(|model| self.addressed(model).is_some());
        match self.routes.get(DEFAULT_MODEL) {
            Some(default) if is_unknown && !is_local && self.unknown.nothing_is_configured => {
                let warning =
                    format!("{DEFAULT_MODEL} answered in place of the model that was asked for: {}", error.message);
                Ok((default.clone(), Some(warning)))
            }
            _ => Err(error),
        }
    }

    /// The route with the longest pattern that fits. Two that fit and are equally long are the same pattern, and the
    /// configuration refuses a pattern that two models have.
    fn by_pattern(&self, model: &str) -> Option<&Arc<Route>> {
        let mut best: Option<(usize, &Arc<Route>)> = None;
        for route in self.routes.values() {
            for alias in &route.aliases {
                if let Some(length) = alias.fit(model)
                    && best.is_none_or(|(longest, _)| length >= longest)
                {
                    best = Some((length, route));
                }
            }
        }
        best.map(|(_, route)| route)
    }

    /// The error for a model that not exactly one upstream has: `owners` are those that have it, none or several.
    fn not_one(&self, model: &str, owners: &[&Arc<Upstream>]) -> Error {
        if owners.is_empty() {
            return self.unknown(model);
        }
        let addresses: Vec<_> = owners.iter().map(|upstream| format!("{}/{model}", upstream.name)).collect();
        let message = format!("several upstreams have this model; ask for one of {}", addresses.join(", "));
        Error::invalid_field("/model", message)
    }

    /// The route of the embedded scorer's default model, under the upstream's bare name; `None` without that upstream.
    fn local(&self) -> Option<Arc<Route>> {
        for upstream in &self.upstreams {
            let Backend::Local(embedded) = &upstream.backend else { continue };
            let Some(model) = embedded.models().next() else { continue };
            let route = Route::direct(&upstream.name, upstream, model.name());
            if route.is_some() {
                return route;
            }
        }
        None
    }

    /// `UPSTREAM/MODEL` taken apart, if the first part is an upstream.
    fn addressed<'a>(&self, model: &'a str) -> Option<(&Arc<Upstream>, &'a str)> {
        let (name, upstream_model) = model.split_once('/')?;
        let upstream = self.upstreams.iter().find(|upstream| upstream.name == name)?;
        if upstream_model.is_empty() { None } else { Some((upstream, upstream_model)) }
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
        let mut names: Vec<String> = self.routes.keys().cloned().collect();
        for route in self.routes.values() {
            for alias in &route.aliases {
                names.push(alias.as_str().to_owned());
            }
        }
        if let Some(local) = self.local()
            && !self.routes.contains_key(&local.model)
        {
            names.push(local.model.clone());
        }
        for upstream in &self.upstreams {
            names.extend(upstream.addresses());
        }
        names
    }
}
