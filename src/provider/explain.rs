//! The sentence in an upstream's error body.
//!
//! Providers disagree on where it stands, and one provider on several forms (Jina has three, Mixedbread two), so every documented
//! form is understood from every provider:
//!
//! ```text
//! {"message": "…"}                                    Cohere, Mixedbread
//! {"detail": "…"}                                     Voyage, Jina (authentication)
//! {"detail": {"message": "…"}}                        Jina (application)
//! {"detail": "…", "errors": [{"field", "message"}]}   Jina (validation)
//! {"detail": [{"loc": […], "msg": "…"}]}              Mixedbread and all of FastAPI
//! {"error": "…", "error_type": "…"}                   TEI
//! {"error": {"message": "…"}}                         vLLM, llama.cpp, Infinity
//! ```
//! What a validation error quotes of the input (`input`, `ctx`) is never read.

use serde_json::Value;

/// The message of an error body, its blanks as single spaces; `None` if there is none. May quote the request.
#[must_use]
pub fn explain(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let message = ["message", "detail", "error", "errors"].iter().find_map(|key| sentence(body.get(key)?))?;
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    (!line.is_empty()).then_some(line)
}

fn sentence(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Object(object) => {
            ["message", "msg"].iter().find_map(|key| object.get(*key)?.as_str().map(str::to_owned))
        }
        Value::Array(items) => {
            let sentences: Vec<_> = items.iter().filter_map(located).collect();
            (!sentences.is_empty()).then(|| sentences.join("; "))
        }
        _ => None,
    }
}

/// A validation error with the path of the field it is about.
fn located(item: &Value) -> Option<String> {
    let message = sentence(item)?;
    let path = item.get("loc").and_then(Value::as_array).map(|parts| {
        let part = |part: &Value| part.as_str().map_or_else(|| part.to_string(), str::to_owned);
        parts.iter().map(part).collect::<Vec<_>>().join(".")
    });
    let field = path.or_else(|| item.get("field")?.as_str().map(str::to_owned));
    Some(field.map_or_else(|| message.clone(), |field| format!("{field}: {message}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_form_is_understood() {
        let forms = [
            (r#"{"message":"invalid api token","id":"x"}"#, "invalid api token"),
            (r#"{"detail":"Please add your payment method"}"#, "Please add your payment method"),
            (r#"{"detail":{"message":"too long","request_id":"f","code":"INPUT_TOKEN_LIMIT_EXCEEDED"}}"#, "too long"),
            (
                r#"{"detail":"Validation errors in 1 field.","request_id":"f","errors":[{"field":"a","message":"b","input":"secret"}]}"#,
                "Validation errors in 1 field.",
            ),
            (
                r#"{"detail":[{"loc":["body","input",0],"msg":"Field required","input":"secret"}]}"#,
                "body.input.0: Field required",
            ),
            (r#"{"type":"bad_request_error","url":"u","message":"no","details":null}"#, "no"),
            (
                r#"{"error":"batch size 64 > maximum allowed batch size 32","error_type":"Validation"}"#,
                "batch size 64 > maximum allowed batch size 32",
            ),
            (r#"{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}"#, "Loading model"),
        ];
        for (body, message) in forms {
            assert_eq!(explain(body.as_bytes()).as_deref(), Some(message), "{body}");
        }
    }

    #[test]
    fn anything_else_is_silence() {
        for body in ["", "<html>502</html>", "[]", "{}", "null", r#"{"message":3}"#, r#"{"message":" "}"#, "\u{0}"] {
            assert_eq!(explain(body.as_bytes()), None, "{body}");
        }
    }
}
