//! The choice of the dialect that a request speaks.
//!
//! In this order: the dialect that the request names (a path prefix such as `/voyage/…`, the header
//! `X-Rerank-Dialect`, Pinecone's version header), the dialect bound to the caller's key, the one that the body's
//! fields give away, and the usual one at the path. The first two settle what the body cannot: clients of Infinity and
//! of vLLM send the same bytes to the same path and want different answers.

use http::{HeaderMap, HeaderName};

use super::fields::Fields;
use super::{
    DIALECTS, Dialect, by_name, dashscope, deepinfra, infinity, jina, mixedbread, native, nvidia, pinecone, tei,
    voyage, weaviate,
};
use crate::error::{Error, ErrorKind};

/// Header that names the dialect of a request. In an answer, the dialect that the request was read in.
pub const DIALECT_HEADER: HeaderName = HeaderName::from_static("x-rerank-dialect");
/// Header that every client of Pinecone sends.
const PINECONE_HEADER: HeaderName = HeaderName::from_static("x-pinecone-api-version");

/// The hints at a request's dialect that its path gives.
#[derive(Clone, Copy, Debug)]
pub struct DialectHints {
    /// The dialect that the path's prefix names.
    pub prefix: Option<&'static dyn Dialect>,
    /// The dialect that is usual at the path.
    pub usual: &'static dyn Dialect,
}

