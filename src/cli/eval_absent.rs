//! `rerankd eval` in a build without the feature `eval`: a sentence that says so.

use std::ffi::OsString;

use clap::Args;

pub(super) use self::IgnoredArgs as EvalArgs;
use super::CommandFailure;

#[derive(Debug, Args)]
pub(super) struct IgnoredArgs {
    // All that the command takes elsewhere, so that the answer is not about one of them.
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    _ignored: Vec<OsString>,
}

/// Returns false: no thread of this command reports its own panics.
pub(super) fn reports_panics_of(_: Option<&str>) -> bool {
    false
}

/// Fails with the way to get the command.
pub(super) fn run(_: &IgnoredArgs) -> Result<(), CommandFailure> {
    Err(CommandFailure::new("rerankd eval is not in this build; `cargo build --release --features eval` builds it in"))
}
