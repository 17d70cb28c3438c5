//! Times and costs of answers.

use std::collections::BTreeSet;

use rerankd_core::provider::Billing;
use rerankd_core::text::list_in_words;
use rerankd_core::types::as_f64;

use crate::answers::Ranked;
use crate::results::{Cost, Latency, Times};
use crate::statistics::{mean, quantile};

/// Times of the answers; `None` if none was measured.
pub(super) fn latency<'a>(answers: impl Iterator<Item = &'a Ranked>) -> Option<Latency> {
    let mut cold = Vec::new();
    let mut warm = Vec::new();
    for answer in answers {
        cold.extend(answer.cold_ms);
        warm.extend(answer.warm_ms);
    }
    Some(Latency { cold: times(&cold)?, warm: times(&warm) })
}

/// The quantiles and the mean; `None` of no values.
fn times(values: &[f64]) -> Option<Times> {
    let p50 = quantile(values, 0.5)?;
    let p95 = quantile(values, 0.95)?;
    Some(Times { p50, p95, mean: mean(values), count: values.len() })
}

/// The units of billing of the targets that answered, in words: `search unit`, or `free and search unit` where a
/// fallback of another unit answered too. `targets` are their addresses with their prices, in order. The unit of the
/// first one if none of them answered under its address.
pub(super) fn unit<'a>(targets: &[(String, Billing)], answers: impl Iterator<Item = &'a Ranked>) -> String {
    let answered_by: BTreeSet<&str> = answers.filter_map(|answer| answer.answered_by.as_deref()).collect();
    let mut units: Vec<String> = Vec::new();
    for (address, billing) in targets {
        let unit = billing.unit();
        if answered_by.contains(address.as_str()) && !units.iter().any(|known| known == unit) {
            units.push(unit.to_owned());
        }
    }
    if units.is_empty() {
        let first = targets.first().map_or(Billing::Unknown, |(_, billing)| *billing);
        units.push(first.unit().to_owned());
    }
    list_in_words(&units, "and")
}

/// The mean cost of a query; `None` if no answer was scored from scratch.
pub(super) fn cost<'a>(answers: impl Iterator<Item = &'a Ranked>, unit: String) -> Option<Cost> {
    let mut dollars = Vec::new();
    let mut tokens = Vec::new();
    let mut search_units = Vec::new();
    // Told apart from "nothing is known": a provider may charge for an answer and not say how much.
    let mut is_any_cold = false;
    for answer in answers {
        // An answer without a cold time took scores from the cache, so its charges are not those of a query.
        if answer.cold_ms.is_none() {
            continue;
        }
        is_any_cold = true;
        dollars.extend(answer.cost_usd);
        tokens.extend(answer.tokens.map(count_as_f64));
        search_units.extend(answer.search_units.map(count_as_f64));
    }
    if !is_any_cold {
        return None;
    }
    Some(Cost {
        usd_per_1000_queries: mean_of_known(&dollars).map(|usd| 1_000.0 * usd),
        tokens_per_query: mean_of_known(&tokens),
        search_units_per_query: mean_of_known(&search_units),
        unit,
    })
}

/// The mean; `None` of no values, because an unknown charge is not a charge of 0.
fn mean_of_known(values: &[f64]) -> Option<f64> {
    if values.is_empty() { None } else { Some(mean(values)) }
}

fn count_as_f64(count: u64) -> f64 {
    as_f64(usize::try_from(count).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contestant_is_free_only_if_every_target_that_answered_is() {
        let targets = [("tei/m".to_owned(), Billing::Free), ("cohere/m".to_owned(), Billing::SearchUnits(0.002))];
        for (answered_by, expected) in [
            (vec!["tei/m"], "free"),
            (vec!["cohere/m", "cohere/m"], "search unit"),
            (vec!["cohere/m", "tei/m"], "free and search unit"),
            (vec![], "free"),
        ] {
            let answers: Vec<Ranked> = answered_by.iter().map(|address| answered(address)).collect();
            assert_eq!(unit(&targets, answers.iter()), expected, "{answered_by:?}");
        }
        assert_eq!(unit(&[], std::iter::empty()), "not known");
    }

    fn answered(address: &str) -> Ranked {
        Ranked { answered_by: Some(address.to_owned()), ..Ranked::of_nothing("q") }
    }
}