impl DialectHints {
    /// The dialect that applies whatever the body holds: the one that the request names, or the one `bound` to its key.
    ///
    /// # Errors
    /// `invalid_request` if the header names no dialect.
    pub fn fixed(
        &self,
        headers: &HeaderMap,
        bound: Option<&'static dyn Dialect>,
    ) -> Result<Option<&'static dyn Dialect>, Error> {
        if let Some(named) = self.prefix {
            return Ok(Some(self.at_path(named)));
        }
        // A template whose variable is not set sends a blank header, which counts as absent.
        if let Some(value) = headers.get(DIALECT_HEADER)
            && !value.as_bytes().trim_ascii().is_empty()
        {
            if let Ok(name) = value.to_str()
                && let Some(named) = by_name(&name.to_ascii_lowercase())
            {
                return Ok(Some(self.at_path(named)));
            }
            let message = format!("the header {DIALECT_HEADER} names no dialect; known are {}", names().join(", "));
            return Err(Error::new(ErrorKind::InvalidRequest, message));
        }
        if headers.contains_key(PINECONE_HEADER) {
            return Ok(Some(&pinecone::Pinecone));
        }
        Ok(bound.map(|dialect| self.at_path(dialect)))
    }

    /// The form of a dialect at this path. Only the native dialect has two.
    fn at_path(&self, named: &'static dyn Dialect) -> &'static dyn Dialect {
        match (named.name() == native::BARE.name(), self.usual.name() == native::BARE.name()) {
            (true, true) => self.usual,
            (true, false) => &native::VERSIONED,
            (false, _) => named,
        }
    }

    /// The dialect of errors that are answered before the body is read.
    #[must_use]
    pub fn best_guess(&self, headers: &HeaderMap, bound: Option<&'static dyn Dialect>) -> &'static dyn Dialect {
        match self.fixed(headers, bound) {
            Ok(Some(dialect)) => dialect,
            // Even the error about the header needs a dialect to be written in.
            Ok(None) | Err(_) => self.usual,
        }
    }

    /// The dialect of a request without a fixed one.
    #[must_use]
    pub fn of_body(&self, fields: &Fields<'_>) -> &'static dyn Dialect {
        if let Some(dialect) = infer_from_fields(fields) {
            return dialect;
        }
        // llama.cpp also serves its `/rerank` at the path that is usual for Mixedbread.
        if self.usual.name() == mixedbread::Mixedbread.name() && fields.has("documents") {
            return &jina::JINA;
        }
        self.usual
    }
}

/// The names of all dialects, in the order of [`DIALECTS`].
#[must_use]
pub fn names() -> Vec<&'static str> {
    DIALECTS.map(Dialect::name).to_vec()
}

/// The dialect whose clients alone send fields such as these. `None` if several do.
fn infer_from_fields(fields: &Fields<'_>) -> Option<&'static dyn Dialect> {
    if fields.has_value("passages") {
        return Some(&nvidia::Nvidia);
    }
    if fields.has_value("texts") {
        return Some(&tei::Tei);
    }
    if fields.is_object("input") {
        return Some(&dashscope::DashScope);
    }
    if fields.has_value("input") {
        return Some(&mixedbread::Mixedbread);
    }
    if fields.has_value("queries") {
        return Some(&deepinfra::DeepInfra);
    }
    if !fields.has_value("documents") {
        return None;
    }
    // The dialects with `documents` differ in fields that their clients write even as `null`.
    if fields.has("property") && !fields.has_value("model") {
        // Weaviate always writes `property`, and never a model.
        return Some(&weaviate::Weaviate);
    }
    if fields.has("raw_scores") {
        return Some(&infinity::INFINITY);
    }
    if fields.has("top_k") || fields.has("truncation") {
        return Some(&voyage::VOYAGE);
    }
    None
}

#[cfg(test)]
mod tests {
    use bytestring::ByteString;
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_fields_of_a_body_give_its_dialect_away() {
        let bare = DialectHints { prefix: None, usual: &native::BARE };
        let told = |signs: &DialectHints, body: &str| {
            let body = ByteString::from(body.to_owned());
            signs.of_body(&Fields::read(&body).unwrap()).name()
        };
        for (body, expected) in [
            (r#"{"query":"q","documents":[]}"#, "native"),
            (r#"{"passages":[],"texts":[]}"#, "nvidia"),
            (r#"{"texts":[],"raw_scores":false}"#, "tei"),
            (r#"{"input":{"query":"q"}}"#, "dashscope"),
            (r#"{"input":["a"],"top_k":1}"#, "mixedbread"),
            (r#"{"queries":["a"],"documents":[]}"#, "deepinfra"),
            (r#"{"documents":[],"property":""}"#, "weaviate"),
            (r#"{"documents":[],"property":"","model":"m"}"#, "native"),
            (r#"{"documents":[],"raw_scores":false,"top_k":1}"#, "infinity"),
            (r#"{"documents":[],"top_k":null}"#, "voyage"),
            (r#"{"documents":[],"truncation":true}"#, "voyage"),
            (r#"{"query":"q","top_k":1}"#, "native"),
            (r#"{"documents":[],"texts":null,"passages":null,"input":null,"queries":null}"#, "native"),
        ] {
            assert_eq!(told(&bare, body), expected, "{body}");
        }
        let reranking = DialectHints { prefix: None, usual: &mixedbread::Mixedbread };
        assert_eq!(told(&reranking, r#"{"query":"q","documents":[]}"#), "jina");
        assert_eq!(told(&reranking, r#"{"query":"q"}"#), "mixedbread");
    }

    #[test]
    fn what_is_said_outright_goes_before_what_is_bound_to_the_key() {
        let headers = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            headers
        };
        let bare = DialectHints { prefix: None, usual: &native::BARE };
        let below = DialectHints { prefix: Some(&tei::Tei), ..bare };
        let named = headers(&[("x-rerank-dialect", "VLLM"), ("x-pinecone-api-version", "2026-04")]);
        let fixed =
            |signs: &DialectHints, headers: &HeaderMap, bound| signs.fixed(headers, bound).unwrap().map(Dialect::name);
        assert_eq!(fixed(&below, &named, Some(&voyage::VOYAGE)), Some("tei"));
        assert_eq!(fixed(&bare, &named, Some(&voyage::VOYAGE)), Some("vllm"));
        assert_eq!(fixed(&bare, &headers(&[("x-pinecone-api-version", "2026-04")]), None), Some("pinecone"));
        assert_eq!(fixed(&bare, &HeaderMap::new(), Some(&voyage::VOYAGE)), Some("voyage"));
        assert_eq!(fixed(&bare, &HeaderMap::new(), None), None);
        let error = bare.fixed(&headers(&[("x-rerank-dialect", "secret")]), None).unwrap_err();
        assert!(error.message.starts_with("the header x-rerank-dialect names no dialect; known are native, cohere, "));
        assert_eq!(bare.best_guess(&headers(&[("x-rerank-dialect", "secret")]), None).name(), "native");
    }
}
