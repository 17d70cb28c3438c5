//! Charts of quality against latency and against cost.

use super::super::super::results::{Contestant, Results};
use super::super::figures::{NOTHING, milliseconds, price};
use super::super::plain_text::listed;
use super::axis::{tick_dollars, tick_milliseconds};
use super::chart::{Across, Chart, Point};
use super::markup::{HtmlSection, escape};

const KEY: &str = "Vertical strokes are 95 % intervals. \
                   The stepped line is the best mean to be had up to there. \
                   Filled points are on the Pareto front: \
                   nobody is at least as good, as fast and as cheap, and better in one of these.";

/// The chart of quality against latency, if any reranker was timed.
pub(super) fn latency(results: &Results) -> Option<HtmlSection> {
    let across = Across { title: "mean cold latency, ms (log scale)", logarithmic: true, tick: tick_milliseconds };
    let body = figure(results, "latency-chart", "latency", across, Contestant::cold_mean)?;
    Some(HtmlSection { id: "latency", title: "Quality and latency", body })
}

/// The chart of quality against cost, if the known costs differ.
pub(super) fn cost(results: &Results) -> Option<HtmlSection> {
    let known: Vec<_> = results.rerankers().filter_map(Contestant::usd).collect();
    let first = known.first()?;
    // With equal costs the chart would be one vertical line of points. Less than 1e-9 dollars is rounding.
    if known.iter().all(|usd| (usd - first).abs() < 1e-9) {
        return None;
    }
    let across = Across { title: "US dollars for 1,000 queries", logarithmic: false, tick: tick_dollars };
    let body = figure(results, "cost-chart", "cost", across, Contestant::usd)?;
    Some(HtmlSection { id: "cost", title: "Quality and cost", body })
}

/// A chart of the decisive metric against the quantity that `value_of` reads, with its caption. `None` without points.
fn figure(
    results: &Results,
    id: &'static str,
    quantity: &str,
    across: Across,
    value_of: fn(&Contestant) -> Option<f64>,
) -> Option<String> {
    let points = points(results, value_of);
    if points.is_empty() {
        return None;
    }
    let metric = results.decisive();
    let chart = Chart {
        id,
        title: format!("{metric} against {quantity}"),
        description: format!(
            "Every contestant by its {quantity} and its mean {metric}; the figures are in the table of contestants."
        ),
        across,
        up_title: metric,
        points,
        first_stage_mean: first_stage_mean(results),
    };
    let mut missing = Vec::new();
    for contestant in results.rerankers() {
        if value_of(contestant).is_none() {
            missing.push(&contestant.name);
        }
    }
    let mut caption = KEY.to_owned();
    if !missing.is_empty() {
        let names = escape(&listed(missing));
        caption.push_str(&format!(" Not drawn, because their {quantity} is not known: {names}."));
    }
    Some(format!("<figure>{}<figcaption>{caption}</figcaption></figure>", chart.html()))
}

/// A point for each reranker whose quantity and mean are both known.
fn points(results: &Results, value_of: fn(&Contestant) -> Option<f64>) -> Vec<Point<'_>> {
    let mut points = Vec::new();
    for contestant in results.rerankers() {
        let Some(across) = value_of(contestant) else { continue };
        let Some(up) = contestant.estimate(results.decisive()) else { continue };
        let on_front = contestant.on_pareto_front;
        points.push(Point { name: &contestant.name, note: note(contestant), across, up, on_front });
    }
    points
}

/// The second line of a label: `118 ms · $2.00`.
fn note(contestant: &Contestant) -> String {
    let time = match contestant.cold_mean() {
        Some(mean) => format!("{} ms", milliseconds(mean)),
        None => "not timed".to_owned(),
    };
    // A label has no heading, so it must say what is missing.
    let cost = match price(contestant.cost.as_ref()).as_str() {
        "not known" => "cost not known".to_owned(),
        NOTHING => "cost not measured".to_owned(),
        price => price.to_owned(),
    };
    format!("{time} · {cost}")
}

/// The mean of the decisive metric in the order of the first stage; `None` if it was not judged, or is not finite.
fn first_stage_mean(results: &Results) -> Option<f64> {
    let estimate = results.first_stage()?.estimate(results.decisive())?;
    Some(estimate.mean)
}
