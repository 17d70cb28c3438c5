//! Every dialect as its clients write and read it.

use fastrand::Rng;
use serde_json::{Value, json};

use super::json::Json;
use super::oracle::{Ranked, ranking};
use super::question::{Content, Document, Question};
use super::world::{Scale, Setting};

/// One dialect, by its name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Speaker(pub(super) &'static str);

/// A request, ready to be sent.
#[derive(Clone, Debug)]
pub(super) struct Spoken {
    pub(super) path: String,
    pub(super) body: String,
}

/// One result of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Found {
    pub(super) index: usize,
    pub(super) score: Option<f64>,
    pub(super) id: Option<Value>,
    pub(super) document: Option<Value>,
}

/// Form of a document in an answer.
#[derive(Clone, Copy, PartialEq)]
enum Echo {
    Never,
    /// The text alone.
    Text,
    /// As it came.
    AsItCame,
    /// As it came if it was an object, else `{"text": …}`.
    Object,
    /// The same, and always with a `text`.
    WithText,
}

/// Wire shape of a dialect.
struct Shape {
    path: &'static str,
    list: &'static str,
    /// Its own name for the cut, and the one that it also takes.
    cut: Option<(&'static str, &'static str)>,
    /// The field that asks for documents, and its default.
    returns: Option<(&'static str, bool)>,
    echo: Echo,
    /// JSON pointer to the results; the names of a score and a document follow.
    results: &'static str,
    score: &'static str,
    document: &'static str,
    /// True if results carry the document's id.
    has_ids: bool,
}

const COHERE: Shape = Shape {
    path: "/cohere/v2/rerank",
    list: "documents",
    cut: Some(("top_n", "top_k")),
    returns: Some(("return_documents", false)),
    echo: Echo::WithText,
    results: "/results",
    score: "relevance_score",
    document: "document",
    has_ids: true,
};

impl Speaker {
    fn shape(self) -> Shape {
        match self.0 {
            "native" => Shape { path: "/native/v1/rerank", ..COHERE },
            "cohere" => COHERE,
            "cohere-v1" => Shape { path: "/cohere/v1/rerank", ..COHERE },
            "jina" => Shape { path: "/jina/v1/rerank", ..COHERE },
            "vllm" => Shape { path: "/vllm/v1/rerank", returns: Some(("return_documents", true)), ..COHERE },
            "infinity" => Shape { path: "/infinity/rerank", echo: Echo::Text, ..COHERE },
            "xinference" => Shape { path: "/xinference/v1/rerank", ..COHERE },
            "voyage" => Shape { path: "/voyage/v1/rerank", cut: Some(("top_k", "top_n")), ..COHERE },
            "mixedbread" => Shape {
                path: "/v1/reranking",
                list: "input",
                cut: Some(("top_k", "top_n")),
                returns: Some(("return_input", false)),
                echo: Echo::AsItCame,
                results: "/data",
                score: "score",
                document: "input",
                has_ids: false,
            },
            "tei" => Shape {
                path: "/tei/rerank",
                list: "texts",
                returns: Some(("return_text", false)),
                echo: Echo::Text,
                results: "",
                score: "score",
                document: "text",
                has_ids: false,
                ..COHERE
            },
            "nvidia" => Shape {
                path: "/v1/ranking",
                list: "passages",
                cut: Some(("top_k", "top_n")),
                returns: None,
                echo: Echo::Never,
                results: "/rankings",
                score: "logit",
                has_ids: false,
                ..COHERE
            },
            "dashscope" => Shape {
                path: "/api/v1/services/rerank/text-rerank/text-rerank",
                results: "/output/results",
                has_ids: false,
                ..COHERE
            },
            "weaviate" => Shape {
                path: "/weaviate/rerank",
                cut: None,
                returns: Some(("", true)),
                echo: Echo::Text,
                results: "/scores",
                score: "score",
                has_ids: false,
                ..COHERE
            },
            "deepinfra" => Shape {
                path: "/inference/default",
                cut: None,
                returns: None,
                echo: Echo::Never,
                results: "/scores",
                has_ids: false,
                ..COHERE
            },
            "pinecone" => Shape {
                path: "/pinecone/rerank",
                returns: Some(("return_documents", true)),
                echo: Echo::Object,
                results: "/data",
                score: "score",
                has_ids: false,
                ..COHERE
            },
            other => panic!("{other}: say how its clients speak"),
        }
    }

    /// True if a cut of 0 means all results.
    fn zero_is_all(self) -> bool {
        self.0 == "vllm"
    }

