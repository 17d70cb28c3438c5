//! Hints for people who may not know that a better model is at hand.

use super::Target;
use crate::embedded::LocalModel;
use crate::upstream::{Backend, LocalScorer};

/// Cost and benefit of the cross-encoder, with the way to get it. The figures are those of `docs/local-scorer.md` for
/// its web questions.
const BENEFIT: &str = "local only counts words; `rerankd model fetch` (23 MB): nDCG@10 0.70 → 0.79";

/// A hint at the cross-encoder for users of `target`, if `target` is the lexical scorer only because there are no
/// weights; `None` if they have declined them, or have a build without the cross-encoder.
#[must_use]
pub fn cross_encoder_hint(target: &Target) -> Option<&'static str> {
    if !cfg!(feature = "cross-encoder") {
        return None;
    }
    let embedded = lexical_scorer(target)?;
    if embedded.cross_encoder.is_some() || embedded.is_declined {
        return None;
    }
    Some(BENEFIT)
}

/// The warning about an answer of `target` in which every score is 0, with the way to a better one. `None` if `target`
/// is not the lexical scorer: the zeros of other models are opinions.
pub(crate) fn no_shared_word(target: &Target, query: &str) -> Option<String> {
    let embedded = lexical_scorer(target)?;
    let way_out = if !embedded.hybrid.scripts.hold(query) {
        "a provider does, and so does a multilingual cross-encoder in local.model_dir with local.scripts = \"any\""
    } else if !cfg!(feature = "cross-encoder") {
        "a provider does, and so does a build with the feature cross-encoder"
    } else if embedded.cross_encoder.is_some() {
        "local/hybrid does"
    } else if embedded.is_declined {
        "the cross-encoder of `rerankd model fetch` does, once local.model_dir is no longer \"none\""
    } else {
        "the cross-encoder of `rerankd model fetch` does (then restart a running server)"
    };
    let address = target.address();
    Some(format!(
        "no document shares a word with the query, so {address} scored all of them 0 and left them in input order; \
         it does not know meanings: {way_out}"
    ))
}

/// The embedded scorer, if `target` is its lexical model.
fn lexical_scorer(target: &Target) -> Option<&LocalScorer> {
    let Backend::Local(embedded) = &target.upstream.backend else { return None };
    (target.model == LocalModel::Lexical.name()).then_some(&**embedded)
}
