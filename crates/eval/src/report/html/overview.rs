//! The tables of all contestants: what decides, with the intervals drawn, and all metrics.

use super::super::super::results::{Contestant, Estimate, Results};
use super::super::figures::{NOTHING, interval, mean_score, milliseconds, price, score, signed, signed_interval};
use super::super::standings::{NO_ANSWERS, Standing};
use super::axis::{Axis, coordinate};
use super::markup::{HtmlSection, each, escape, scrollable};

/// Cells after the verdict: two for the decisive metric, one for its difference, two for times, one for cost.
const FIGURE_COLUMNS: usize = 6;
/// Width of a drawn interval, in pixels; its height is 14, so it lies at 7.
const WHISKER_WIDTH: f64 = 84.0;

/// The section with a row for each contestant, those that never answered last.
pub(super) fn section(results: &Results) -> HtmlSection {
    let decisive = results.decisive();
    let axis = shared_axis(results);
    let mut head = format!(
        "<th scope=\"col\">Model</th><th scope=\"col\">Verdict</th>\
         <th scope=\"col\" colspan=\"2\">{} <small>mean and 95 % interval</small></th>",
        escape(decisive)
    );
    head.push_str(&heading("Δ to none", "95 % interval"));
    head.push_str(&heading("Cold", "p50 ms"));
    head.push_str(&heading("Cold", "p95 ms"));
    head.push_str(&heading("Cost", "USD for 1,000"));
    let rows = each(&results.contestants, |contestant| row(results, contestant, &axis));
    let silent_rows = each(&results.unanswered, |contestant| silent_row(&contestant.name, FIGURE_COLUMNS));
    let table =
        format!("<table class=\"overview\"><thead><tr>{head}</tr></thead><tbody>{rows}{silent_rows}</tbody></table>");
    let key = "<p class=\"key\">◆ on the Pareto front: nobody is at least as good, as fast and as cheap, \
               and better in one of these.</p>";
    let body = format!("{}{key}", scrollable("Table of all contestants", &table));
    HtmlSection { id: "contestants", title: "Contestants", body }
}

/// The section with the metrics that do not decide, each with its difference from the first stage, and the warm times.
pub(super) fn all_metrics(results: &Results) -> HtmlSection {
    let mut head = "<th scope=\"col\">Model</th>".to_owned();
    for metric in &results.metrics {
        head.push_str(&heading(metric, "Δ to none"));
    }
    head.push_str(&heading("Warm", "p50 ms"));
    let rows = each(&results.contestants, |contestant| {
        let mut cells = String::new();
        for metric in &results.metrics {
            let difference = match contestant.to_none.get(metric) {
                Some(difference) => format!(" <small>{}</small>", signed(difference.mean)),
                None => String::new(),
            };
            cells.push_str(&format!(
                "<td class=\"number\">{}{difference}</td>",
                mean_score(contestant.estimate(metric))
            ));
        }
        cells.push_str(&figure_cell(&milliseconds(warm_median(contestant))));
        format!("<tr><th scope=\"row\">{}</th>{cells}</tr>", escape(&contestant.name))
    });
    let table = format!("<table class=\"metrics\"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>");
    let key = "<p class=\"key\">Small figures are differences of the means from none. \
               Warm: the same request once more, from the cache if the model is cached.</p>";
    let body = format!("{}{key}", scrollable("Table of all metrics", &table));
    HtmlSection { id: "metrics", title: "All metrics", body }
}

/// The heading of a column of figures. `title` is plain text, `detail` HTML.
fn heading(title: &str, detail: &str) -> String {
    format!("<th scope=\"col\" class=\"number\">{}<small> {detail}</small></th>", escape(title))
}

/// The row of a contestant that never answered: a dash in each of its `columns`.
fn silent_row(name: &str, columns: usize) -> String {
    let dashes = format!("<td class=\"number\">{NOTHING}</td>").repeat(columns);
    format!(
        "<tr class=\"silent\"><th scope=\"row\">{}</th><td class=\"verdict\">{NO_ANSWERS}</td>{dashes}</tr>",
        escape(name)
    )
}

