//! The table of all contestants: the facts of the terminal's table, with the intervals drawn.

use super::super::super::results::{Contestant, Estimate, Results};
use super::super::facts::{NO_ANSWERS, Standing};
use super::super::figures::{NOTHING, interval, milliseconds, price, score};
use super::axis::{Axis, coordinate};
use super::markup::{Section, escape, scrollable};

/// Cells of the decisive metric (two), times and cost.
const COLUMNS_OF_FIGURES: usize = 6;
/// Width of a drawn interval; its height is 14.
const WHISKER: f64 = 120.0;

pub(super) fn section(results: &Results) -> Section {
    let decisive = results.decisive();
    let others = results.metrics.get(1..).unwrap_or_default();
    let axis = shared_axis(results);
    let mut head = format!(
        "<th scope=\"col\">Model</th><th scope=\"col\">Verdict</th><th scope=\"col\" colspan=\"2\">{} <small>mean and 95 % interval</small></th>",
        escape(decisive)
    );
    let mut column = |title: &str, detail: &str| {
        head.push_str(&format!("<th scope=\"col\" class=\"number\">{}<small> {detail}</small></th>", escape(title)));
    };
    column("Cold", "p50 ms");
    column("Cold", "p95 ms");
    column("Warm", "p50 ms");
    column("Cost", "USD for 1,000");
    for metric in others {
        column(metric, "");
    }
    let rows: String = results.contestants.iter().map(|contestant| row(contestant, decisive, others, &axis)).collect();
    let columns = others.len() + COLUMNS_OF_FIGURES;
    let silent: String = results.unanswered.iter().map(|contestant| no_answers(&contestant.name, columns)).collect();
    let table =
        format!("<table class=\"overview\"><thead><tr>{head}</tr></thead><tbody>{rows}{silent}</tbody></table>");
    let key = "<p class=\"key\">Cold: nothing was cached. Warm: the same request once more, from the cache if the model is cached. \
               ◆ on the Pareto front: nobody is at least as good, as fast and as cheap, and better in one of these.</p>";
    let body = format!("{}{key}", scrollable("Table of all contestants", &table));
    Section { id: "contestants", title: "Contestants", body }
}

/// A row without figures.
fn no_answers(name: &str, columns: usize) -> String {
    let nothing = format!("<td class=\"number\">{NOTHING}</td>").repeat(columns);
    format!(
        "<tr class=\"silent\"><th scope=\"row\">{}</th><td class=\"verdict\">{NO_ANSWERS}</td>{nothing}</tr>",
        escape(name)
    )
}

fn row(contestant: &Contestant, decisive: &str, others: &[String], axis: &Axis) -> String {
    let front = if contestant.on_pareto_front {
        "\u{a0}<span class=\"front\" role=\"img\" aria-label=\"on the Pareto front\">◆</span>"
    } else {
        ""
    };
    let class = match contestant.standing_to_best() {
        None => "best",
        Some(Standing::Noise | Standing::Better) => "noise",
        Some(Standing::Worse) => "worse",
    };
    let mut html = format!(
        "<tr class=\"{class}\"><th scope=\"row\">{}{front}</th><td class=\"verdict\">{}</td>{}",
        escape(&contestant.name),
        escape(&contestant.verdict()),
        decisive_cells(contestant.estimate(decisive), axis)
    );
    let mut number = |text: &str| html.push_str(&format!("<td class=\"number\">{}</td>", escape(text)));
    let times = contestant
        .latency
        .map(|latency| [latency.cold.p50, latency.cold.p95, latency.warm.map_or(f64::NAN, |warm| warm.p50)]);
    for time in times.unwrap_or([f64::NAN; 3]) {
        number(&milliseconds(time));
    }
    number(&price(contestant.cost.as_ref()));
    for metric in others {
        number(&contestant.estimate(metric).map_or_else(|| NOTHING.to_owned(), |estimate| score(estimate.mean)));
    }
    html.push_str("</tr>");
    html
}

fn decisive_cells(estimate: Option<Estimate>, axis: &Axis) -> String {
    let Some(estimate) = estimate else {
        return format!("<td class=\"number\">{NOTHING}</td><td></td>");
    };
    let [low, mean, high] = [estimate.low, estimate.mean, estimate.high].map(|value| coordinate(axis.at(value)));
    format!(
        "<td class=\"number\"><b>{}</b> <small>{}</small></td><td><svg class=\"whisker\" width=\"{WHISKER}\" height=\"14\" \
         viewBox=\"0 0 {WHISKER} 14\" aria-hidden=\"true\" focusable=\"false\"><path d=\"M{low} 7H{high}M{low} 3v8M{high} 3v8\" />\
         <circle cx=\"{mean}\" cy=\"7\" r=\"3.5\" /></svg></td>",
        score(estimate.mean),
        interval(estimate)
    )
}

/// One axis for all rows, so that the intervals can be compared by eye.
fn shared_axis(results: &Results) -> Axis {
    let estimates = results.contestants.iter().filter_map(|contestant| contestant.estimate(results.decisive()));
    Axis::linear(estimates.flat_map(|estimate| [estimate.low, estimate.mean, estimate.high]), 5.0, WHISKER - 5.0)
}
