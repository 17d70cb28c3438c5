//! A collection while it is being read.

use std::collections::HashMap;

use faststr::FastStr;

use super::{Collection, JudgedQuery, LeftOut, PassageRecord};

/// The contents of an input, before candidates are chosen.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) passages: Corpus,
    pub(super) queries: Vec<JudgedQuery>,
    /// Indices into `queries`, by id.
    query_indices: HashMap<String, usize>,
    /// File of the judgments; `None` where the data file holds them too.
    pub(super) judgments: Option<String>,
    /// Origin of the candidates, in words; `None` if there are none yet.
    pub(super) first_stage: Option<String>,
    /// True if the input or a run has the order of the candidates, which BM25 then does not decide.
    pub(super) has_given_order: bool,
    pub(super) left_out: LeftOut,
}

/// The passages of the corpus, by place and by id.
#[derive(Default)]
pub(super) struct Corpus {
    /// In the order of the corpus: a place is an index into this list. It only grows, so places stay valid.
    pub(super) records: Vec<PassageRecord>,
    /// Places by id. Ids share their bytes with `records`.
    places: HashMap<FastStr, usize>,
}

impl Corpus {
    /// All texts, in the order of their places.
    pub(super) fn texts(&self) -> Vec<&str> {
        self.records.iter().map(|record| &*record.text).collect()
    }

    /// Adds a passage and returns its place. One that is there already, with the same text, is not added again.
    ///
    /// # Errors
    /// The id is empty, or another text has it.
    pub(super) fn add(&mut self, id: &str, text: FastStr) -> Result<usize, String> {
        if id.is_empty() {
            return Err("the id of a passage is empty".to_owned());
        }
        if let Some(&place) = self.places.get(id) {
            if self.records[place].text == text {
                return Ok(place);
            }
            return Err("an earlier passage has the same id and another text".to_owned());
        }
        let id = FastStr::new(id);
        let place = self.records.len();
        self.places.insert(id.clone(), place);
        self.records.push(PassageRecord { id, text });
        Ok(place)
    }

    /// The place of the passage with this id.
    pub(super) fn place(&self, id: &str) -> Option<usize> {
        self.places.get(id).copied()
    }
}

impl Draft {
    /// An empty draft of the collection `name`.
    pub(super) fn new(name: String) -> Self {
        Self { name, ..Self::default() }
    }

    /// Adds a query.
    ///
    /// # Errors
    /// Its id is empty, or an earlier query has it.
    pub(super) fn add_query(&mut self, query: JudgedQuery) -> Result<(), String> {
        if query.id.is_empty() {
            return Err("the id of a query is empty".to_owned());
        }
        if self.query_indices.insert(query.id.clone(), self.queries.len()).is_some() {
            return Err("an earlier query has the same id".to_owned());
        }
        self.queries.push(query);
        Ok(())
    }

    /// The index in `queries` of the query with this id. Valid until [`Self::finish`], which leaves queries out.
    pub(super) fn query_index(&self, id: &str) -> Option<usize> {
        self.query_indices.get(id).copied()
    }

    /// The collection, without what cannot be evaluated.
    pub(super) fn finish(mut self) -> Collection {
        let passages = &self.passages;
        let has_given_order = self.has_given_order;
        let left_out = &mut self.left_out;
        self.queries.retain_mut(|query| {
            if query.judgments.is_empty() {
                left_out.unjudged_queries += 1;
                return false;
            }
            for id in query.judgments.keys() {
                if passages.place(id).is_none() {
                    left_out.judgments_of_unknown_passages.note(id);
                }
            }
            if query.candidates.is_empty() {
                left_out.queries_without_candidates += 1;
            }
            if has_given_order && query.is_sorted_by_grade(&passages.records) {
                left_out.queries_sorted_by_grade += 1;
            }
            // An input without groups needs every relevant passage: each is a group of its own.
            if query.groups.is_empty() {
                for (id, &grade) in &query.judgments {
                    if grade > 0 {
                        query.groups.push(vec![id.clone()]);
                    }
                }
            }
            true
        });
        Collection {
            name: self.name,
            passages: self.passages.records,
            queries: self.queries,
            judgments: self.judgments,
            first_stage: self.first_stage.unwrap_or_default(),
            left_out: self.left_out,
        }
    }
}

/// A title and a text as BEIR shows them to a model: joined by a blank, with none around.
pub(super) fn titled(title: &str, text: &str) -> FastStr {
    let title = title.trim();
    let text = text.trim();
    match (title.is_empty(), text.is_empty()) {
        (true, _) => FastStr::new(text),
        (_, true) => FastStr::new(title),
        (false, false) => {
            let mut joined = String::with_capacity(title.len() + 1 + text.len());
            joined.push_str(title);
            joined.push(' ');
            joined.push_str(text);
            joined.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_joined_as_beir_joins_them() {
        let cases = [("A", "b c", "A b c"), ("", " b\n", "b"), ("A ", "", "A"), ("", "", "")];
        for (title, text, joined) in cases {
            assert_eq!(&*titled(title, text), joined);
        }
    }

    #[test]
    fn an_id_stands_for_one_text() {
        let mut passages = Corpus::default();
        assert_eq!(passages.add("a", "x".into()), Ok(0));
        assert_eq!(passages.add("a", "x".into()), Ok(0));
        assert!(passages.add("a", "y".into()).is_err() && passages.add("", "y".into()).is_err());
    }
}