/// The row of a contestant with answers.
fn row(results: &Results, contestant: &Contestant, axis: &Axis) -> String {
    let decisive = results.decisive();
    let front = if contestant.on_pareto_front {
        "\u{a0}<span class=\"front\" role=\"img\" aria-label=\"on the Pareto front\">◆</span>"
    } else {
        ""
    };
    let class = match contestant.standing_to_best() {
        None => "best",
        // No contestant is measurably better than the one with the best mean.
        Some(Standing::Noise | Standing::Better) => "noise",
        Some(Standing::Worse) => "worse",
    };
    let mut html = format!(
        "<tr class=\"{class}\"><th scope=\"row\">{}{front}</th><td class=\"verdict\">{}</td>{}",
        escape(&contestant.name),
        escape(&results.verdict(contestant)),
        decisive_cells(contestant.estimate(decisive), axis)
    );
    html.push_str(&match contestant.to_none.get(decisive) {
        Some(difference) => {
            let [mean, interval] = signed_interval(*difference);
            format!("<td class=\"number\">{mean} <small>{interval}</small></td>")
        }
        None => figure_cell(NOTHING),
    });
    for time in cold_times(contestant) {
        html.push_str(&figure_cell(&milliseconds(time)));
    }
    html.push_str(&figure_cell(&price(contestant.cost.as_ref())));
    html.push_str("</tr>");
    html
}

/// Cold median and 95th percentile in milliseconds; NaN, which is shown as a dash, if not measured.
fn cold_times(contestant: &Contestant) -> [f64; 2] {
    match &contestant.latency {
        Some(latency) => [latency.cold.p50, latency.cold.p95],
        None => [f64::NAN; 2],
    }
}

/// Warm median in milliseconds; NaN if not measured.
fn warm_median(contestant: &Contestant) -> f64 {
    match contestant.latency.and_then(|latency| latency.warm) {
        Some(warm) => warm.p50,
        None => f64::NAN,
    }
}

/// A cell with a figure as plain text.
fn figure_cell(text: &str) -> String {
    format!("<td class=\"number\">{}</td>", escape(text))
}

/// The mean and interval of the decisive metric: a cell with figures, and one with a drawing.
fn decisive_cells(estimate: Option<Estimate>, axis: &Axis) -> String {
    let Some(estimate) = estimate else {
        return format!("<td class=\"number\">{NOTHING}</td><td></td>");
    };
    let mean = coordinate(axis.at(estimate.mean));
    let whisker = if estimate.has_interval() {
        let low = coordinate(axis.at(estimate.low));
        let high = coordinate(axis.at(estimate.high));
        format!("<path d=\"M{low} 7H{high}M{low} 3v8M{high} 3v8\" />")
    } else {
        String::new()
    };
    format!(
        "<td class=\"number\"><b>{}</b> <small>{}</small></td>\
         <td><svg class=\"whisker\" width=\"{WHISKER_WIDTH}\" height=\"14\" viewBox=\"0 0 {WHISKER_WIDTH} 14\" \
         aria-hidden=\"true\" focusable=\"false\">{whisker}\
         <circle cx=\"{mean}\" cy=\"7\" r=\"3.5\" /></svg></td>",
        score(estimate.mean),
        interval(estimate)
    )
}

/// One axis for all rows, so that the intervals can be compared by eye.
fn shared_axis(results: &Results) -> Axis {
    let mut values = Vec::new();
    for contestant in &results.contestants {
        if let Some(Estimate { mean, low, high }) = contestant.estimate(results.decisive()) {
            values.extend([low, mean, high]);
        }
    }
    // Room at both ends for half a marker and its outline.
    Axis::linear(values.into_iter(), 5.0, WHISKER_WIDTH - 5.0)
}
