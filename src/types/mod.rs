//! Types shared by all parts of rerankd: a request, its response, the facts about models, and the outcomes that are
//! counted. They are plain data, without a wire format.

pub mod facts;
pub mod index;
pub mod outcomes;
pub mod request;
pub mod response;
