//! `rerankd models --live`: the models of a running server, and the agreement with their shadows so far.

use std::net::SocketAddr;
use std::time::Duration;

use rerankd_core::text::root_cause;
use secrecy::ExposeSecret;
use serde::Deserialize;

use super::super::{CommandFailure, banner, print, runtime};
use super::{empty_table, keep_names_whole};
use crate::http::models::{MeanBody, ModelCostBody, ShadowBody};
use crate::http::settings::ApiKey;

/// Longest wait for the whole answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// The content of a cell without a value.
const NO_VALUE: &str = "-";

/// The parts of `GET /v1/models` that are shown.
#[derive(Deserialize)]
struct ServedModels {
    data: Vec<ServedModel>,
}

#[derive(Deserialize)]
struct ServedModel {
    id: String,
    targets: Vec<String>,
    /// Absent from the answers of older servers.
    cost: Option<ModelCostBody>,
    shadow: Option<ShadowBody>,
}

/// Prints the models of the server at `listen`, as JSON if `json`.
pub(super) fn run(listen: SocketAddr, api_keys: &[ApiKey], json: bool) -> Result<(), CommandFailure> {
    let address = banner::callable(listen);
    let answer = runtime()?
        .block_on(ask(address, api_keys))
        .map_err(|error| CommandFailure::new(format!("{address} does not answer: {}", root_cause(&error))))?;
    let models: ServedModels = serde_json::from_str(&answer).map_err(|_| {
        CommandFailure::new(format!("{address} does not answer as rerankd does; does it want another key?"))
    })?;
    if json {
        return print(&format!("{answer}\n"));
    }
    print(&tables(&models))
}

/// The body of `GET /v1/models`.
async fn ask(address: SocketAddr, api_keys: &[ApiKey]) -> reqwest::Result<String> {
    // reqwest brings no crypto provider of its own. Installing one fails if there is one already, which is as good.
    drop(rustls::crypto::ring::default_provider().install_default());
    let client = reqwest::Client::builder().no_proxy().timeout(ANSWER_TIMEOUT).build()?;
    let mut request = client.get(format!("http://{address}/v1/models"));
    if let Some(key) = api_keys.first() {
        request = request.bearer_auth(key.key.expose_secret());
    }
    // Whatever the status is: the body of a refusal is no list of models, which the caller finds out.
    request.send().await?.text().await
}

/// The table of all models, and that of the shadows if there are any: one with all columns would be wider than a
/// terminal.
fn tables(models: &ServedModels) -> String {
    let mut costs = empty_table();
    costs.set_header(["MODEL", "TARGETS", "SPENT", "SAVED"]);
    keep_names_whole(&mut costs);
    let mut shadows = empty_table();
    shadows.set_header(["MODEL", "SHADOW", "COMPARED", "OVERLAP", "TAU", "TOP 10"]);
    keep_names_whole(&mut shadows);
    for model in &models.data {
        let (spent, saved) = match &model.cost {
            Some(cost) => (dollars(cost.spent_usd), dollars(cost.saved_usd)),
            None => (dollars(None), dollars(None)),
        };
        costs.add_row([model.id.clone(), model.targets.join(", then "), spent, saved]);
        if let Some(shadow) = &model.shadow {
            shadows.add_row([
                model.id.clone(),
                shadow.target.clone(),
                counts(shadow),
                mean_cell(shadow.rank_biased_overlap),
                mean_cell(shadow.kendall_tau),
                mean_cell(shadow.top_overlap),
            ]);
        }
    }
    let mut text = format!("{}\n", costs.trim_fmt());
    if shadows.row_count() > 0 {
        text.push_str(&format!("\n{}\n", shadows.trim_fmt()));
    }
    text
}

/// An amount of US dollars.
fn dollars(usd: Option<f64>) -> String {
    match usd {
        Some(usd) => format!("${usd:.4}"),
        None => NO_VALUE.to_owned(),
    }
}

/// The number of comparisons, with those that failed or were skipped if there were any.
fn counts(shadow: &ShadowBody) -> String {
    let mut text = shadow.compared.to_string();
    for (count, word) in [(shadow.failed, "failed"), (shadow.skipped, "skipped")] {
        if count > 0 {
            text.push_str(&format!(", {count} {word}"));
        }
    }
    text
}

/// A mean with its margin of error, if both are known.
fn mean_cell(mean: Option<MeanBody>) -> String {
    match mean {
        None => NO_VALUE.to_owned(),
        Some(MeanBody { mean, margin: None }) => format!("{mean:.3}"),
        Some(MeanBody { mean, margin: Some(margin) }) => format!("{mean:.3} ± {margin:.3}"),
    }
}
