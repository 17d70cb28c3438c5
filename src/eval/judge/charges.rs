//! How long answers took, and what they cost.

use crate::eval::contest::Ranked;
use crate::eval::exact;
use crate::eval::results::{Cost, Latency, Times};
use crate::eval::statistics::{mean, quantile};

/// Times of the answers; `None` if none was measured.
pub(super) fn latency<'a>(answers: impl Iterator<Item = &'a Ranked>) -> Option<Latency> {
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    for answer in answers {
        cold.extend(answer.cold_ms);
        warm.extend(answer.warm_ms);
    }
    Some(Latency { cold: times(&cold)?, warm: times(&warm) })
}

fn times(values: &[f64]) -> Option<Times> {
    let (p50, p95) = (quantile(values, 0.5)?, quantile(values, 0.95)?);
    Some(Times { p50, p95, mean: mean(values), count: values.len() })
}

/// What a query costs, from the answers of which all is known; `None` if there is none.
pub(super) fn cost<'a>(answers: impl Iterator<Item = &'a Ranked>, unit: &str) -> Option<Cost> {
    let (mut dollars, mut tokens, mut search_units) = (Vec::new(), Vec::new(), Vec::new());
    let mut is_any = false;
    for answer in answers.filter(|answer| answer.cold_ms.is_some()) {
        is_any = true;
        dollars.extend(answer.cost_usd);
        tokens.extend(answer.tokens.map(precise_count));
        search_units.extend(answer.search_units.map(precise_count));
    }
    let average = |values: &[f64]| (!values.is_empty()).then(|| mean(values));
    is_any.then(|| Cost {
        usd_per_1000_queries: average(&dollars).map(|usd| 1_000.0 * usd),
        tokens_per_query: average(&tokens),
        search_units_per_query: average(&search_units),
        unit: unit.to_owned(),
    })
}

fn precise_count(count: u64) -> f64 {
    exact(usize::try_from(count).unwrap_or(usize::MAX))
}
