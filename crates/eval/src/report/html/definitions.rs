//! Definitions of the metrics and of the other terms in the report.

use super::super::super::results::Results;
use super::markup::{HtmlSection, each, escape};

/// Terms that are not metrics, with their definitions; both are HTML and not escaped.
const TERMS: [(&str, &str); 8] = [
    (
        "Δ to none",
        "The mean less that of the first stage, with the 95 % confidence interval of the difference: \
         paired percentile bootstrap over queries. Unlike p it is not adjusted \
         for the number of contestants, so p decides.",
    ),
    ("Interval", "95 % confidence interval of the mean: percentile bootstrap over queries."),
    (
        "p",
        "Paired randomisation test over the same queries, two-sided, adjusted by Holm’s method \
         for the number of contestants compared.",
    ),
    (
        "As good as the best, too few queries to tell",
        "The adjusted p against the best contestant is 0.05 or more: \
         such a difference is not rare by chance alone, so nothing shows that the best is better. \
         Over fewer than 50 queries nothing shows that it is not, either.",
    ),
    (
        "None",
        "The order of the first stage, without a reranker. \
         Queries that a reranker did not answer count with this order.",
    ),
    (
        "Cold, warm",
        "Milliseconds inside rerankd for a whole request: with nothing cached, and for the same request once more.",
    ),
    ("Cost", "At the list price that rerankd’s registry has for the model, for 1,000 queries with these candidates."),
    (
        "mean, rank, normalize_mean",
        "The ways in which AutoRAG chooses: the largest mean of the metrics; \
         the best sum of reciprocal ranks by metric; \
         the largest mean of the metrics after each is scaled to 0 to 1.",
    ),
];

/// The section with a definition for each metric of the report, then for the terms.
pub(super) fn section(results: &Results) -> HtmlSection {
    let mut metrics = String::new();
    for metric in &results.metrics {
        if let Some(definition) = results.definitions.get(metric) {
            metrics.push_str(&format!("<dt>{}</dt><dd>{}</dd>", escape(metric), escape(definition)));
        }
    }
    let terms = each(TERMS, |(term, definition)| format!("<dt>{term}</dt><dd>{definition}</dd>"));
    let body = format!("<dl>{metrics}{terms}</dl>");
    HtmlSection { id: "definitions", title: "How the figures are defined", body }
}
