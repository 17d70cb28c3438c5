//! `rerankd check`

use super::{ConfigArgs, Failure, print};

pub(super) fn run(args: &ConfigArgs) -> Result<(), Failure> {
    let loaded = args.load(None)?;
    // Everything must also be buildable, not only readable.
    crate::rerank::assemble::assemble(&loaded.settings).map_err(Failure::new)?;
    if let Some(settings) = &loaded.settings.local.cross_encoder {
        crate::local::cross_encoder::check(settings).map_err(Failure::new)?;
    }
    let effective = toml::to_string_pretty(&loaded.effective).map_err(Failure::new)?;
    print(&format!("# The configuration is valid. In effect:\n\n{effective}"))
}
