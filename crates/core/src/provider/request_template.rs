//! The request body of a wire shape: a tree of members, compiled once, and written in one pass from borrowed texts.

use super::pointer::Pointer;
use super::{PassageText, ScoreBatch, append_json, template_builder};

/// The places of a call's parts in its body, from `[request]` of a provider.
#[derive(Clone, Debug, Default)]
pub struct RequestShape {
    /// Place of the model's name; `None` if the body does not hold it.
    pub model: Option<Pointer>,
    /// Place of the query; with `[]`, one for each passage.
    pub query: Option<Pointer>,
    /// Place of each passage's text, with one `[]`.
    pub passages: Option<Pointer>,
    /// Place of the string that names each passage in the reply.
    pub ids: Option<Pointer>,
    /// Text before the number in such a string.
    pub id_prefix: String,
    /// Place of the instruction, for models that take one in a field.
    pub instruction: Option<Pointer>,
    /// Name of the instruction within a JSON text at its place; `None` if the place holds the instruction itself.
    pub instruction_json: Option<String>,
    /// Place of the most tokens that are read of a passage.
    pub max_tokens_per_doc: Option<Pointer>,
    /// Largest value there; larger ones are sent as this.
    pub max_tokens_per_doc_limit: Option<u32>,
    /// Place of the number of passages.
    pub count: Option<Pointer>,
    /// Constants: the path of each, and its JSON.
    pub always: Vec<Constant>,
    /// Constants in the object of each passage.
    pub always_each: Vec<Constant>,
}

/// A member with the same value in every call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constant {
    /// Names of the members on the way from the root; never empty.
    pub path: Vec<String>,
    /// The value, as JSON.
    pub json: String,
}

/// A fault of a shape: the key that is wrong, and a sentence.
pub(super) type ShapeFault = (&'static str, String);

/// A compiled [`RequestShape`].
#[derive(Clone, Debug)]
pub(super) struct RequestTemplate {
    root: Node,
    id_prefix: String,
    max_tokens_per_doc_limit: Option<u32>,
    /// Place of the most tokens of a passage; true if there is one.
    limits_passage_tokens: bool,
    takes_instruction: bool,
    /// Bytes of the body beside its texts, without the lists.
    fixed_bytes: usize,
    /// Bytes of each element of the lists, beside its text and the query.
    element_bytes: usize,
    /// Copies of the query, for each passage.
    queries_per_passage: usize,
}

/// A value of the body.
#[derive(Clone, Debug)]
pub(super) enum Node {
    /// Members with their names, each as JSON with its colon.
    Object(Vec<(String, Node)>),
    /// One element for each passage.
    List(Box<Node>),
    Constant(String),
    Model,
    Query,
    Passage,
    Id,
    Instruction,
    /// A JSON text that holds the instruction under this name.
    InstructionJson(String),
    MaxTokensPerDoc,
    Count,
}

impl RequestTemplate {
    /// The template of a shape.
    ///
    /// # Errors
    /// Every fault of the shape: places that exclude each other, or that are missing.
    pub(super) fn new(shape: &RequestShape) -> Result<Self, Vec<ShapeFault>> {
        let root = template_builder::root(shape)?;
        let mut sizes = Sizes::default();
        sizes.add(&root, false);
        Ok(Self {
            id_prefix: shape.id_prefix.clone(),
            max_tokens_per_doc_limit: shape.max_tokens_per_doc_limit,
            limits_passage_tokens: shape.max_tokens_per_doc.is_some(),
            takes_instruction: shape.instruction.is_some(),
            fixed_bytes: sizes.fixed,
            element_bytes: sizes.element + shape.id_prefix.len(),
            queries_per_passage: sizes.queries_per_passage,
            root,
        })
    }

    pub(super) fn limits_passage_tokens(&self) -> bool {
        self.limits_passage_tokens
    }

    pub(super) fn takes_instruction(&self) -> bool {
        self.takes_instruction
    }

    /// The body of a call.
    pub(super) fn write(&self, batch: &ScoreBatch<'_>) -> Vec<u8> {
        let count = batch.passages.len();
        // Quotation marks, and room for escapes.
        let query_bytes = batch.query.len() + batch.query.len() / 16 + 2;
        let mut length = self.fixed_bytes + batch.model.len() + query_bytes + count * self.element_bytes;
        length += batch.instruction.map_or(0, str::len) + count * self.queries_per_passage * query_bytes;
        for passage in &batch.passages {
            length += match passage.literal {
                Some(literal) => literal.len(),
                // Quotation marks, and room for escapes.
                None => passage.text.len() + passage.text.len() / 16 + 2,
            };
        }
        let max_tokens_per_doc = match (batch.options.max_tokens_per_doc, self.max_tokens_per_doc_limit) {
            // A value beyond the range of the provider would fail the whole call.
            (Some(tokens), Some(limit)) => Some(tokens.clamp(1, limit)),
            (tokens, _) => tokens,
        };
        let mut repeated_query = Vec::new();
        if self.queries_per_passage > 0 {
            append_json(&mut repeated_query, batch.query);
        }
        let body = Vec::with_capacity(length);
        let id_prefix = &self.id_prefix;
        let mut writer = Writer { body, batch, repeated_query, id_prefix, max_tokens_per_doc };
        writer.value(&self.root, 0);
        writer.body
    }
}

/// Sizes of a body's parts that no text decides.
#[derive(Default)]
struct Sizes {
    fixed: usize,
    element: usize,
    queries_per_passage: usize,
}

/// Most digits of a number in a body, with room for the quotation marks of an id.
const NUMBER_BYTES: usize = 12;

impl Sizes {
    fn add(&mut self, node: &Node, is_in_list: bool) {
        let bytes = match node {
            Node::Object(members) => {
                let mut bytes = 2;
                for (name, member) in members {
                    bytes += name.len() + 1;
                    self.add(member, is_in_list);
                }
                bytes
            }
            Node::List(element) => {
                self.add(element, true);
                self.element += 1;
                2
            }
            Node::Constant(json) => json.len(),
            Node::InstructionJson(name) => name.len() + NUMBER_BYTES,
            Node::Query if is_in_list => {
                self.queries_per_passage += 1;
                0
            }
            Node::Model | Node::Instruction => 2,
            Node::Query | Node::Passage => 0,
            Node::Id | Node::MaxTokensPerDoc | Node::Count => NUMBER_BYTES,
        };
        if is_in_list {
            self.element += bytes;
        } else {
            self.fixed += bytes;
        }
    }
}

/// A body that is being written.
struct Writer<'a> {
    body: Vec<u8>,
    batch: &'a ScoreBatch<'a>,
    /// The query as a JSON string, if it is written for each passage.
    repeated_query: Vec<u8>,
    id_prefix: &'a str,
    max_tokens_per_doc: Option<u32>,
}

