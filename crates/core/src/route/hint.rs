//! Hints for operators who may not know that a better model is at hand.

use super::Target;
use crate::embedded::LocalModel;
use crate::upstream::Backend;

/// A hint at the cross-encoder for users of `target`, if `target` is the lexical scorer only because there are no
/// weights; `None` if they have declined them, or have a build without the cross-encoder.
#[must_use]
pub fn cross_encoder_hint(target: &Target) -> Option<&'static str> {
    if !cfg!(feature = "cross-encoder") {
        return None;
    }
    let Backend::Local(embedded) = &target.upstream.backend else { return None };
    if embedded.cross_encoder.is_some() || embedded.is_declined {
        return None;
    }
    if target.model != LocalModel::Lexical.name() {
        return None;
    }
    Some("no cross-encoder was found, so local is local/lexical; scripts/fetch-model gets one (34 MB)")
}
