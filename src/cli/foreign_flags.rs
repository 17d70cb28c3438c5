//! Flags that people bring along from other programs, with what to use instead.

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue};

const LISTEN: &str = "use --listen 127.0.0.1:8787";
const MODEL: &str = "models are configured: see [models] in the documentation; weights come by `rerankd model fetch`";
const LOG_FILTER: &str = "set RERANKD__TELEMETRY__LOG_FILTER=debug, or telemetry.log_filter";
const CLIENT_KEYS: &str = "set RERANKD__SERVER__API_KEYS='[\"env:APP_KEY\"]', or server.api_keys";

/// Each flag, and a tip in its place.
const FOREIGN_FLAGS: [(&str, &str); 15] = [
    ("--port", LISTEN),
    ("-p", LISTEN),
    ("--host", LISTEN),
    ("--hostname", LISTEN),
    ("--bind", LISTEN),
    ("--addr", LISTEN),
    ("--api-key", CLIENT_KEYS),
    ("--model-id", MODEL),
    ("--model", MODEL),
    ("--log-level", LOG_FILTER),
    ("--verbose", LOG_FILTER),
    ("-v", LOG_FILTER),
    ("--debug", LOG_FILTER),
    ("--detailed_debug", LOG_FILTER),
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
