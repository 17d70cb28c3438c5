//! Which dialect a request speaks.
//!
//! In this order: what the request says outright (a path prefix such as `/voyage/…`, the header `X-Rerank-Dialect`, Pinecone's version
//! header), what is bound to the caller's key, what the body's fields give away, what is usual at the path. The first two are
//! for what the body cannot settle: clients of Infinity and of vLLM send the same bytes to the same path and want different answers.

use http::{HeaderMap, HeaderName};

use super::fields::Fields;
use super::{
    DIALECTS, Dialect, by_name, dashscope, deepinfra, infinity, jina, mixedbread, nvidia, pinecone, tei, voyage,
    weaviate,
};
use crate::error::Error;

/// Names the dialect of a request.
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
        if self.prefix.is_some() {
            return Ok(self.prefix);
        }
        if let Some(value) = headers.get(DIALECT_HEADER) {
            let named = value.to_str().ok().and_then(|name| by_name(&name.to_ascii_lowercase()));
            return named.map(Some).ok_or_else(|| {
                let message = format!("the header {DIALECT_HEADER} names no dialect; known are {}", names().join(", "));
                Error::invalid_field("", message)
            });
        }
        let pinecone: Option<&'static dyn Dialect> =
            headers.contains_key(PINECONE_HEADER).then_some(&pinecone::Pinecone);
        Ok(pinecone.or(bound))
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
    let has = |name| fields.has(name);
    Some(match () {
        () if has("passages") => &nvidia::Nvidia,
        () if has("texts") => &tei::Tei,
        () if fields.is_object("input") => &dashscope::DashScope,
        () if has("input") => &mixedbread::Mixedbread,
        () if has("queries") => &deepinfra::DeepInfra,
        // What follows are shades of `documents`.
        () if !has("documents") => return None,
        // Weaviate always writes `property`, and never a model.
        () if has("property") && !has("model") => &weaviate::Weaviate,
        () if has("raw_scores") => &infinity::INFINITY,
        () if has("top_k") || has("truncation") => &voyage::VOYAGE,
        () => return None,
    })
}
