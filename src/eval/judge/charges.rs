//! Times and costs of answers.

use crate::agreement::exact;
use crate::eval::answers::Ranked;
use crate::eval::results::{Cost, Latency, Times};
use crate::eval::statistics::{mean, quantile};

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

fn times(values: &[f64]) -> Option<Times> {
    let p50 = quantile(values, 0.5)?;
    let p95 = quantile(values, 0.95)?;
    Some(Times { p50, p95, mean: mean(values), count: values.len() })
}

/// The mean cost of a query; `None` if no answer was scored from scratch.
pub(super) fn cost<'a>(answers: impl Iterator<Item = &'a Ranked>, unit: &str) -> Option<Cost> {
    let mut dollars = Vec::new();
    let mut tokens = Vec::new();
    let mut search_units = Vec::new();
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
        unit: unit.to_owned(),
    })
}

/// The mean; `None` of no values, because an unknown charge is not a charge of 0.
fn mean_of_known(values: &[f64]) -> Option<f64> {
    if values.is_empty() { None } else { Some(mean(values)) }
}

fn count_as_f64(count: u64) -> f64 {
    exact(usize::try_from(count).unwrap_or(usize::MAX))
}
