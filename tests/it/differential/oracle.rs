//! The expected answer: the text of each document, its score, the order, the cut. Written from the documentation, not
//! from the code.

use serde_json::Value;

use super::question::{Content, Document, Question};
use super::world::{Scale, Setting};
use crate::support::score_of;

/// A document with its score, which is `None` if no model gave one and the scale has no floor.
#[derive(Clone, Debug)]
pub(super) struct Ranked {
    pub(super) position: usize,
    pub(super) score: Option<f64>,
}

impl Document {
    /// The text that is scored.
    pub(super) fn scored_text(&self, rank_fields: &[&str]) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Object { id, content } => content.scored_text(id.as_ref(), rank_fields),
        }
    }
}

impl Content {
    fn scored_text(&self, id: Option<&Value>, rank_fields: &[&str]) -> String {
        match self {
            Self::Text(text) | Self::Page(text) => text.clone(),
            Self::Parts(parts) => parts.join("\n"),
            Self::Fields(fields) if rank_fields.is_empty() => {
                // The whole object, its id too: a line for each field that is not empty.
                let id = id.map(|id| ("id", id.as_str().map_or_else(|| id.to_string(), str::to_owned)));
                let filled = fields.iter().cloned().chain(id).filter(|(_, value)| !value.is_empty());
                filled.map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join("\n")
            }
            Self::Fields(fields) => {
                let mut names: Vec<&str> = Vec::new();
                for name in rank_fields {
                    if !names.contains(name) {
                        names.push(name);
                    }
                }
                let value =
                    |name: &&str| fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
                names.iter().filter_map(value).collect::<Vec<_>>().join("\n")
            }
        }
    }
}

impl Question {
    /// The scored texts, in input order.
    pub(super) fn texts(&self) -> Vec<String> {
        self.documents.iter().map(|document| document.scored_text(&self.rank_fields)).collect()
    }

    /// The query as the upstream reads it.
    pub(super) fn upstream_query(&self, setting: &Setting) -> String {
        match &self.instruction {
            Some(instruction) if setting.is_instructed => format!("{instruction}\n{}", self.query),
            _ => self.query.clone(),
        }
    }

    /// Everything of a pair's identity but its passage.
    pub(super) fn identity(&self) -> String {
        format!("{:?} {:?} {:?}", self.instruction, self.max_tokens, self.query)
    }
}

/// True if a text is not sent to the provider.
pub(super) fn is_kept_back(setting: &Setting, text: &str) -> bool {
    setting.rejects_blanks && text.trim().is_empty()
}

/// All documents, best first; ties in input order, and behind them the blanks that nobody scored.
pub(super) fn ranking(setting: &Setting, question: &Question) -> Vec<Ranked> {
    let query = question.upstream_query(setting);
    let floor = (setting.scale == Scale::Probability).then_some(0.0);
    let mut scored = Vec::new();
    let mut blank = Vec::new();
    for (position, text) in question.texts().iter().enumerate() {
        if is_kept_back(setting, text) {
            blank.push(Ranked { position, score: floor });
        } else {
            scored.push(Ranked { position, score: Some(score_of(&query, text)) });
        }
    }
    scored.sort_by(|left, right| right.score.unwrap().total_cmp(&left.score.unwrap()));
    scored.extend(blank);
    scored
}
