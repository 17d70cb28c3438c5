//! Scores from a reply with a success status, or an error that says why it holds none.

use super::call::Scores;
use super::error::UpstreamError;
use super::error_texts;
use crate::error::ErrorKind;
use crate::provider::check::{MergeError, merge};
use crate::provider::{DecodeError, EXPLAINED_BYTES, ScoreScale, Wire, WireReply, explain};
use crate::text::bytes_without_mark;

/// Decodes a successful reply and checks its scores against the call.
///
/// # Errors
/// [`ErrorKind::UpstreamInvalidReply`]. Its message quotes nothing of the reply.
pub(super) fn read_scores(wire: &Wire, reply: &WireReply, scale: ScoreScale) -> Result<Scores, UpstreamError> {
    let decoded = match wire.decode(reply) {
        Ok(decoded) => decoded,
        Err(DecodeError::Shape { mismatch, line, column }) => {
            let what = error_texts::other_shape(kind_of_body(&reply.body), mismatch.as_deref(), line, column);
            return Err(invalid_reply(reply, what));
        }
        Err(DecodeError::Failure) => {
            // Rejected, unless the provider's rules or words say otherwise (`failure_rules`).
            let refused = UpstreamError::lasting(ErrorKind::UpstreamRejected, error_texts::FAILED_WITH_SUCCESS);
            return Err(UpstreamError { said: explain(&reply.body).map(Box::new), ..refused });
        }
    };
    let scores = match merge(&decoded.scores, reply.passages, scale) {
        Ok(scores) => scores,
        Err(error) => {
            let mut what = error_texts::scores_do_not_fit(&error);
            let MergeError::OffScale { scale: declared, .. } = error else { return Err(invalid_reply(reply, what)) };
            what.push_str(&error_texts::advice_on_scale(&wire.setting(), declared));
            // Not retried: the model would give the same scores again, for money.
            return Err(UpstreamError { retryable: false, ..invalid_reply(reply, what) });
        }
    };
    Ok(Scores {
        scores,
        tokens: decoded.tokens,
        search_units: decoded.search_units,
        cost_usd: decoded.cost_usd,
        model_version: decoded.model_version,
    })
}

/// The retryable error for a reply without usable scores.
fn invalid_reply(reply: &WireReply, what: String) -> UpstreamError {
    UpstreamError {
        said: explain(&reply.body).map(Box::new),
        ..UpstreamError::passing(ErrorKind::UpstreamInvalidReply, what)
    }
}

/// The kind of a body without scores, judged by its beginning. The address may be that of another service.
fn kind_of_body(body: &[u8]) -> &'static str {
    let head = &body[..body.len().min(EXPLAINED_BYTES)];
    let first = bytes_without_mark(head).iter().find(|byte| !byte.is_ascii_whitespace());
    match first {
        None => "an empty body",
        Some(b'<') => "a page of HTML or XML",
        Some(b'{' | b'[') if holds(head, "\"embedding") => "embeddings",
        Some(b'{' | b'[') if holds(head, "\"choices\"") => "a chat completion",
        Some(b'{') => "a JSON object",
        Some(b'[') => "a JSON list",
        Some(_) => "a body",
    }
}

fn holds(head: &[u8], words: &str) -> bool {
    memchr::memmem::find(head, words.as_bytes()).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_instead_of_scores_is_named_and_not_quoted() {
        for (body, detail) in [
            ("", "sent an empty body, not its documented shape (line 1, column 0)"),
            (" <html>secret</html>", "sent a page of HTML or XML, not its documented shape (line 1, column 2)"),
            (
                r#"{"object":"list","data":[{"object":"embedding","embedding":[0.1]}]}"#,
                "sent embeddings, not its documented shape: /results is missing (line 1, column 67)",
            ),
            (
                r#"{"secret":1}"#,
                "sent a JSON object, not its documented shape: /results is missing (line 1, column 12)",
            ),
            (
                r#"{"results":[{"index":0,"relevance_score":"secret"}]}"#,
                "sent a JSON object, not its documented shape: /results[0]/relevance_score is no number \
                 (line 1, column 50)",
            ),
            (
                r#"{"results":{"secret":1}}"#,
                "sent a JSON object, not its documented shape: /results is no list (line 1, column 11)",
            ),
            ("secret", "sent a body, not its documented shape (line 1, column 1)"),
        ] {
            let reply = WireReply { body: body.into(), passages: 1, ..WireReply::default() };
            let error = read_scores(&Wire::like_cohere(), &reply, ScoreScale::Unknown).unwrap_err();
            assert_eq!(error.what, detail, "{body}");
        }
    }
}
