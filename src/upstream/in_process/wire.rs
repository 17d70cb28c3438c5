//! The wire format of calls to the model in this process, as if it were a provider: `{"query": …, "passages": […]}`
//! goes in, `{"scores": […]}` comes out.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::provider::{Decoded, Provider, ScoreBatch, WireReply};

/// The provider of that format.
#[derive(Debug)]
pub(super) struct LocalWire;

/// The body of a call.
#[derive(Serialize, Deserialize)]
pub(super) struct Pairs<'a> {
    #[serde(borrow)]
    pub(super) query: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) passages: Vec<Cow<'a, str>>,
}

/// The body of a reply: a score for each passage, in their order.
#[derive(Serialize, Deserialize)]
pub(super) struct Reply {
    pub(super) scores: Vec<f64>,
}

impl Provider for LocalWire {
    fn name(&self) -> &'static str {
        crate::local::NAME
    }

    fn path(&self) -> &'static str {
        ""
    }

    fn encode(&self, batch: &ScoreBatch<'_>) -> Vec<u8> {
        let passages = batch.passages.iter().map(|&passage| passage.into()).collect();
        crate::provider::json_body(&Pairs { query: batch.query.into(), passages }, &batch.passages)
    }

    fn decode(&self, reply: &WireReply) -> Result<Decoded, serde_json::Error> {
        let Reply { scores } = serde_json::from_slice(&reply.body)?;
        Ok(Decoded { scores: (0..).zip(scores).collect(), ..Decoded::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::request::ScoringOptions;

    #[test]
    fn what_goes_in_comes_out() {
        let options = ScoringOptions::default();
        let batch = ScoreBatch { model: "", query: "q\n", passages: vec!["a", "\"b\"", ""], options: &options };
        let body = LocalWire.encode(&batch);
        let pairs: Pairs<'_> = serde_json::from_slice(&body).unwrap();
        assert_eq!((&*pairs.query, &pairs.passages[..]), ("q\n", &["a".into(), "\"b\"".into(), Cow::from("")][..]));
        let reply = serde_json::to_vec(&Reply { scores: vec![0.1, 1e-300] }).unwrap();
        let reply = WireReply { body: reply.into(), ..WireReply::default() };
        assert_eq!(LocalWire.decode(&reply).unwrap().scores, [(0, 0.1), (1, 1e-300)]);
    }
}