    /// True if all results are returned in input order.
    fn keeps_input_order(self) -> bool {
        self.shape().cut.is_none()
    }

    /// True if `data` repeats the results, with documents as texts.
    pub(super) fn repeats_in_data(self) -> bool {
        matches!(self.0, "native" | "voyage")
    }

    /// True if the answer holds the provenance of its scores.
    pub(super) fn tells_provenance(self) -> bool {
        self.shape().results == "/results"
    }

    /// The question in one of the many ways to put it.
    pub(super) fn spoken(self, rng: &mut Rng, question: &Question) -> Spoken {
        let shape = self.shape();
        let path = if rng.bool() { shape.path.to_owned() } else { format!("/some/prefix/{}/rerank", self.0) };
        let documents = Json::List(question.documents.iter().map(Document::json).collect());
        let mut core = vec![(shape.list.to_owned(), documents)];
        let mut options = self.options(rng, question);
        let query = match rng.u32(..6) {
            0 => Json::object([("text", Json::text(&question.query))]),
            _ => Json::text(&question.query),
        };
        if self.0 == "deepinfra" {
            let copies = if rng.bool() { question.documents.len() } else { question.documents.len().min(1) };
            core.push(("queries".to_owned(), Json::List(vec![Json::text(&question.query); copies])));
        } else {
            core.push(("query".to_owned(), query));
        }
        let mut members = common(rng, question);
        if self.0 == "dashscope" {
            rng.shuffle(&mut core);
            rng.shuffle(&mut options);
            members.push(("input".to_owned(), Json::Object(core)));
            members.push(("parameters".to_owned(), Json::Object(options)));
        } else {
            members.extend(core);
            members.extend(options);
        }
        rng.shuffle(&mut members);
        Spoken { path, body: Json::Object(members).written(rng) }
    }

    /// The cut and whether documents come back, by the dialect's names.
    fn options(self, rng: &mut Rng, question: &Question) -> Vec<(String, Json)> {
        let shape = self.shape();
        let number = |count: i64| Json::Literal(count.to_string());
        let mut options = Vec::new();
        if let Some((own, other)) = shape.cut {
            let count = question.top_n.map(|count| number(i64::try_from(count).unwrap()));
            match (count, rng.u32(..4)) {
                // Who sends both means the dialect's own.
                (Some(count), 0) => options.extend([(own.to_owned(), count), (other.to_owned(), number(1))]),
                (Some(count), 1) => options.push((other.to_owned(), count)),
                (Some(count), _) => options.push((own.to_owned(), count)),
                (None, 0) if matches!(self.0, "vllm" | "mixedbread") => options.push((own.to_owned(), number(-1))),
                (None, 1) => options.push((own.to_owned(), Json::Literal("null".to_owned()))),
                (None, _) => {}
            }
        }
        if let (Some((name, _)), Some(is_wanted)) = (shape.returns, question.returns_documents)
            && !name.is_empty()
        {
            options.push((name.to_owned(), Json::Literal(is_wanted.to_string())));
        }
        options
    }

    /// The results of an answer.
    pub(super) fn read(self, answer: &Value) -> Result<Vec<Found>, String> {
        let shape = self.shape();
        self.read_list(answer.pointer(shape.results).ok_or("the answer has no results")?, &shape)
    }

    /// The results that `data` repeats.
    pub(super) fn read_data(self, answer: &Value) -> Result<Vec<Found>, String> {
        self.read_list(&answer["data"], &self.shape())
    }

    fn read_list(self, results: &Value, shape: &Shape) -> Result<Vec<Found>, String> {
        let results = results.as_array().ok_or("the results are no list")?;
        let mut found = Vec::with_capacity(results.len());
        for (place, result) in results.iter().enumerate() {
            let index = match result["index"].as_u64() {
                Some(index) => usize::try_from(index).unwrap(),
                None if self.keeps_input_order() => place,
                None => return Err(format!("a result has no index: {result}")),
            };
            let score = if self.0 == "deepinfra" { result } else { &result[shape.score] };
            found.push(Found {
                index,
                score: score.as_f64(),
                id: result.get("id").cloned(),
                document: result.get(shape.document).cloned(),
            });
        }
        Ok(found)
    }

