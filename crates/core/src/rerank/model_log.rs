//! Log lines about the models of upstreams. A model is named if the registry lists it: another name may be a client's
//! own text.

use crate::route::StackTarget;

/// Words for a model that the registry does not list.
const UNLISTED: &str = "that was asked for";

/// Logs that the upstream has no such model.
pub(super) fn tell_missing_model(target: &StackTarget) {
    let upstream = &*target.upstream.name;
    let model = target.listed_model();
    let named = model.unwrap_or(UNLISTED);
    tracing::warn!(
        event = "model_missing",
        upstream,
        model,
        "{upstream} has no model {named}; see the targets of your models, and what the provider offers"
    );
}

/// Logs that the model of `target` scores by another version than before. The names of versions are those that may be
/// shown.
pub(super) fn tell_version_changed(target: &StackTarget, old: &str, new: &str) {
    let upstream = &*target.upstream.name;
    let model = target.listed_model();
    let named = model.unwrap_or(UNLISTED);
    tracing::warn!(
        event = "model_version_changed",
        upstream,
        model,
        old,
        new,
        "{upstream} has another version of the model {named}, {new} after {old}: its earlier scores are not used any \
         more; look at thresholds made for it again"
    );
}
