//! `rerankd model` in a build without the feature `cross-encoder`: a sentence that says so.

use std::ffi::OsString;

use clap::Args;

pub(super) use self::IgnoredModelArgs as ModelArgs;
use super::CommandFailure;

#[derive(Debug, Args)]
pub(super) struct IgnoredModelArgs {
    // All that the command takes elsewhere, so that the answer is not about one of them.
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    _ignored: Vec<OsString>,
}

/// Fails with the way to get the command.
pub(super) fn run(_: &IgnoredModelArgs) -> Result<(), CommandFailure> {
    Err(CommandFailure::new(
        "rerankd model is not in this build, and no cross-encoder that could read weights; \
         `cargo build --release --features cross-encoder` builds both in",
    ))
}
