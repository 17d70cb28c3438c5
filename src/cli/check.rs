//! `rerankd check`

use std::time::SystemTime;

use rerankd_core::route::lifecycle::notices;
use rerankd_core::types::date::Date;

use super::{CommandFailure, ConfigArgs, print};

pub(super) fn run(args: &ConfigArgs) -> Result<(), CommandFailure> {
    let loaded = args.load(None)?;
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
    for notice in notices(&reranker.routes, Date::of(SystemTime::now()), true) {
        warnings.push_str(&format!("# Warning: {}\n", notice.message));
    }
    print(&format!("# The configuration is valid. In effect:\n{warnings}\n{effective}"))
}