impl Writer<'_> {
    /// Writes a value. `position` is that of the passage, within a list.
    fn value(&mut self, node: &Node, position: usize) {
        match node {
            Node::Object(members) => {
                let mut separator = b'{';
                for (name, member) in members {
                    if !self.is_there(member) {
                        continue;
                    }
                    self.body.push(separator);
                    separator = b',';
                    self.body.extend_from_slice(name.as_bytes());
                    self.value(member, position);
                }
                if separator == b'{' {
                    self.body.push(b'{');
                }
                self.body.push(b'}');
            }
            Node::List(element) => self.list(element),
            Node::Constant(json) => self.body.extend_from_slice(json.as_bytes()),
            Node::Model => append_json(&mut self.body, self.batch.model),
            Node::Query if self.repeated_query.is_empty() => append_json(&mut self.body, self.batch.query),
            Node::Query => self.body.extend_from_slice(&self.repeated_query),
            Node::Passage => append_passage(&mut self.body, self.batch.passages[position]),
            Node::Id => append_json(&mut self.body, &format!("{}{position}", self.id_prefix)),
            Node::Instruction => append_json(&mut self.body, self.batch.instruction.unwrap_or_default()),
            Node::InstructionJson(name) => {
                let object = serde_json::json!({ name: self.batch.instruction }).to_string();
                append_json(&mut self.body, &object);
            }
            Node::MaxTokensPerDoc => append_json(&mut self.body, &self.max_tokens_per_doc),
            Node::Count => append_json(&mut self.body, &self.batch.passages.len()),
        }
    }

    /// Writes an element for each passage.
    fn list(&mut self, element: &Node) {
        self.body.push(b'[');
        // Most lists hold the passages alone.
        if matches!(element, Node::Passage) {
            append_passages(&mut self.body, &self.batch.passages);
        } else {
            for position in 0..self.batch.passages.len() {
                if position > 0 {
                    self.body.push(b',');
                }
                self.value(element, position);
            }
        }
        self.body.push(b']');
    }

    /// Returns false for a part that this call does not have, and for an object of such parts alone.
    fn is_there(&self, node: &Node) -> bool {
        match node {
            Node::Instruction | Node::InstructionJson(_) => self.batch.instruction.is_some(),
            Node::MaxTokensPerDoc => self.max_tokens_per_doc.is_some(),
            Node::Object(members) => members.iter().any(|(_, member)| self.is_there(member)),
            _ => true,
        }
    }
}

/// Appends the passages, with commas between them.
#[inline]
fn append_passages(body: &mut Vec<u8>, passages: &[PassageText<'_>]) {
    for (number, passage) in passages.iter().enumerate() {
        if number > 0 {
            body.push(b',');
        }
        append_passage(body, *passage);
    }
}

// One for each passage: a call of its own would cost more than the copy of a short text.
#[inline]
fn append_passage(body: &mut Vec<u8>, passage: PassageText<'_>) {
    match passage.literal {
        Some(literal) => body.extend_from_slice(literal.as_bytes()),
        None => append_json(body, passage.text),
    }
}
