//! The evaluation as one page that needs nothing else: no script, no other file, no network.

mod axis;
mod by_label;
mod chart;
mod deltas;
mod footer;
mod labels;
mod markup;
mod movement;
mod overview;
mod place;
mod queries;
mod tradeoff;

use super::super::results::Results;
use super::summary::{choice, collection, finding, headline, reading};
use super::text::printable;
use super::warnings::warnings;
use markup::{Section, each, escape, paragraphs};

/// Forbids the page everything but its own style sheet and its (empty) icon, whatever text may have slipped in.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

/// The page. It is HTML and well-formed XML.
#[must_use]
pub fn html(results: &Results) -> String {
    let sections = [
        Some(overview::section(results)),
        tradeoff::latency(results),
        tradeoff::cost(results),
        by_label::section(results),
        deltas::section(results),
        queries::section(results),
        Some(footer::section(results)),
    ];
    let sections: Vec<Section> = sections.into_iter().flatten().collect();
    let links = each(&sections, |section| format!("<li><a href=\"#{}\">{}</a></li>", section.id, section.title));
    let sections = each(&sections, Section::html);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\" />\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\" />\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\" />\n\
         <meta name=\"color-scheme\" content=\"light dark\" />\n\
         <meta name=\"referrer\" content=\"no-referrer\" />\n\
         <title>{title}</title>\n<link rel=\"icon\" href=\"data:,\" />\n<style>\n{style}</style>\n</head>\n<body>\n\
         <header>\n<p class=\"eyebrow\">rerankd eval · {name}</p>\n<h1>{headline}</h1>\n<div class=\"lead\">{finding}</div>\n\
         {notes}<nav aria-label=\"Parts of this page\"><ul>{links}</ul></nav>\n</header>\n<main>\n{sections}</main>\n\
         <footer><p>Made by rerankd {version}.</p></footer>\n</body>\n</html>\n",
        title = escape(&format!("{}: rerankers compared", printable(&results.collection.name))),
        style = include_str!("style.css"),
        name = escape(&results.collection.name),
        headline = unbroken(&headline(results)),
        finding = paragraphs(&finding(results)),
        notes = notes(results),
        version = escape(&results.rerankd),
    )
}

/// `text`, in which names break at their hyphens and slashes only if they are wider than the screen.
fn unbroken(text: &str) -> String {
    let words = text.split(' ').map(|word| {
        let escaped = escape(word);
        if word.contains(['-', '/']) { format!("<span>{escaped}</span>") } else { escaped }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// What was ranked, who is chosen, and what to be careful with.
fn notes(results: &Results) -> String {
    let facts = [collection(results), choice(results), reading(results)].concat();
    let warnings = warnings(results);
    let mut html = format!("<div class=\"notes\">{}</div>\n", paragraphs(&facts));
    if !warnings.is_empty() {
        let items = each(&warnings, |warning| format!("<li>{}</li>", escape(warning)));
        html.push_str(&format!(
            "<aside class=\"warnings\" aria-labelledby=\"warnings\"><h2 id=\"warnings\">Mind these</h2><ul>{items}</ul></aside>\n"
        ));
    }
    html
}

#[cfg(test)]
mod tests;
