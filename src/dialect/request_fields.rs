//! The fields of requests, as data. The dialects read by these paths, defaults and limits, and `http/schema.rs` writes
//! the schemas of the OpenAPI document from them. A test reads every field with a right and a wrong value.
//!
//! A dialect reads more than it lists: names that other dialects have for the same thing, and whatever older clients
//! send. Descriptions are published.

use super::rank_fields::MAX_NAMES;

/// An object in a request: the whole body, or one inside it.
#[derive(Debug)]
pub(crate) struct ObjectShape {
    /// Name in the OpenAPI document.
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    pub(crate) fields: &'static [Field],
    /// An example as JSON; empty if there is none.
    pub(crate) example: &'static str,
}

/// A field of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    /// Path from the body: `input/query` is the field `query` of the object `input`.
    pub(crate) path: &'static str,
    pub(crate) kind: FieldKind,
    /// True if the dialect refuses a body without it. In other fields `null` counts as absent.
    pub(crate) is_required: bool,
    /// Empty if the name says it all.
    pub(crate) description: &'static str,
    /// An example as JSON; empty if there is none.
    pub(crate) example: &'static str,
}

/// The values that a field may have.
#[derive(Clone, Copy, Debug)]
pub(crate) enum FieldKind {
    /// Any value, which is sent back.
    Any,
    /// A string.
    Text,
    /// A string that is not blank.
    Query,
    /// A string that nothing reads, but that gives the dialect away.
    Hint,
    /// A whole number. Only the schema tells `min`: the reader takes 0 and up, and the pipeline refuses what it must.
    Count { min: u32 },
    /// True or false.
    Flag { default: bool },
    /// A list of at most `max` strings.
    Names { max: usize },
    /// A list of strings.
    Texts,
    /// A list of strings and objects.
    Documents,
    /// An object.
    Object(&'static ObjectShape),
    /// A list of objects.
    Objects(&'static ObjectShape),
}

/// The model, in every dialect whose path does not name it.
pub(crate) const MODEL: Field = Field::optional("model", FieldKind::Text)
    .about("Name of the model; `default` if left out. See `GET /v1/models`.")
    .example(r#""default""#);
/// The search text.
pub(crate) const QUERY: Field = Field::required("query", FieldKind::Query)
    .about("Search text; must not be blank.")
    .example(r#""Which city is the capital of Korea?""#);
/// The passages, as most dialects name them.
pub(crate) const DOCUMENTS: Field = Field::required("documents", FieldKind::Documents)
    .about("Texts to score, at most `server.max_documents` (10,000 unless configured).");
/// The number of results, as most dialects name it.
pub(crate) const TOP_N: Field = Field::optional("top_n", FieldKind::Count { min: 0 })
    .about("Number of results to return; all if left out.")
    .example("3");
/// The number of results, as Voyage, Mixedbread and NVIDIA name it.
pub(crate) const TOP_K: Field = Field { path: "top_k", ..TOP_N };
/// The fields of objects that are scored.
pub(crate) const RANK_FIELDS: Field = Field::optional("rank_fields", FieldKind::Names { max: MAX_NAMES })
    .about(
        "Fields of an object to score, in this order, one a line. `metadata.title` names a field of a nested object.",
    )
    .example(r#"["title","text"]"#);
/// The wish for documents in the answer.
pub(crate) const RETURN_DOCUMENTS: Field = Field::optional("return_documents", FieldKind::Flag { default: false })
    .about("True to return each result with its document.");
/// The meaning of relevance.
pub(crate) const INSTRUCTION: Field = Field::optional("instruction", FieldKind::Text)
    .about("Definition of \"relevant\" for models that follow instructions. Other models ignore it.")
    .example(r#""Prefer official sources.""#);
/// The limit at which passages are cut.
pub(crate) const MAX_TOKENS_PER_DOC: Field = Field::optional("max_tokens_per_doc", FieldKind::Count { min: 0 })
    .about("Length in tokens at which the provider cuts passages, if it can; 0 for no limit.")
    .example("512");
/// The client's deadline.
pub(crate) const TIMEOUT_MS: Field = Field::optional("timeout_ms", FieldKind::Count { min: 1 })
    .about("Deadline in milliseconds from the start of the request. The server's own applies if it is lower.")
    .example("300");
/// The wish for sources and the targets tried.
pub(crate) const EXPLAIN: Field = Field::optional("explain", FieldKind::Flag { default: false })
    .about("True to report the targets that were tried and, for each result, the source and the text of its score.");
/// The wish for scores before any sigmoid.
pub(crate) const RAW_SCORES: Field = Field::optional("raw_scores", FieldKind::Flag { default: false })
    .about("True for scores as logits instead of numbers between 0 and 1.");

/// A passage with further fields, as `document.rs` reads it.
pub(crate) static INPUT_OBJECT: ObjectShape = ObjectShape {
    name: "InputObject",
    description: "A passage with further fields, all of which are returned with the document.",
    fields: &[
        Field::optional("id", FieldKind::Any).about("Any value; returned with the result.").example(r#""a1""#),
        Field::optional("text", FieldKind::Text).about("Text to score."),
    ],
    example: r#"{"id": "a1", "text": "Seoul is the capital of Korea.", "metadata": {"page": 3}}"#,
};

impl Field {
    /// A field that may be left out.
    pub(super) const fn optional(path: &'static str, kind: FieldKind) -> Self {
        Self { path, kind, is_required: false, description: "", example: "" }
    }

    /// A field that must be there.
    pub(super) const fn required(path: &'static str, kind: FieldKind) -> Self {
        Self { is_required: true, ..Self::optional(path, kind) }
    }

    /// The same field with another description.
    pub(super) const fn about(self, description: &'static str) -> Self {
        Self { description, ..self }
    }

    /// The same field with another example, as JSON.
    pub(super) const fn example(self, example: &'static str) -> Self {
        Self { example, ..self }
    }

    /// The value of an absent flag; false for any other field.
    pub(super) const fn flag_default(&self) -> bool {
        matches!(self.kind, FieldKind::Flag { default: true })
    }

    /// Name in the object that holds the field.
    pub(crate) fn name(&self) -> &'static str {
        match self.path.rsplit_once('/') {
            Some((_, name)) => name,
            None => self.path,
        }
    }
}

#[cfg(test)]
mod tests {
    use faststr::FastStr;
    use rerankd_core::error::Error;
    use rerankd_core::types::request::RerankRequest;
    use serde_json::{Value, json};

    use super::super::fields::Fields;
    use super::super::{Dialect, dashscope, deepinfra, mixedbread, native, nvidia, pinecone, tei, weaviate};
    use super::*;

    /// The bodies of the OpenAPI document, each with the dialect that reads it.
    static BODIES: [(&dyn Dialect, &ObjectShape); 8] = [
        (&native::BARE, &native::REQUEST),
        (&tei::Tei, &tei::REQUEST),
        (&mixedbread::Mixedbread, &mixedbread::REQUEST),
        (&nvidia::Nvidia, &nvidia::REQUEST),
        (&dashscope::DashScope, &dashscope::REQUEST),
        (&deepinfra::DeepInfra, &deepinfra::REQUEST),
        (&weaviate::Weaviate, &weaviate::REQUEST),
        (&pinecone::Pinecone, &pinecone::REQUEST),
    ];

    fn decode(dialect: &dyn Dialect, body: &Value) -> Result<RerankRequest, Error> {
        let text = FastStr::from(body.to_string());
        dialect.decode(&Fields::read(&text)?)
    }

    /// The fields of a body, those of the objects in it included.
    fn all_fields(shape: &'static ObjectShape) -> Vec<&'static Field> {
        let mut fields = Vec::new();
        for field in shape.fields {
            fields.push(field);
            if let FieldKind::Object(inner) = field.kind
                && inner.fields[0].path.contains('/')
            {
                fields.extend(inner.fields);
            }
        }
        fields
    }

    /// The example of `shape` with a value at `path`, or without the field.
    fn example_with(shape: &ObjectShape, path: &str, value: Option<Value>) -> Value {
        let mut body: Value = serde_json::from_str(shape.example).unwrap();
        let (object, name) = match path.split_once('/') {
            Some((outer, name)) => (&mut body[outer], name),
            None => (&mut body, path),
        };
        match value {
            Some(value) => object[name] = value,
            None => drop(object.as_object_mut().unwrap().remove(name)),
        }
        body
    }

    #[test]
    fn examples_are_accepted() {
        for (dialect, shape) in BODIES {
            decode(dialect, &serde_json::from_str(shape.example).unwrap()).unwrap();
            for field in all_fields(shape) {
                if !field.example.is_empty() {
                    let value = serde_json::from_str(field.example).unwrap();
                    // The documents of an example need not have the fields of another.
                    if !matches!(field.kind, FieldKind::Names { .. }) {
                        decode(dialect, &example_with(shape, field.path, Some(value))).unwrap();
                    }
                }
            }
        }
    }

    #[test]
    fn a_wrong_value_is_refused_by_the_name_of_its_field() {
        for (dialect, shape) in BODIES {
            for field in all_fields(shape) {
                let wrong = match field.kind {
                    // An object without its fields is as good as absent; the fields have their own turn.
                    FieldKind::Hint | FieldKind::Any | FieldKind::Object(_) => continue,
                    FieldKind::Names { max } => json!(vec!["a"; max + 1]),
                    _ => json!({"wrong": true}),
                };
                let error = decode(dialect, &example_with(shape, field.path, Some(wrong))).unwrap_err();
                assert_eq!(error.pointer, Some(format!("/{}", field.path)), "{}", shape.name);
            }
        }
    }

    #[test]
    fn a_required_field_is_required_and_null_is_the_same_as_an_absent_optional_one() {
        for (dialect, shape) in BODIES {
            for field in all_fields(shape) {
                let absent = decode(dialect, &example_with(shape, field.path, None));
                if field.is_required {
                    assert!(absent.is_err(), "{} {}", shape.name, field.path);
                } else {
                    let null = decode(dialect, &example_with(shape, field.path, Some(Value::Null)));
                    assert_eq!(absent.unwrap(), null.unwrap(), "{} {}", shape.name, field.path);
                }
            }
        }
    }

    #[test]
    fn defaults_are_those_of_the_reader() {
        for (dialect, shape) in BODIES {
            for field in all_fields(shape) {
                let FieldKind::Flag { default } = field.kind else { continue };
                let [absent, same, other] = [None, Some(default), Some(!default)]
                    .map(|value| decode(dialect, &example_with(shape, field.path, value.map(Value::Bool))).unwrap());
                assert_eq!(absent, same, "{} {}", shape.name, field.path);
                assert_ne!(absent, other, "{} {}", shape.name, field.path);
            }
        }
    }
}
