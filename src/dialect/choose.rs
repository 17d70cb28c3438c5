//! The choice of the dialect that a request speaks.
//!
//! In this order: the dialect that the request names (a path prefix such as `/voyage/…`, the header
//! `X-Rerank-Dialect`, Pinecone's version header), the dialect bound to the caller's key, the one whose clients alone
//! send the body's fields, and the path's default. The first two settle what the body cannot: clients of Infinity and
//! of vLLM send the same bytes to the same path and want different answers.
//!
//! ```text
//! path, headers, key ─▶ DialectChoice::before_body ─▶ provisional: errors until the body is read
//!           fields of the body ─▶ after_body ─▶ the dialect of the request and its answer
//! ```

use http::{HeaderMap, HeaderName};
use rerankd_core::error::{Error, ErrorKind};

use super::fields::Fields;
use super::{
    DIALECTS, Dialect, by_name, dashscope, deepinfra, infinity, jina, mixedbread, native, nvidia, pinecone, tei,
    voyage, weaviate,
};

/// Header that names the dialect of a request. In an answer, the dialect that the request was read in.
pub const DIALECT_HEADER: HeaderName = HeaderName::from_static("x-rerank-dialect");
/// Header that every client of Pinecone sends.
const PINECONE_HEADER: HeaderName = HeaderName::from_static("x-pinecone-api-version");

/// The dialects that a path stands for.
#[derive(Clone, Copy, Debug)]
pub struct PathDialects {
    /// The dialect that a segment before the endpoint names, as in `/voyage/v1/rerank`.
    pub prefix: Option<&'static dyn Dialect>,
    /// The dialect of a request to this path that names none.
    pub default: &'static dyn Dialect,
}

/// The choice of a request's dialect: made once from path, headers and key, and completed by the fields of the body.
#[derive(Clone, Copy, Debug)]
pub struct DialectChoice {
    dialect: &'static dyn Dialect,
    basis: Basis,
}

/// The reason for a choice, which decides if the body may change it.
#[derive(Clone, Copy, Debug)]
enum Basis {
    /// The request names the dialect, or the caller's key is bound to it. It holds whatever the body is.
    Explicit,
    /// The dialect is the path's default. A body with fields that only clients of one other dialect send changes it.
    PathDefault,
    /// The dialect is the path's default, because the header's value is no dialect: the request must be refused.
    UnknownName,
}

impl DialectChoice {
    /// Chooses by everything that is known before the body. `bound` is the dialect bound to the caller's key.
    #[must_use]
    pub fn before_body(path: PathDialects, headers: &HeaderMap, bound: Option<&'static dyn Dialect>) -> Self {
        if let Some(named) = path.prefix {
            return Self::explicit(named, path);
        }
        // A template whose variable is not set sends a blank header, which counts as absent.
        if let Some(value) = headers.get(DIALECT_HEADER)
            && !value.as_bytes().trim_ascii().is_empty()
        {
            if let Ok(name) = value.to_str()
                && let Some(named) = by_name(&name.to_ascii_lowercase())
            {
                return Self::explicit(named, path);
            }
            // Even the error about the header needs a dialect to be written in.
            return Self { dialect: path.default, basis: Basis::UnknownName };
        }
        if headers.contains_key(PINECONE_HEADER) {
            return Self::explicit(&pinecone::Pinecone, path);
        }
        match bound {
            Some(bound) => Self::explicit(bound, path),
            None => Self { dialect: path.default, basis: Basis::PathDefault },
        }
    }

    /// The choice of `named`. The native dialect has two forms, and the path decides which.
    fn explicit(named: &'static dyn Dialect, path: PathDialects) -> Self {
        let is_native = named.name() == native::BARE.name();
        let is_native_path = path.default.name() == native::BARE.name();
        let dialect: &'static dyn Dialect = match (is_native, is_native_path) {
            (true, true) => path.default,
            (true, false) => &native::VERSIONED,
            (false, _) => named,
        };
        Self { dialect, basis: Basis::Explicit }
    }

    /// The dialect for errors that are written before the body is read.
    #[must_use]
    pub fn provisional(self) -> &'static dyn Dialect {
        self.dialect
    }

    /// Checks that the header names a dialect, if there is one.
    ///
    /// # Errors
    /// `invalid_request` with the names of all dialects.
    pub fn check(self) -> Result<(), Error> {
        if !matches!(self.basis, Basis::UnknownName) {
            return Ok(());
        }
        let message = format!("the header {DIALECT_HEADER} names no dialect; known are {}", names().join(", "));
        Err(Error::new(ErrorKind::InvalidRequest, message))
    }

    /// The dialect of the request, now that the fields of its body are known.
    #[must_use]
    pub fn after_body(self, fields: &Fields<'_>) -> &'static dyn Dialect {
        if !matches!(self.basis, Basis::PathDefault) {
            return self.dialect;
        }
        if let Some(dialect) = infer_from_fields(fields) {
            return dialect;
        }
        // llama.cpp also serves its `/rerank` at the path whose default is Mixedbread.
        if self.dialect.name() == mixedbread::Mixedbread.name() && fields.has_key("documents") {
            return &jina::JINA;
        }
        self.dialect
    }
}

