//! `rerankd models --live`: what a running server has, and what it has found out about shadows.

use std::net::SocketAddr;
use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};
use secrecy::ExposeSecret;
use serde::Deserialize;

use super::super::{Failure, banner, print, runtime};
use crate::config::settings::ApiKey;
use crate::route::shadow::{Mean, ShadowReport};

const TIMEOUT: Duration = Duration::from_secs(5);
/// What stands where there is nothing to tell.
const NOTHING: &str = "-";

/// The parts of `GET /v1/models` that are shown.
#[derive(Deserialize)]
struct ModelList {
    data: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    id: String,
    targets: Vec<String>,
    shadow: Option<ShadowReport>,
}

pub(super) fn run(address: SocketAddr, api_keys: &[ApiKey]) -> Result<(), Failure> {
    let address = banner::callable(address);
    let answer = runtime()?.block_on(ask(address, api_keys));
    let answer = answer.map_err(|error| Failure::new(format!("{address} does not answer: {}", root_cause(&error))))?;
    let models: ModelList = serde_json::from_str(&answer)
        .map_err(|_| Failure::new(format!("{address} does not answer as rerankd does; does it want another key?")))?;
    print(&format!("{}\n", table(&models).trim_fmt()))
}

/// The innermost cause: the others repeat the address.
fn root_cause(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), root_cause)
}

async fn ask(address: SocketAddr, api_keys: &[ApiKey]) -> reqwest::Result<String> {
    drop(rustls::crypto::ring::default_provider().install_default());
    let client = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build()?;
    let mut request = client.get(format!("http://{address}/v1/models"));
    if let Some(key) = api_keys.first() {
        request = request.bearer_auth(key.key.expose_secret());
    }
    request.send().await?.text().await
}

fn table(models: &ModelList) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["MODEL", "TARGETS", "SHADOW", "COMPARED", "OVERLAP", "TAU", "TOP 10"]);
    for model in &models.data {
        let shadow = model.shadow.as_ref();
        let cell = |tell: &dyn Fn(&ShadowReport) -> String| shadow.map_or_else(|| NOTHING.to_owned(), tell);
        table.add_row([
            model.id.clone(),
            model.targets.join(", then "),
            cell(&|shadow| shadow.target.clone()),
            cell(&counts),
            cell(&|shadow| told(shadow.rank_biased_overlap)),
            cell(&|shadow| told(shadow.kendall_tau)),
            cell(&|shadow| told(shadow.top_overlap)),
        ]);
    }
    table
}

fn counts(shadow: &ShadowReport) -> String {
    let others = [(shadow.failed, "failed"), (shadow.skipped, "skipped")];
    let others = others.into_iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!(", {count} {word}"));
    others.fold(shadow.compared.to_string(), |text, other| text + &other)
}

fn told(mean: Option<Mean>) -> String {
    match mean {
        None => NOTHING.to_owned(),
        Some(Mean { mean, margin: None }) => format!("{mean:.3}"),
        Some(Mean { mean, margin: Some(margin) }) => format!("{mean:.3} ± {margin:.3}"),
    }
}
