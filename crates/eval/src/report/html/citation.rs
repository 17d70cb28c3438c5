//! The circumstances of the run: what a reader needs to cite the figures and to measure them again.

use rerankd_core::text::grouped;

use super::super::super::results::{Results, RunRecord};
use super::markup::{HtmlSection, each, escape};

/// Digits of a checksum that are shown. `results.json` has all of them.
const CHECKSUM_DIGITS: usize = 16;

/// The section with the record of the run; `None` of results that no command made.
pub(super) fn section(results: &Results) -> Option<HtmlSection> {
    let run = results.run.as_ref()?;
    let entries = each(entries(results, run), |(term, definition)| format!("<dt>{term}</dt><dd>{definition}</dd>"));
    Some(HtmlSection {
        id: "citation",
        title: "To cite and to repeat",
        body: format!(
            "<p class=\"key\">The checksums are BLAKE3 hashes of what was read, cut to {CHECKSUM_DIGITS} digits; \
             results.json has them in full. <code>rerankd eval --compare RUN1 RUN2</code> tells two runs apart by \
             them.</p><dl>{entries}</dl>"
        ),
    })
}

/// The terms, plain text, with what they stand for, which is HTML.
fn entries(results: &Results, run: &RunRecord) -> Vec<(&'static str, String)> {
    let mut settings = Vec::with_capacity(run.settings.len());
    for (name, value) in &run.settings {
        settings.push(format!("{name} {value}"));
    }
    let checksums = each(run.checksums.parts(), |(part, checksum)| hash(part, checksum));
    let models = each(&run.models, |(name, checksum)| hash(name, checksum));
    let machine = &run.machine;
    let prices = match &run.prices_as_of {
        Some(days) => format!("list prices of {}", escape(days)),
        None => "no model has a price".to_owned(),
    };
    let mut entries = vec![
        ("Date", escape(&run.date)),
        ("Command", format!("<code>{}</code>", escape(&run.command))),
        ("Version", format!("rerankd {}", escape(&results.rerankd))),
        ("Machine", format!("{}, {} cores, {}", escape(&machine.cpu), grouped(machine.cores), escape(&machine.os))),
        ("Settings", escape(&settings.join("; "))),
        (
            "Answers",
            format!(
                "{} asked in this run, {} kept from earlier runs with the times and charges of then",
                grouped(run.answers_new),
                grouped(run.answers_kept)
            ),
        ),
        ("Prices", prices),
        ("Collection", format!("<ul class=\"hashes\">{checksums}</ul>")),
    ];
    if !models.is_empty() {
        entries.push(("Models and their settings", format!("<ul class=\"hashes\">{models}</ul>")));
    }
    entries
}

/// An item of a list: a name with its checksum, cut.
fn hash(name: &str, checksum: &str) -> String {
    let digits: String = checksum.chars().take(CHECKSUM_DIGITS).collect();
    format!("<li>{} <code>{}</code></li>", escape(name), escape(&digits))
}