/// The names of all dialects, in the order of [`DIALECTS`].
#[must_use]
pub fn names() -> Vec<&'static str> {
    DIALECTS.map(Dialect::name).to_vec()
}

/// The dialect whose clients alone send fields such as these. `None` if several do.
fn infer_from_fields(fields: &Fields<'_>) -> Option<&'static dyn Dialect> {
    // Names of the passages first, because only these are a dialect's own: TEI's clients send `raw_scores` too, and
    // Mixedbread's `top_k`.
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
    if fields.has_key(weaviate::PROPERTY.path) && !fields.has_value("model") {
        // Weaviate always writes `property`, and never a model.
        return Some(&weaviate::Weaviate);
    }
    if fields.has_key("raw_scores") {
        return Some(&infinity::INFINITY);
    }
    if fields.has_key("top_k") || fields.has_key("truncation") {
        return Some(&voyage::VOYAGE);
    }
    None
}

#[cfg(test)]
mod tests {
    use faststr::FastStr;
    use http::HeaderValue;

    use super::*;

    const BARE: PathDialects = PathDialects { prefix: None, default: &native::BARE };

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    /// The name of the dialect that a body without headers is read in.
    fn read_at(path: PathDialects, body: &str) -> &'static str {
        let body = FastStr::new(body);
        let fields = Fields::read(&body).unwrap();
        DialectChoice::before_body(path, &HeaderMap::new(), None).after_body(&fields).name()
    }

    /// The name of the dialect that holds whatever the body is, if there is one.
    fn explicit(path: PathDialects, headers: &HeaderMap, bound: Option<&'static dyn Dialect>) -> Option<&'static str> {
        let choice = DialectChoice::before_body(path, headers, bound);
        choice.check().unwrap();
        matches!(choice.basis, Basis::Explicit).then(|| choice.provisional().name())
    }

    #[test]
    fn the_fields_of_a_body_give_its_dialect_away() {
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
            assert_eq!(read_at(BARE, body), expected, "{body}");
        }
        let reranking = PathDialects { prefix: None, default: &mixedbread::Mixedbread };
        assert_eq!(read_at(reranking, r#"{"query":"q","documents":[]}"#), "jina");
        assert_eq!(read_at(reranking, r#"{"query":"q"}"#), "mixedbread");
    }

    #[test]
    fn what_is_said_outright_goes_before_what_is_bound_to_the_key() {
        let below = PathDialects { prefix: Some(&tei::Tei), ..BARE };
        let named = headers(&[("x-rerank-dialect", "VLLM"), ("x-pinecone-api-version", "2026-04")]);
        assert_eq!(explicit(below, &named, Some(&voyage::VOYAGE)), Some("tei"));
        assert_eq!(explicit(BARE, &named, Some(&voyage::VOYAGE)), Some("vllm"));
        assert_eq!(explicit(BARE, &headers(&[("x-pinecone-api-version", "2026-04")]), None), Some("pinecone"));
        assert_eq!(explicit(BARE, &HeaderMap::new(), Some(&voyage::VOYAGE)), Some("voyage"));
        assert_eq!(explicit(BARE, &HeaderMap::new(), None), None);
        let unknown = DialectChoice::before_body(BARE, &headers(&[("x-rerank-dialect", "secret")]), None);
        let error = unknown.check().unwrap_err();
        assert!(error.message.starts_with("the header x-rerank-dialect names no dialect; known are native, cohere, "));
        assert_eq!(unknown.provisional().name(), "native");
    }

    #[test]
    fn a_body_does_not_change_a_dialect_that_is_named() {
        let body = FastStr::from_static_str(r#"{"texts":[]}"#);
        let fields = Fields::read(&body).unwrap();
        let named = DialectChoice::before_body(BARE, &headers(&[("x-rerank-dialect", "vllm")]), None);
        assert_eq!(named.after_body(&fields).name(), "vllm");
    }
}
