//! Flags that people bring along from other programs, with what to use instead.

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue};

const TIP_LISTEN: &str = "use --listen 127.0.0.1:8787";
const TIP_MODEL: &str =
    "models are configured: see [models] in the documentation; weights come by `rerankd model fetch`";
const TIP_LOG_FILTER: &str = "set RERANKD__TELEMETRY__LOG_FILTER=debug, or telemetry.log_filter";
const TIP_CLIENT_KEYS: &str = "set RERANKD__SERVER__API_KEYS='[\"env:APP_KEY\"]', or server.api_keys";

/// Each flag, and a tip in its place.
const FOREIGN_FLAGS: [(&str, &str); 15] = [
    ("--port", TIP_LISTEN),
    ("-p", TIP_LISTEN),
    ("--host", TIP_LISTEN),
    ("--hostname", TIP_LISTEN),
    ("--bind", TIP_LISTEN),
    ("--addr", TIP_LISTEN),
    ("--api-key", TIP_CLIENT_KEYS),
    ("--model-id", TIP_MODEL),
    ("--model", TIP_MODEL),
    ("--log-level", TIP_LOG_FILTER),
    ("--verbose", TIP_LOG_FILTER),
    ("-v", TIP_LOG_FILTER),
    ("--debug", TIP_LOG_FILTER),
    ("--detailed_debug", TIP_LOG_FILTER),
    ("--json-output", "set RERANKD__TELEMETRY__LOG_FORMAT=json, or telemetry.log_format"),
];

/// The same error, with a tip if it is about one of [`FOREIGN_FLAGS`].
pub(super) fn with_tip(mut error: clap::Error) -> clap::Error {
    let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg) else { return error };
    let Some((_, tip)) = FOREIGN_FLAGS.iter().find(|(foreign, _)| foreign == flag) else { return error };
    // Instead of a guess by letters.
    error.remove(ContextKind::SuggestedArg);
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(*tip)]));
    error
}