    /// The results that are right.
    pub(super) fn expected(self, setting: &Setting, question: &Question, in_data: bool) -> Vec<Found> {
        let shape = self.shape();
        let mut ranked = ranking(setting, question);
        match question.top_n {
            _ if self.keeps_input_order() => ranked.sort_by_key(|ranked| ranked.position),
            Some(0) if self.zero_is_all() => {}
            Some(count) => ranked.truncate(count),
            None => {}
        }
        let is_echoed = match shape.returns {
            Some((name, usual)) if !name.is_empty() => question.returns_documents.unwrap_or(usual),
            Some((_, always)) => always,
            None => false,
        };
        let form = if in_data { Echo::Text } else { shape.echo };
        let is_logit = self.0 == "nvidia" || question.raw_scores;
        let found = |Ranked { position, score }: &Ranked| {
            let document = &question.documents[*position];
            let id = match document {
                Document::Object { id, .. } if shape.has_ids => id.clone(),
                _ => None,
            };
            let shown = if is_echoed { echoed(form, document, &question.rank_fields) } else { None };
            Found {
                index: *position,
                score: score.map(|score| in_form(score, setting.scale, is_logit)),
                id,
                document: shown,
            }
        };
        ranked.iter().map(found).collect()
    }
}

/// Fields that have the same names in every dialect.
fn common(rng: &mut Rng, question: &Question) -> Vec<(String, Json)> {
    let mut members = Vec::new();
    let mut push = |name: &str, value: Json| members.push((name.to_owned(), value));
    if let Some(model) = &question.model {
        push("model", Json::text(model));
    }
    if let Some(instruction) = &question.instruction {
        push(if rng.bool() { "instruction" } else { "instruct" }, Json::text(instruction));
    }
    if let Some(tokens) = question.max_tokens {
        push(if rng.bool() { "max_tokens_per_doc" } else { "max_doc_length" }, Json::Literal(tokens.to_string()));
    }
    if !question.rank_fields.is_empty() {
        push("rank_fields", Json::List(question.rank_fields.iter().map(|name| Json::text(name)).collect()));
    }
    for (name, is_wanted) in [("raw_scores", question.raw_scores), ("explain", question.explain)] {
        if is_wanted || rng.u32(..8) == 0 {
            push(name, Json::Literal(is_wanted.to_string()));
        }
    }
    if rng.u32(..6) == 0 {
        push("unknown", Json::of(&json!({"query": "other", "documents": ["other"]})));
    }
    members
}

impl Document {
    fn json(&self) -> Json {
        match self {
            Self::Text(text) => Json::text(text),
            Self::Object { id, content } => {
                let mut members = content.members();
                if let Some(id) = id {
                    members.push(("id".to_owned(), Json::of(id)));
                }
                Json::Object(members)
            }
        }
    }

    /// The same as another reader of JSON sees it.
    fn value(&self) -> Value {
        serde_json::from_str(&self.json().written(&mut Rng::with_seed(0))).unwrap()
    }
}

impl Content {
    fn members(&self) -> Vec<(String, Json)> {
        let member = |name: &str, text: &str| (name.to_owned(), Json::text(text));
        match self {
            Self::Text(text) => vec![member("text", text)],
            Self::Page(text) => vec![member("page_content", text)],
            Self::Parts(parts) => {
                let part = |text: &String| Json::object([("type", Json::text("text")), ("text", Json::text(text))]);
                vec![("content".to_owned(), Json::List(parts.iter().map(part).collect()))]
            }
            Self::Fields(fields) => fields.iter().map(|(name, text)| member(name, text)).collect(),
        }
    }
}

/// A document as it comes back.
fn echoed(form: Echo, document: &Document, rank_fields: &[&str]) -> Option<Value> {
    let text = document.scored_text(rank_fields);
    Some(match (form, document) {
        (Echo::Never, _) => return None,
        (Echo::Text, _) => json!(text),
        (Echo::Object | Echo::WithText, Document::Text(_)) => json!({ "text": text }),
        (Echo::WithText, Document::Object { content, .. }) if !matches!(content, Content::Text(_)) => {
            let mut value = document.value();
            value["text"] = json!(text);
            value
        }
        (Echo::AsItCame | Echo::Object | Echo::WithText, _) => document.value(),
    })
}

/// A score as clients of the dialect expect it: between 0 and 1, or a logit.
fn in_form(score: f64, scale: Scale, is_logit: bool) -> f64 {
    match (scale, is_logit) {
        (Scale::Probability, true) => {
            let share = score.clamp(f64::MIN_POSITIVE, 1.0 - f64::EPSILON / 2.0);
            (share / (1.0 - share)).ln()
        }
        (Scale::Logit, false) => 1.0 / (1.0 + (-score).exp()),
        _ => score,
    }
}
