//! Tests of the whole page: it is well-formed, loads nothing, and runs nothing that a text contains.

use std::collections::BTreeSet;

use super::super::sample;
use super::*;
use crate::results::{Estimate, Kind};

/// Panics unless every element is closed in order, every attribute quoted and given once, every id unique, every
/// reference to an id answered, and every `&` an entity of XML.
fn assert_well_formed(page: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut ids = BTreeSet::new();
    let mut wanted = Vec::new();
    let mut rest = page.strip_prefix("<!DOCTYPE html>\n").unwrap();
    while let Some((text, after)) = rest.split_once('<') {
        assert_text(text);
        let (tag, after) = after.split_once('>').unwrap();
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "…{}", &after.chars().take(80).collect::<String>());
            continue;
        }
        let (tag, is_closed) = tag.strip_suffix(" /").map_or((tag, false), |tag| (tag, true));
        let (name, mut attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric()), "<{tag}>");
        let mut seen = BTreeSet::new();
        while !attributes.is_empty() {
            let (name, value) = attributes.split_once("=\"").unwrap_or_else(|| panic!("<{tag}>"));
            let (value, others) = value.split_once('"').unwrap_or_else(|| panic!("<{tag}>"));
            assert!(
                name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_uppercase() || byte == b'-'),
                "<{tag}>"
            );
            assert!(seen.insert(name), "<{tag}>");
            assert!(others.is_empty() || others.starts_with(' '), "<{tag}>");
            assert_text(value);
            match name {
                "id" => assert!(ids.insert(value), "{value} twice"),
                "aria-labelledby" => wanted.extend(value.split(' ')),
                "href" => wanted.extend(value.strip_prefix('#')),
                _ => assert!(!name.starts_with("on") && name != "style", "<{tag}>"),
            }
            attributes = others.trim_start();
        }
        if !is_closed {
            open.push(name);
        }
    }
    assert_eq!(open, [""; 0]);
    assert_eq!(rest, "\n");
    let missing: Vec<_> = wanted.into_iter().filter(|id| !ids.contains(id)).collect();
    assert_eq!(missing, [""; 0]);
}

fn assert_text(text: &str) {
    for rest in text.split('&').skip(1) {
        assert!(["lt;", "gt;", "amp;", "quot;", "#39;"].iter().any(|entity| rest.starts_with(entity)), "{rest}");
    }
    assert!(text.chars().all(|character| character == '\n' || rerankd_core::text::visible(character) == character));
    assert!(!text.contains("NaN") && !text.contains("inf,"), "{text}");
}

/// Panics if the page would load anything.
fn assert_alone(page: &str) {
    for bad in [
        "http://",
        "https://",
        "//cdn",
        "src=",
        "<script",
        "<iframe",
        "<object",
        "<base",
        "@import",
        "url(",
        "javascript:",
    ] {
        assert!(!page.contains(bad), "{bad}");
    }
}

fn page(results: &Results) -> String {
    let page = html(results);
    assert_well_formed(&page);
    page
}

#[test]
fn a_page_holds_together_and_loads_nothing() {
    let page = page(&sample::results(300));
    assert_alone(&page);
    for id in [
        "contestants",
        "latency",
        "notes",
        "metrics",
        "citation",
        "cost",
        "labels",
        "changes",
        "queries",
        "definitions",
    ] {
        assert!(page.contains(&format!("<section id=\"{id}\"")), "{id}");
    }
    assert!(page.len() < 1_500_000, "{} bytes", page.len());
}

/// Results in which each text tries to break out of its element.
fn hostile() -> Results {
    let hostile =
        "<script>alert(1)</script>\"'><img/onerror=x> & &lt; \u{202e}\u{0}\u{1b}[31m]]>--><!--</style></title>";
    let mut results = sample::results(60);
    let metric = results.decisive().to_owned();
    for query in &mut results.queries {
        query.text = hostile.to_owned();
        query.id = hostile.to_owned();
        query.labels.insert(hostile.to_owned(), format!("{hostile}{}", query.candidates.len() % 2));
        for candidate in &mut query.candidates {
            candidate.beginning = hostile.repeat(3);
        }
    }
    for (place, contestant) in results.contestants.iter_mut().enumerate() {
        contestant.name = format!("{hostile}{place}");
        contestant.failures.insert(hostile.to_owned(), 1);
        contestant.answered_by = vec![hostile.to_owned(); 2];
        let estimate = contestant.metrics[&metric];
        contestant.metrics.insert(hostile.to_owned(), estimate);
        for values in &mut contestant.by_query {
            let value = values[&metric];
            values.insert(hostile.to_owned(), value);
        }
    }
    results.metrics = vec![hostile.to_owned(), metric];
    results.collection.name = hostile.to_owned();
    results.collection.first_stage = hostile.to_owned();
    results.rerankd = hostile.to_owned();
    results.choice.by_strategy.insert("mean".to_owned(), hostile.to_owned());
    results.choice.too_slow = vec![hostile.to_owned()];
    results
}

