//! `rerankd models`: the models that can be asked for, with their scoring and price.

mod live;

use std::net::SocketAddr;

use clap::Args;
use comfy_table::{ContentArrangement, Table, presets};
use rerankd_core::provider::Billing;
use rerankd_core::route::{Route, Target};

use super::banner::also;
use super::{CommandFailure, ConfigArgs, print};
use crate::assemble::assemble;

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
}

pub(super) fn run(args: &ModelsArgs) -> Result<(), CommandFailure> {
    let loaded = args.config.load_and_warn()?;
    if args.live {
        let server = &loaded.settings.server;
        return live::run(args.address.unwrap_or(server.listen), &server.api_keys);
    }
    let routes = assemble(&loaded.settings).map_err(CommandFailure::new)?.routes;
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["MODEL", "TARGETS", "SCORING", "SCALE", "PRICE"]);
    for route in routes.routes() {
        let addresses: Vec<_> = route.targets.iter().map(|target| target.address()).collect();
        if let Some(first) = route.targets.first() {
            let targets = format!("{}{}{}", addresses.join(", then "), also(route), shadow(route));
            table.add_row(row(&route.model, &targets, first));
        }
    }
    for upstream in routes.upstreams() {
        for model in upstream.models() {
            if let Some(target) = Target::direct(upstream, model) {
                table.add_row(row(&target.address(), "", &target));
            }
        }
    }
    print(&format!("{}\n", table.trim_fmt()))
}

/// The name of the model's shadow, in brackets; empty if it has none.
fn shadow(route: &Route) -> String {
    match &route.shadow {
        Some(shadow) => format!("  (compared with {})", shadow.name),
        None => String::new(),
    }
}

/// The cells of a model, whose facts are those of its first target.
fn row(model: &str, targets: &str, target: &Target) -> [String; 5] {
    let price = match target.facts.billing {
        Billing::SearchUnits(usd) => format!("${usd} a search"),
        Billing::Tokens(usd) => format!("${usd} a million tokens"),
        unpriced => unpriced.unit().to_owned(),
    };
    let scoring = target.facts.scoring.name().to_owned();
    let scale = target.facts.scale.name().to_owned();
    [model.to_owned(), targets.to_owned(), scoring, scale, price]
}
