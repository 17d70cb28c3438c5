//! From a reply with a success status to scores, or to a sentence that says why there are none.

use super::call::Scores;
use super::error::UpstreamError;
use crate::error::ErrorKind;
use crate::provider::{EXPLAINED_BYTES, Provider, ScoreScale, WireReply, explain};
use crate::rerank::merge::{MergeError, merge};

/// Decodes a successful reply to a call of `sent` passages and holds it against what was sent.
///
/// # Errors
/// What is wrong with the reply, in words that quote nothing of it.
pub(crate) fn read_scores(
    provider: &dyn Provider,
    reply: &WireReply,
    sent: usize,
    scale: ScoreScale,
) -> Result<Scores, UpstreamError> {
    let nonsense = |what: String| UpstreamError {
        said: explain(&reply.body).map(Box::new),
        ..UpstreamError::passing(ErrorKind::UpstreamInvalidReply, what)
    };
    let decoded = provider.decode(reply).map_err(|error| {
        // The parser's own message may quote the reply; its place and class do not.
        let kind = kind_of_body(&reply.body);
        nonsense(format!("sent {kind}, not its documented shape (line {}, column {})", error.line(), error.column()))
    })?;
    let scores = merge(&decoded.scores, sent, scale).map_err(|error| {
        let what = format!("sent scores that do not fit: {error}");
        match error {
            // The model would say the same again, for money.
            MergeError::OffScale { scale, .. } => {
                let what = format!("{what}{}", way_out(provider, scale));
                UpstreamError { retryable: false, ..nonsense(what) }
            }
            _ => nonsense(what),
        }
    })?;
    Ok(Scores { scores, tokens: decoded.tokens, search_units: decoded.search_units })
}

/// What to do about scores that are not on the scale that is declared for their model.
fn way_out(provider: &dyn Provider, scale: ScoreScale) -> String {
    match scale {
        ScoreScale::Logit | ScoreScale::Unknown => String::new(),
        _ => format!(
            ", as a {0} must be; if the model gives other scores declare its scale (\"logit\", \"unknown\") in [providers.{1}.models.\"NAME\"]",
            scale.name(),
            provider.name()
        ),
    }
}

/// What a body that holds no scores is instead, by its beginning: the address may be that of something else.
fn kind_of_body(body: &[u8]) -> &'static str {
    let head = &body[..body.len().min(EXPLAINED_BYTES)];
    let holds = |words: &[u8]| memchr::memmem::find(head, words).is_some();
    let first = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).iter().find(|byte| !byte.is_ascii_whitespace());
    match first {
        None => "an empty body",
        Some(b'<') => "a page of HTML or XML",
        Some(b'{' | b'[') if holds(b"\"embedding") => "embeddings",
        Some(b'{' | b'[') if holds(b"\"choices\"") => "a chat completion",
        Some(b'{') => "a JSON object",
        Some(b'[') => "a JSON list",
        Some(_) => "a body",
    }
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
                "sent embeddings, not its documented shape (line 1, column 67)",
            ),
            (r#"{"secret":1}"#, "sent a JSON object, not its documented shape (line 1, column 12)"),
            ("secret", "sent a body, not its documented shape (line 1, column 1)"),
        ] {
            let reply = WireReply { body: body.into(), ..WireReply::default() };
            let provider = crate::provider::by_name("jina").unwrap();
            let error = read_scores(provider, &reply, 1, ScoreScale::Unknown).unwrap_err();
            assert_eq!(error.what, detail, "{body}");
        }
    }
}
