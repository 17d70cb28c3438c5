//! Which dialect a request speaks.
//!
//! In this order: what the request says outright (a path prefix such as `/voyage/…`, the header `X-Rerank-Dialect`, Pinecone's version
//! header), what is bound to the caller's key, what the body's fields give away, what is usual at the path. The first two are
//! for what the body cannot settle: clients of Infinity and of vLLM send the same bytes to the same path and want different answers.

use http::{HeaderMap, HeaderName};

use super::fields::Fields;
use super::{
    DIALECTS, Dialect, by_name, dashscope, deepinfra, infinity, jina, mixedbread, native, nvidia, pinecone, tei,
    voyage, weaviate,
};
use crate::error::{Error, ErrorKind};

/// Names the dialect of a request, and in an answer the one that it was taken for.
pub const DIALECT_HEADER: HeaderName = HeaderName::from_static("x-rerank-dialect");
/// Sent by every client of Pinecone.
const PINECONE_HEADER: HeaderName = HeaderName::from_static("x-pinecone-api-version");

/// What is known of a request's dialect before its body is read.
#[derive(Clone, Copy, Debug)]
pub struct Signs {
    /// What the path's prefix says.
    pub prefix: Option<&'static dyn Dialect>,
    /// What is usual at the path.
    pub usual: &'static dyn Dialect,
}

impl Signs {
    /// The dialect that holds whatever the body is, if there is one.
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
        let named = headers.get(DIALECT_HEADER);
        // Blank is what a variable that is not set leaves.
        if let Some(value) = named.filter(|value| !value.as_bytes().trim_ascii().is_empty()) {
            let named = value.to_str().ok().and_then(|name| by_name(&name.to_ascii_lowercase()));
            return named.map(|named| Some(self.at_path(named))).ok_or_else(|| {
                let message = format!("the header {DIALECT_HEADER} names no dialect; known are {}", names().join(", "));
                Error::new(ErrorKind::InvalidRequest, message)
            });
        }
        let pinecone: Option<&'static dyn Dialect> =
            headers.contains_key(PINECONE_HEADER).then_some(&pinecone::Pinecone);
        Ok(pinecone.or(bound.map(|bound| self.at_path(bound))))
    }

    /// The native dialect has two forms, of which the path decides.
    fn at_path(&self, named: &'static dyn Dialect) -> &'static dyn Dialect {
        match (named.name() == native::BARE.name(), self.usual.name() == native::BARE.name()) {
            (true, true) => self.usual,
            (true, false) => &native::VERSIONED,
            (false, _) => named,
        }
    }

    /// The dialect of errors that come before the body is known.
    #[must_use]
    pub fn best_guess(&self, headers: &HeaderMap, bound: Option<&'static dyn Dialect>) -> &'static dyn Dialect {
        self.fixed(headers, bound).ok().flatten().unwrap_or(self.usual)
    }

    /// The dialect of a body where none is fixed.
    #[must_use]
    pub fn of_body(&self, fields: &Fields<'_>) -> &'static dyn Dialect {
        let usual_elsewhere = self.usual.name() == mixedbread::Mixedbread.name() && fields.has("documents");
        // llama.cpp's other name for its `/rerank`.
        let usual: &'static dyn Dialect = if usual_elsewhere { &jina::JINA } else { self.usual };
        given_away(fields).unwrap_or(usual)
    }
}

/// The names of all dialects.
#[must_use]
pub fn names() -> Vec<&'static str> {
    DIALECTS.map(Dialect::name).to_vec()
}

/// What the fields of a body give away.
fn given_away(fields: &Fields<'_>) -> Option<&'static dyn Dialect> {
    let (has, is_there) = (|name| fields.has_value(name), |name| fields.has(name));
    let dialect: &'static dyn Dialect = if has("passages") {
        &nvidia::Nvidia
    } else if has("texts") {
        &tei::Tei
    } else if fields.is_object("input") {
        &dashscope::DashScope
    } else if has("input") {
        &mixedbread::Mixedbread
    } else if has("queries") {
        &deepinfra::DeepInfra
    } else if !has("documents") {
        // What follows are shades of `documents`, told by fields that their clients write even as `null`.
        return None;
    } else if is_there("property") && !has("model") {
        // Weaviate always writes `property`, and never a model.
        &weaviate::Weaviate
    } else if is_there("raw_scores") {
        &infinity::INFINITY
    } else if is_there("top_k") || is_there("truncation") {
        &voyage::VOYAGE
    } else {
        return None;
    };
    Some(dialect)
}

#[cfg(test)]
mod tests {
    use bytestring::ByteString;
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_fields_of_a_body_give_its_dialect_away() {
        let bare = Signs { prefix: None, usual: &native::BARE };
        let told = |signs: &Signs, body: &str| {
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
        let reranking = Signs { prefix: None, usual: &mixedbread::Mixedbread };
        assert_eq!(told(&reranking, r#"{"query":"q","documents":[]}"#), "jina");
        assert_eq!(told(&reranking, r#"{"query":"q"}"#), "mixedbread");
    }

    #[test]
    fn what_is_said_outright_goes_before_what_is_bound_to_the_key() {
        let headers = |pairs: &[(&'static str, &'static str)]| {
            let pair = |(name, value): &(&'static str, &'static str)| {
                (HeaderName::from_static(name), HeaderValue::from_static(value))
            };
            pairs.iter().map(pair).collect::<HeaderMap>()
        };
        let bare = Signs { prefix: None, usual: &native::BARE };
        let below = Signs { prefix: Some(&tei::Tei), ..bare };
        let named = headers(&[("x-rerank-dialect", "VLLM"), ("x-pinecone-api-version", "2026-04")]);
        let fixed = |signs: &Signs, headers: &HeaderMap, bound| signs.fixed(headers, bound).unwrap().map(Dialect::name);
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
