//! Inbound wire shapes.
//!
//! The mirror of `provider/`: a dialect is three pure functions between bytes and the pipeline's own types. Any dialect meets any
//! provider, because both only know [`RerankRequest`] and [`RerankResponse`].

pub mod native;
pub mod problem;
mod raw;

use bytes::Bytes;
use bytestring::ByteString;
use http::HeaderValue;

use crate::error::Error;
use crate::rerank::request::RerankRequest;
use crate::rerank::response::RerankResponse;

/// One inbound wire shape.
pub trait Dialect: Send + Sync {
    /// Name in metrics.
    fn name(&self) -> &'static str;

    /// What the body asks for. Texts without escapes are slices of the body.
    ///
    /// # Errors
    /// `invalid_json` or `invalid_request`; the message never quotes the body.
    fn decode(&self, body: &ByteString) -> Result<RerankRequest, Error>;

    /// The body of an answer.
    fn encode(&self, request_id: &str, request: &RerankRequest, response: &RerankResponse) -> Bytes;

    /// The body of an error, with its content type.
    fn encode_error(&self, request_id: &str, error: &Error) -> (HeaderValue, Bytes);
}
