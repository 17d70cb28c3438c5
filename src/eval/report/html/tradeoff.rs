//! Quality against latency, and against cost.

use super::super::super::results::{Contestant, Results};
use super::super::figures::{NOTHING, milliseconds, price};
use super::super::text::listed;
use super::axis::{tick_dollars, tick_milliseconds};
use super::chart::{Across, Chart, Point};
use super::markup::{Section, escape};

const KEY: &str = "Vertical strokes are 95 % intervals. The stepped line is the best mean to be had up to there. \
                   Filled points are on the Pareto front: nobody is at least as good, as fast and as cheap, and better in one of these.";

pub(super) fn latency(results: &Results) -> Option<Section> {
    let across = Across { title: "mean cold latency, ms (log scale)", logarithmic: true, tick: tick_milliseconds };
    let points = points(results, Contestant::cold_mean);
    let body = figure(results, "latency-chart", "latency", across, points, Contestant::cold_mean)?;
    Some(Section { id: "latency", title: "Quality and latency", body })
}

/// Only if there are different costs to compare.
pub(super) fn cost(results: &Results) -> Option<Section> {
    let known: Vec<_> = results.rerankers().filter_map(Contestant::usd).collect();
    let first = known.first()?;
    if known.iter().all(|usd| (usd - first).abs() < 1e-9) {
        return None;
    }
    let across = Across { title: "US dollars for 1,000 queries", logarithmic: false, tick: tick_dollars };
    let body = figure(results, "cost-chart", "cost", across, points(results, Contestant::usd), Contestant::usd)?;
    Some(Section { id: "cost", title: "Quality and cost", body })
}

fn points(results: &Results, across: impl Fn(&Contestant) -> Option<f64>) -> Vec<Point<'_>> {
    let points = results.rerankers().filter_map(|contestant| {
        let time =
            contestant.cold_mean().map_or_else(|| "not timed".to_owned(), |it| format!("{} ms", milliseconds(it)));
        let price = match price(contestant.cost.as_ref()).as_str() {
            "not known" => "cost not known".to_owned(),
            NOTHING => "cost not measured".to_owned(),
            price => price.to_owned(),
        };
        Some(Point {
            name: &contestant.name,
            note: format!("{time} · {price}"),
            across: across(contestant)?,
            up: contestant.estimate(results.decisive())?,
            on_front: contestant.on_pareto_front,
        })
    });
    points.collect()
}

fn figure(
    results: &Results,
    id: &'static str,
    what: &str,
    across: Across,
    points: Vec<Point<'_>>,
    known: impl Fn(&Contestant) -> Option<f64>,
) -> Option<String> {
    if points.is_empty() {
        return None;
    }
    let metric = results.decisive();
    let none = results.first_stage().and_then(|none| none.estimate(metric)).map(|estimate| estimate.mean);
    let chart = Chart {
        id,
        title: format!("{metric} against {what}"),
        description: format!(
            "Every contestant by its {what} and its mean {metric}; the figures are in the table of contestants."
        ),
        across,
        up_title: metric,
        points,
        none,
    };
    let missing = listed(results.rerankers().filter(|it| known(it).is_none()).map(|contestant| &contestant.name));
    let missing = match missing.as_str() {
        "" => String::new(),
        names => format!(" Not drawn, because their {what} is not known: {}.", escape(names)),
    };
    Some(format!("<figure>{}<figcaption>{KEY}{missing}</figcaption></figure>", chart.html()))
}