#[test]
fn nothing_that_others_wrote_acts() {
    let page = page(&hostile());
    assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("<!--"), "markup got through");
    assert_eq!(page.matches("</style>").count(), 1);
}

#[test]
fn there_may_be_next_to_nothing() {
    let mut nobody = sample::results(0);
    nobody.contestants.clear();
    nobody.metrics.clear();
    assert!(page(&nobody).contains("<h1>Nothing was evaluated <small>("));

    let mut alone = sample::results(1);
    alone.contestants.retain(|contestant| contestant.kind == Kind::None);
    alone.contestants[0].against_best = None;
    let html = page(&alone);
    assert!(html.contains("<h1>Only the order of the first stage was evaluated <small>("));
    assert!(!html.contains("id=\"latency\"") && !html.contains("id=\"changes\"") && !html.contains("id=\"queries\""));

    let mut without_none = sample::results(5);
    without_none.contestants.retain(|contestant| contestant.kind != Kind::None);
    page(&without_none);
    page(&sample::results(1));
}

#[test]
fn ties_zeros_and_what_is_no_number_are_borne() {
    for value in [0.5, 0.0, 1.0, f64::NAN, f64::INFINITY] {
        let mut results = sample::results(12);
        for contestant in &mut results.contestants {
            let estimate = Estimate { mean: value, low: value, high: value };
            contestant.metrics.values_mut().for_each(|it| *it = estimate);
            contestant.by_query.iter_mut().flat_map(|it| it.values_mut()).for_each(|it| *it = value);
            for comparison in contestant.against_best.iter_mut().chain(&mut contestant.against_none) {
                let nothing = value - value;
                comparison.difference = Estimate { mean: nothing, low: nothing, high: nothing };
                (comparison.p, comparison.p_adjusted, comparison.is_noise) = (1.0 + nothing, 1.0 + nothing, true);
            }
            if let Some(latency) = &mut contestant.latency {
                (latency.cold.p50, latency.cold.p95, latency.warm) = (value - 0.5, 0.0, None);
            }
            if let Some(cost) = &mut contestant.cost {
                cost.usd_per_1000_queries = None;
            }
        }
        results.collection.recall_ceiling = Some(value);
        let page = page(&results);
        assert!(!page.contains("NaN") && !page.contains(">inf") && !page.contains("-0.000"), "{value}");
        assert!(!page.contains("id=\"cost\""), "costs that nobody knows are not drawn");
    }
}

#[test]
fn by_query_values_may_be_fewer_than_queries() {
    let mut results = sample::results(30);
    for contestant in &mut results.contestants {
        contestant.by_query.truncate(7);
        contestant.rankings.truncate(3);
    }
    page(&results);
}

/// `REPORTS=$PWD/target/reports cargo test -p rerankd-eval --lib report -- --ignored`, then
/// `conformance/report/check target/reports/*.html`.
#[test]
#[ignore = "writes pages to look at"]
fn write_samples() {
    let folder = std::path::PathBuf::from(std::env::var_os("REPORTS").expect("REPORTS says where to"));
    let mut crowded = sample::results(80);
    for copy in 0..2 {
        let more: Vec<_> = crowded.rerankers().take(5).cloned().collect();
        for (place, mut contestant) in more.into_iter().enumerate() {
            contestant.name = format!("self-hosted/{}-{copy}", contestant.name.replace('/', "-"));
            if let Some(latency) = &mut contestant.latency {
                latency.cold.mean *= 0.8 + 0.1 * rerankd_core::types::as_f64(place);
            }
            crowded.contestants.push(contestant);
        }
    }
    sample::compare(&mut crowded.contestants);
    let mut few = sample::results(1);
    few.contestants.retain(|contestant| ["voyage/rerank-2.5", "none"].contains(&contestant.name.as_str()));
    sample::compare(&mut few.contestants);
    let mut alone = sample::results(3);
    alone.contestants.retain(|contestant| contestant.kind == Kind::None);
    sample::compare(&mut alone.contestants);
    alone.choice.by_strategy.clear();
    let samples =
        [("usual", sample::results(300)), ("crowded", crowded), ("few", few), ("alone", alone), ("hostile", hostile())];
    std::fs::create_dir_all(&folder).unwrap();
    for (name, results) in samples {
        std::fs::write(folder.join(format!("{name}.html")), html(&results)).unwrap();
        std::fs::write(folder.join(format!("{name}.txt")), super::super::table::table(&results, 120)).unwrap();
        std::fs::write(folder.join(format!("{name}.json")), serde_json::to_string(&results).unwrap()).unwrap();
    }
}
