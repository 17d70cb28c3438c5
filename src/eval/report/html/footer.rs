//! How the figures are defined.

use super::super::super::results::Results;
use super::markup::{Section, each, escape};

pub(super) fn section(results: &Results) -> Section {
    let defined = results.metrics.iter().filter_map(|metric| Some((metric, results.definitions.get(metric)?)));
    let metrics = each(defined, |(metric, text)| format!("<dt>{}</dt><dd>{}</dd>", escape(metric), escape(text)));
    let general = [
        ("Interval", "95 % confidence interval of the mean: percentile bootstrap over queries."),
        (
            "p",
            "Paired randomisation test over the same queries, two-sided, adjusted by Holm’s method for the number of contestants compared.",
        ),
        (
            "Noise",
            "The adjusted p against the best contestant is 0.05 or more: such a difference is not rare by chance alone.",
        ),
        (
            "None",
            "The order of the first stage, without a reranker. Queries that a reranker did not answer count with this order.",
        ),
        (
            "Cold, warm",
            "Milliseconds inside rerankd for a whole request: with nothing cached, and for the same request once more.",
        ),
        (
            "Cost",
            "At the list price that rerankd’s registry has for the model, for 1,000 queries with these candidates.",
        ),
        (
            "mean, rank, normalize_mean",
            "The ways in which AutoRAG chooses: the largest mean of the metrics; the best sum of reciprocal ranks by metric; the largest mean of the metrics after each is scaled to 0 to 1.",
        ),
    ];
    let general = each(general, |(term, text)| format!("<dt>{term}</dt><dd>{text}</dd>"));
    let body = format!("<dl>{metrics}{general}</dl>");
    Section { id: "definitions", title: "How the figures are defined", body }
}
