//! Bar charts of the change that each reranker made to each query, against the first stage.

use rerankd_core::types::as_f64;

use super::super::super::results::{Contestant, Estimate, Results};
use super::super::figures::{fixed, signed};
use super::super::standings::Change;
use super::axis::coordinate;
use super::markup::{HtmlSection, escape};

/// Width of a chart, in pixels.
const CHART_WIDTH: f64 = 320.0;
/// Height of a chart, in pixels; zero is drawn in the middle.
const HEIGHT: f64 = 110.0;
/// Most bars of a chart: as many as it has pixels. More could not be told apart.
const MAX_BARS: usize = 320;
/// Greatest distance from one bar to the next, in pixels: the bars of few queries would be blocks.
const MAX_STEP: f64 = 24.0;
/// Space above the highest bar and below the lowest, in pixels.
const BAR_MARGIN: f64 = 2.0;

/// The section with a chart for each reranker; `None` if no query has a value before and after.
pub(super) fn section(results: &Results) -> Option<HtmlSection> {
    let mut changed = Vec::new();
    let mut largest: f64 = 0.0;
    for contestant in results.rerankers() {
        let differences = sorted_differences(results, contestant);
        if differences.is_empty() {
            continue;
        }
        for difference in &differences {
            largest = largest.max(difference.abs());
        }
        changed.push((contestant, differences));
    }
    if changed.is_empty() {
        return None;
    }
    let mut charts = String::new();
    for (index, (contestant, differences)) in changed.iter().enumerate() {
        charts.push_str(&figure(index, contestant, differences, largest, results.decisive()));
    }
    let key = format!(
        "<p class=\"key\">A bar for each query: {} with the reranker minus that of the first stage, largest gain left. \
         All charts have the same scale: a bar from the middle to the edge is {}.</p>",
        escape(results.decisive()),
        fixed(largest, 2)
    );
    Some(HtmlSection {
        id: "changes",
        title: "Query by query",
        body: format!("{key}<div class=\"grid\">{charts}</div>"),
    })
}

/// Differences from the first stage by query, the largest gain first.
fn sorted_differences(results: &Results, contestant: &Contestant) -> Vec<f64> {
    let mut differences: Vec<_> = results.changes(contestant).into_iter().map(Change::difference).collect();
    differences.sort_by(|one, other| other.total_cmp(one));
    differences
}

/// The chart of one reranker with its mean difference and its counts. `index` makes its ids unique in the page;
/// `largest` is the difference that fills half the height.
fn figure(index: usize, contestant: &Contestant, differences: &[f64], largest: f64, metric: &str) -> String {
    let better = differences.iter().filter(|difference| **difference > 0.0).count();
    let worse = differences.iter().filter(|difference| **difference < 0.0).count();
    let same = differences.len() - better - worse;
    let name = escape(&contestant.name);
    let mean = match &contestant.against_none {
        Some(comparison) => {
            let Estimate { mean, low, high } = comparison.difference;
            let interval = if comparison.difference.has_interval() {
                format!(" <small>{} to {}</small>", signed(low), signed(high))
            } else {
                String::new()
            };
            format!("<span class=\"mean\">{}{interval}</span>", signed(mean))
        }
        None => String::new(),
    };
    let middle = HEIGHT / 2.0;
    let [up, down] = bars(differences, largest);
    let metric = escape(metric);
    format!(
        "<figure class=\"deltas\"><figcaption><b>{name}</b>{mean}</figcaption>\
         <svg viewBox=\"0 0 {CHART_WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-labelledby=\"delta-{index}-title delta-{index}-desc\">\
         <title id=\"delta-{index}-title\">{name}: {metric} against the first stage, query by query</title>\
         <desc id=\"delta-{index}-desc\">{better} queries better, {same} the same, {worse} worse.</desc>\
         <path class=\"gain\" d=\"{up}\" /><path class=\"loss\" d=\"{down}\" />\
         <path class=\"zero\" d=\"M0 {middle}H{CHART_WIDTH}\" /></svg>\
         <p class=\"counts\"><span class=\"gain\">▲ {better} better</span><span>{same} same</span>\
         <span class=\"loss\">▼ {worse} worse</span></p></figure>"
    )
}

/// SVG paths of the bars that go up and of those that go down. `differences` are sorted; `largest` is that of
/// [`figure`].
fn bars(differences: &[f64], largest: f64) -> [String; 2] {
    let count = differences.len().min(MAX_BARS);
    let step = (CHART_WIDTH / as_f64(count.max(1))).min(MAX_STEP);
    // A gap of one pixel, unless it would take a third of the bar or more.
    let width = coordinate(if step > 3.0 { step - 1.0 } else { step });
    let middle = HEIGHT / 2.0;
    let mut up = String::new();
    let mut down = String::new();
    for bar in 0..count {
        // With more queries than bars, every so many queries one is drawn; they are sorted, so the shape stays.
        let difference = differences[bar * differences.len() / count];
        // 1e-9, or 0 would be divided by 0 where no query changed.
        let height = coordinate(difference.abs() / largest.max(1e-9) * (middle - BAR_MARGIN));
        // Unchanged queries leave a gap between the gains and the losses.
        if height == "0" {
            continue;
        }
        let left = coordinate(as_f64(bar) * step);
        if difference > 0.0 {
            up.push_str(&format!("M{left} {middle}v-{height}h{width}v{height}z"));
        } else {
            down.push_str(&format!("M{left} {middle}v{height}h{width}v-{height}z"));
        }
    }
    [up, down]
}

#[cfg(test)]
mod tests {
    use super::super::super::sample;
    use super::*;

    #[test]
    fn wins_ties_and_losses_are_counted() {
        let mut results = sample::results(4);
        let metric = results.decisive().to_owned();
        for contestant in &mut results.contestants {
            let values = if contestant.name == "none" { [0.5, 0.5, 0.5, 0.5] } else { [0.9, 0.5, 0.5 + 1e-12, 0.1] };
            for (values, value) in contestant.by_query.iter_mut().zip(values) {
                values.insert(metric.clone(), value);
            }
        }
        let html = section(&results).unwrap().body;
        assert_eq!(
            html.matches("▲ 1 better</span><span>2 same</span><span class=\"loss\">▼ 1 worse").count(),
            6,
            "{html}"
        );
        assert_eq!(html.matches("<path class=\"gain\" d=\"M0 55v-53h23v53z\" />").count(), 6, "{html}");
    }

    #[test]
    fn many_queries_make_no_more_bars_than_can_be_seen() {
        let differences: Vec<_> = (0..5000).map(|place| 1.0 - as_f64(place) / 2500.0).collect();
        let [up, down] = bars(&differences, 1.0);
        assert!(up.matches('M').count() + down.matches('M').count() <= MAX_BARS);
        assert_eq!(bars(&[0.0; 5], 0.0), [String::new(), String::new()]);
    }
}
