//! Words for the operator about the end of the configured models, by the registry.

use std::collections::BTreeSet;

use super::{Route, RouteTable, Target};
use crate::types::date::Date;

/// A sentence about the end of a configured target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifecycleNotice {
    /// Name of the upstream.
    pub upstream: String,
    /// The upstream's name for the model.
    pub model: String,
    /// The sentence.
    pub message: String,
}

/// The notices about all configured targets as of `today`, each once; those of an end that is not due only if
/// `far_too`.
#[must_use]
pub fn notices(routes: &RouteTable, today: Date, far_too: bool) -> Vec<LifecycleNotice> {
    let mut told = BTreeSet::new();
    let mut notices = Vec::new();
    for target in routes.routes().flat_map(targets_of) {
        for message in target.lifecycle_notices(today, far_too) {
            if told.insert(message.clone()) {
                let Target { upstream, model, .. } = target;
                notices.push(LifecycleNotice { upstream: upstream.name.clone(), model: model.clone(), message });
            }
        }
    }
    notices
}

/// The targets of a route and of its shadow.
fn targets_of(route: &Route) -> impl Iterator<Item = &Target> {
    let shadow = route.shadow.iter().flat_map(|shadow| &shadow.route.targets);
    route.targets.iter().chain(shadow).map(|target| &**target)
}
