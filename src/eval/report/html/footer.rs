//! How the figures are defined.

use super::super::super::results::Results;
use super::markup::{Section, each, escape};

pub(super) fn section(results: &Results) -> Section {
    let metrics: String = results
        .metrics
        .iter()
        .filter_map(|metric| Some(format!("<dt>{}</dt><dd>{}</dd>", escape(metric), definition(metric)?)))
        .collect();
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

/// What `trec_eval` means by the metric, if it is one of the usual ones.
fn definition(metric: &str) -> Option<&'static str> {
    let name = metric.to_lowercase();
    let name = name.split(['@', '_']).next().unwrap_or_default();
    Some(match name {
        "ndcg" => {
            "As trec_eval: the grade is the gain, divided by log2(rank + 1) and summed; relative to the best possible order of all judged passages."
        }
        "map" | "ap" => {
            "As trec_eval: precision at the rank of every relevant passage, averaged over all relevant passages. Passages count as relevant from grade 1."
        }
        "mrr" | "rr" | "recip" => {
            "As trec_eval: one divided by the rank of the first relevant passage, 0 if there is none."
        }
        "recall" => "As trec_eval: share of all relevant passages that are among the first.",
        "precision" | "p" => "As trec_eval: share of the first passages that are relevant.",
        "f1" => "Harmonic mean of precision and recall.",
        "hit" | "success" => "As trec_eval: share of queries with a relevant passage among the first.",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_metrics_are_defined_whatever_their_depth() {
        for metric in [
            "ndcg@10",
            "nDCG_cut_10",
            "map",
            "MRR@5",
            "recip_rank",
            "recall@100",
            "P@5",
            "precision@3",
            "f1@5",
            "success@1",
        ] {
            assert!(definition(metric).is_some(), "{metric}");
        }
        assert_eq!(definition("<script>"), None);
    }
}
