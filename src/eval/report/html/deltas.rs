//! What each reranker did to each query, against no reranker.

use super::super::super::results::{Contestant, Results};
use super::super::facts::Change;
use super::super::figures::{fixed, signed};
use super::axis::coordinate;
use super::markup::{Section, escape};
use crate::eval::exact;

const WIDTH: f64 = 320.0;
const HEIGHT: f64 = 110.0;
/// More bars than these cannot be told apart.
const MOST_BARS: usize = 320;

pub(super) fn section(results: &Results) -> Option<Section> {
    let changes: Vec<_> = results.rerankers().map(|contestant| (contestant, sorted(results, contestant))).collect();
    let changes: Vec<_> = changes.into_iter().filter(|(_, differences)| !differences.is_empty()).collect();
    let largest = changes.iter().flat_map(|(_, it)| it.iter().map(|difference| difference.abs())).fold(0.0, f64::max);
    if changes.is_empty() {
        return None;
    }
    let charts = changes.iter().enumerate();
    let charts: String = charts
        .map(|(place, (contestant, differences))| figure(place, contestant, differences, largest, results.decisive()))
        .collect();
    let key = format!(
        "<p class=\"key\">A bar for each query: {} with the reranker minus that of the first stage, largest gain left. \
         All charts have the same scale: a bar from the middle to the edge is {}.</p>",
        escape(results.decisive()),
        fixed(largest, 2)
    );
    Some(Section { id: "changes", title: "Query by query", body: format!("{key}<div class=\"grid\">{charts}</div>") })
}

/// Differences, largest first.
fn sorted(results: &Results, contestant: &Contestant) -> Vec<f64> {
    let mut differences: Vec<_> = results.changes(contestant).into_iter().map(Change::difference).collect();
    differences.sort_by(|one, other| other.total_cmp(one));
    differences
}

fn figure(place: usize, contestant: &Contestant, differences: &[f64], largest: f64, metric: &str) -> String {
    let better = differences.iter().filter(|difference| **difference > 0.0).count();
    let worse = differences.iter().filter(|difference| **difference < 0.0).count();
    let same = differences.len() - better - worse;
    let name = escape(&contestant.name);
    let mean = contestant.against_none.as_ref().map_or_else(String::new, |comparison| {
        let difference = comparison.difference;
        let [mean, low, high] = [difference.mean, difference.low, difference.high].map(signed);
        format!("<span class=\"mean\">{mean} <small>{low} to {high}</small></span>")
    });
    let middle = HEIGHT / 2.0;
    let [up, down] = bars(differences, largest);
    let metric = escape(metric);
    format!(
        "<figure class=\"deltas\"><figcaption><b>{name}</b>{mean}</figcaption>\
         <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" aria-labelledby=\"delta-{place}-title delta-{place}-desc\">\
         <title id=\"delta-{place}-title\">{name}: {metric} against the first stage, query by query</title>\
         <desc id=\"delta-{place}-desc\">{better} queries better, {same} the same, {worse} worse.</desc>\
         <path class=\"gain\" d=\"{up}\" /><path class=\"loss\" d=\"{down}\" /><path class=\"zero\" d=\"M0 {middle}H{WIDTH}\" /></svg>\
         <p class=\"counts\"><span class=\"gain\">▲ {better} better</span><span>{same} same</span><span class=\"loss\">▼ {worse} worse</span></p></figure>"
    )
}

/// Paths of the bars upwards and of those downwards.
fn bars(differences: &[f64], largest: f64) -> [String; 2] {
    let count = differences.len().min(MOST_BARS);
    let step = (WIDTH / exact(count.max(1))).min(24.0);
    let width = coordinate(if step > 3.0 { step - 1.0 } else { step });
    let mut paths = [String::new(), String::new()];
    for bar in 0..count {
        let difference = differences[bar * differences.len() / count];
        let height = coordinate(difference.abs() / largest.max(1e-9) * (HEIGHT / 2.0 - 2.0));
        if height == "0" {
            continue;
        }
        let (path, sign) = if difference > 0.0 { (0, "-") } else { (1, "") };
        let left = coordinate(exact(bar) * step);
        paths[path].push_str(&format!(
            "M{left} {}v{sign}{height}h{width}v{}{height}z",
            HEIGHT / 2.0,
            if sign.is_empty() { "-" } else { "" }
        ));
    }
    paths
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
        let differences: Vec<_> = (0..5000).map(|place| 1.0 - exact(place) / 2500.0).collect();
        let [up, down] = bars(&differences, 1.0);
        assert!(up.matches('M').count() + down.matches('M').count() <= MOST_BARS);
        assert_eq!(bars(&[0.0; 5], 0.0), [String::new(), String::new()]);
    }
}
