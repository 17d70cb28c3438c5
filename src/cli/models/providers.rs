//! `rerankd models --providers`: every provider, by group, with what is missing to use it.

use comfy_table::CellAlignment;
use rerankd_core::types::date::Date;
use serde::Serialize;

use super::super::{CommandFailure, print};
use super::{empty_table, keep_names_whole};
use crate::config::about_provider::{Evidence, ProviderGroup};
use crate::config::availability::ListedProvider;
use crate::config::provider_facts::KnownProvider;

/// The groups in their order, with their headings. A provider of the operator's own may be in none.
const GROUPS: [(Option<ProviderGroup>, &str); 5] = [
    (None, "YOUR OWN"),
    (Some(ProviderGroup::Hosted), "HOSTED"),
    (Some(ProviderGroup::Gateway), "GATEWAYS"),
    (Some(ProviderGroup::SelfHosted), "SELF-HOSTED"),
    (Some(ProviderGroup::SearchEngine), "SEARCH ENGINES"),
];

/// The lines below the table, within 80 columns.
const FOOT: &str = "
declare: write [upstreams.NAME] with provider = \"NAME\" and these keys into the
         configuration file, or set RERANKD__UPSTREAMS__NAME__PROVIDER and so on
MODELS   counts those with known facts; any other can be asked for by its name
SHAPE BY is what rerankd's idea of the calls rests on
`--json` has the names of the models, all variables, and the evidence itself
`rerankd check --show-call NAME` shows what a call would send
";

/// A provider as JSON.
#[derive(Serialize)]
struct ProviderBody<'a> {
    id: &'a str,
    title: &'a str,
    group: Option<&'static str>,
    /// Kind of source that the wire shape rests on.
    evidence: Option<&'static str>,
    evidence_note: &'a str,
    default_model: Option<&'a str>,
    models: Vec<&'a str>,
    key_variables: &'a [String],
    /// The first day without the service; null if none is known.
    retired_on: Option<&'a str>,
    successor: Option<&'a str>,
    /// Names of its upstreams; empty if it cannot be asked yet.
    upstreams: Vec<&'a str>,
    /// True if requests get there by `UPSTREAM/MODEL` alone.
    by_name_only: bool,
    /// The step before it can be asked; null if it can.
    missing: Option<String>,
}

#[derive(Serialize)]
struct ProviderList<'a> {
    object: &'static str,
    data: Vec<ProviderBody<'a>>,
}

/// Prints `providers`, as JSON if `json`.
pub(super) fn run(providers: &[ListedProvider], json: bool) -> Result<(), CommandFailure> {
    if json {
        let data = providers.iter().map(ProviderBody::of).collect();
        let list = serde_json::to_string_pretty(&ProviderList { object: "list", data }).map_err(CommandFailure::new)?;
        return print(&format!("{list}\n"));
    }
    print(&table(providers))
}

/// One table, so that the columns of all groups stand below each other.
fn table(providers: &[ListedProvider]) -> String {
    let mut table = empty_table();
    table.set_header(["PROVIDER", "MODELS", "SHAPE BY", "TO USE IT HERE"]);
    keep_names_whole(&mut table);
    if let Some(models) = table.column_mut(1) {
        models.set_cell_alignment(CellAlignment::Right);
    }
    for (group, heading) in GROUPS {
        let members: Vec<_> = providers.iter().filter(|provider| provider.known.about.group == group).collect();
        if members.is_empty() {
            continue;
        }
        table.add_row([""]);
        table.add_row([format!("{heading} ({})", members.len())]);
        for provider in members {
            let models = match provider.known.facts.models.len() {
                0 => "any".to_owned(),
                count => count.to_string(),
            };
            let evidence = provider.known.about.evidence.map_or("", Evidence::name);
            table.add_row([provider.name.clone(), models, evidence.to_owned(), use_of(provider)]);
        }
    }
    let mut text = String::new();
    // A row without cells is as wide as the others.
    for line in table.trim_fmt().lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.push_str(FOOT);
    text
}

/// The way to use a provider, and its title.
fn use_of(provider: &ListedProvider) -> String {
    let ListedProvider { name, known, upstreams, missing } = provider;
    let title = &known.about.title;
    let mut ready = Vec::new();
    for (upstream, by_name_only) in upstreams {
        ready.push(if *by_name_only { format!("{upstream}/MODEL") } else { format!("upstreams.{upstream}") });
    }
    let step = match missing {
        Some(missing) => missing.brief(),
        None => format!("ready: {}", ready.join(", ")),
    };
    if title.is_empty() || title.eq_ignore_ascii_case(name) { step } else { format!("{step} ({title})") }
}

impl<'a> ProviderBody<'a> {
    fn of(provider: &'a ListedProvider) -> Self {
        let ListedProvider { name, known, upstreams, missing } = provider;
        let KnownProvider { about, facts, .. } = known;
        let lifecycle = &facts.service_lifecycle;
        Self {
            id: name,
            title: &about.title,
            group: about.group.map(ProviderGroup::name),
            evidence: about.evidence.map(Evidence::name),
            evidence_note: &about.evidence_note,
            default_model: facts.default_model.as_deref(),
            models: facts.models.keys().map(String::as_str).collect(),
            key_variables: &facts.key_variables,
            retired_on: lifecycle.retired_on.as_ref().map(Date::as_str),
            successor: lifecycle.successor.as_deref(),
            upstreams: upstreams.iter().map(|(upstream, _)| upstream.as_str()).collect(),
            by_name_only: !upstreams.is_empty() && upstreams.iter().all(|(_, by_name_only)| *by_name_only),
            missing: missing.as_ref().map(ToString::to_string),
        }
    }
}
