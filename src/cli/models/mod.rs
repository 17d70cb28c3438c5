//! `rerankd models`: the models that can be asked for, with their scoring and price.

mod live;
mod providers;

use std::net::SocketAddr;
use std::time::SystemTime;

use clap::Args;
use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};
use rerankd_core::provider::Billing;
use rerankd_core::route::lifecycle::notices;
use rerankd_core::route::{Route, RouteTable, Target};
use rerankd_core::types::date::Date;

use super::banner::{also, by_name_only};
use super::{CommandFailure, ConfigArgs, print, table_columns};
use crate::assemble::assemble;
use crate::http::models::list;

#[derive(Debug, Args)]
pub(super) struct ModelsArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Ask the running server, which also tells how alike models and their shadows rank.
    #[arg(long)]
    live: bool,
    /// Address of that server; server.listen of the configuration if left out.
    #[arg(long, value_name = "ADDR", requires = "live")]
    address: Option<SocketAddr>,
    /// List every provider that rerankd knows, with what is missing to use it.
    #[arg(long, conflicts_with = "live")]
    providers: bool,
    /// Print JSON: the list of `GET /v1/models`, by --live that of the server, by --providers all that is known.
    #[arg(long, help_heading = "Output")]
    json: bool,
}

pub(super) fn run(args: &ModelsArgs) -> Result<(), CommandFailure> {
    let loaded = args.config.load_and_warn()?;
    if args.live {
        let server = &loaded.settings.server;
        return live::run(args.address.unwrap_or(server.listen), &server.api_keys, args.json);
    }
    if args.providers {
        return providers::run(&loaded.settings.providers, args.json);
    }
    let reranker = assemble(&loaded.settings).map_err(CommandFailure::new)?;
    let routes = &reranker.routes;
    if args.json {
        let list = serde_json::to_string_pretty(&list(&reranker)).map_err(CommandFailure::new)?;
        return print(&format!("{list}\n"));
    }
    // Two tables, as one with all columns would be wider than a terminal.
    let mut names = empty_table();
    names.set_header(["MODEL", "TARGETS"]);
    keep_names_whole(&mut names);
    let mut facts = empty_table();
    facts.set_header(["MODEL", "SCORING", "SCALE", "PRICE"]);
    keep_names_whole(&mut facts);
    for route in routes.routes() {
        let addresses: Vec<_> = route.targets.iter().map(|target| target.address()).collect();
        names.add_row([route.model.clone(), format!("{}{}{}", addresses.join(", then "), also(route), shadow(route))]);
        if let Some(first) = route.targets.first() {
            facts.add_row(row(&route.model, first));
        }
    }
    for upstream in routes.upstreams() {
        for model in upstream.models() {
            if let Some(target) = Target::direct(upstream, model) {
                facts.add_row(row(&target.address(), &target));
            }
        }
    }
    print(&format!(
        "{}\n\n{}\n{}\n{}",
        names.trim_fmt(),
        facts.trim_fmt(),
        lifecycle_notes(routes, Date::of(SystemTime::now())),
        foot(routes)
    ))
}

/// The known ends of the listed models and of their providers as of `today`, a sentence a line after an empty
/// one; empty if nothing is.
fn lifecycle_notes(routes: &RouteTable, today: Date) -> String {
    let mut notes = Vec::new();
    for notice in notices(routes, today, true) {
        notes.push(notice.message);
    }
    for upstream in routes.upstreams() {
        for model in upstream.models() {
            let Some(target) = Target::direct(upstream, model) else { continue };
            for message in target.lifecycle_notices(today, true) {
                if !notes.contains(&message) {
                    notes.push(message);
                }
            }
        }
    }
    if notes.is_empty() {
        return String::new();
    }
    // A table for its wrapping.
    let mut table = empty_table();
    for note in notes {
        table.add_row([note]);
    }
    format!("\n{}\n", table.trim_fmt())
}

/// The last lines: upstreams that lead by their names only, and the way to see every provider.
fn foot(routes: &RouteTable) -> String {
    // A table for its wrapping.
    let mut table = empty_table();
    table.add_rows(by_name_only(routes).map(|notice| [notice]));
    format!("{}\n{EVERY_PROVIDER}\n", table.trim_fmt()).trim_start().to_owned()
}

/// The last line.
const EVERY_PROVIDER: &str = "`rerankd models --providers` lists every provider and what is missing to use it.";

/// A table without lines that wraps its cells where the terminal ends.
fn empty_table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(table_columns());
    table
}

/// Never wraps the first column of a table that has its header: half of a model's name cannot be copied.
fn keep_names_whole(table: &mut Table) {
    if let Some(names) = table.column_mut(0) {
        names.set_constraint(ColumnConstraint::ContentWidth);
    }
}

/// The name of the model's shadow, in brackets; empty if it has none.
fn shadow(route: &Route) -> String {
    match &route.shadow {
        Some(shadow) => format!("  (compared with {})", shadow.name),
        None => String::new(),
    }
}

/// The cells of a model, whose facts are those of its first target.
fn row(model: &str, target: &Target) -> [String; 4] {
    let price = match target.facts.billing {
        Billing::SearchUnits(usd) => format!("${usd} a search"),
        Billing::Tokens(usd) => format!("${usd} a million tokens"),
        Billing::Calls(usd) => format!("${usd} a call"),
        unpriced => unpriced.unit().to_owned(),
    };
    let scoring = target.facts.scoring.name().to_owned();
    let scale = target.facts.scale.name().to_owned();
    [model.to_owned(), scoring, scale, price]
}
