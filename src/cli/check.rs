//! `rerankd check`

use std::time::SystemTime;

use clap::Args;
use rerankd_core::route::lifecycle::notices;
use rerankd_core::types::date::Date;

use super::banner::by_name_only;
use super::{CommandFailure, ConfigArgs, print, show_call};

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Show what a call would send, and where its reply is read; nothing is sent. NAME is an upstream, a provider or a
    /// model of the configuration.
    #[arg(long, value_name = "NAME[/MODEL]")]
    show_call: Option<String>,
    /// Print that call as JSON.
    #[arg(long, requires = "show_call", help_heading = "Output")]
    json: bool,
}

pub(super) fn run(args: &CheckArgs) -> Result<(), CommandFailure> {
    if let Some(target) = &args.show_call {
        return show_call::run(&args.config.load_and_warn()?.settings, target, args.json);
    }
    let loaded = args.config.load(None)?;
    // Everything must also be buildable. The weights must be readable, which the start of a server does not show.
    let reranker = crate::assemble::assemble(&loaded.settings).map_err(CommandFailure::new)?;
    if let Some(settings) = &loaded.settings.local.cross_encoder {
        settings.files.check().map_err(|reason| CommandFailure::new(format!("local.model_dir: {reason}")))?;
    }
    let effective = toml::to_string_pretty(&loaded.effective).map_err(CommandFailure::new)?;
    let mut warnings = String::new();
    for warning in loaded.warnings.iter().chain(&loaded.settings.exposure_warning()) {
        warnings.push_str(&format!("# Warning: {warning}\n"));
    }
    // Their settings are the defaults, so they are not printed.
    if let Some(notice) = by_name_only(&reranker.routes) {
        warnings.push_str(&format!("# Made of keys in the environment, {notice}\n"));
    }
    for notice in notices(&reranker.routes, Date::of(SystemTime::now()), true) {
        warnings.push_str(&format!("# Warning: {}\n", notice.message));
    }
    print(&format!("# The configuration is valid. In effect:\n{warnings}\n{effective}"))
}
