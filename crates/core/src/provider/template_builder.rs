//! From the places of a call's parts to the tree of its body.

use std::ops::RangeInclusive;

use super::append_json;
use super::pointer::{Pointer, Step};
use super::request_template::{Node, RequestShape, ShapeFault};

/// The tree of a shape.
///
/// # Errors
/// Every fault of the shape: places that exclude each other, or that are missing.
pub(super) fn root(shape: &RequestShape) -> Result<Node, Vec<ShapeFault>> {
    let mut builder = Builder::default();
    let instruction = match &shape.instruction_json {
        Some(name) => Node::InstructionJson(name.clone()),
        None => Node::Instruction,
    };
    builder.optional("model", shape.model.as_ref(), Node::Model, 0..=0);
    builder.required("query", shape.query.as_ref(), Node::Query, 0..=1);
    for constant in &shape.always {
        let path: Vec<_> = constant.path.iter().cloned().map(Step::Member).collect();
        builder.insert("always", &path, Node::Constant(constant.json.clone()));
    }
    builder.optional("instruction", shape.instruction.as_ref(), instruction, 0..=0);
    builder.optional("max_tokens_per_doc", shape.max_tokens_per_doc.as_ref(), Node::MaxTokensPerDoc, 0..=0);
    builder.optional("count", shape.count.as_ref(), Node::Count, 0..=0);
    builder.optional("ids", shape.ids.as_ref(), Node::Id, 1..=1);
    builder.each(shape);
    builder.required("passages", shape.passages.as_ref(), Node::Passage, 1..=1);
    if shape.instruction_json.is_some() && shape.instruction.is_none() {
        builder.fault("instruction_json", "means nothing without instruction".to_owned());
    }
    if !shape.id_prefix.is_empty() && shape.ids.is_none() {
        builder.fault("id_prefix", "means nothing without ids".to_owned());
    }
    if shape.max_tokens_per_doc_limit.is_some() && shape.max_tokens_per_doc.is_none() {
        builder.fault("max_tokens_per_doc_limit", "means nothing without max_tokens_per_doc".to_owned());
    }
    if !builder.faults.is_empty() {
        return Err(builder.faults);
    }
    Ok(Node::Object(builder.members))
}

/// A template that is being made, member by member.
#[derive(Default)]
struct Builder {
    members: Vec<(String, Node)>,
    /// The places that are taken, each with the key that took it.
    taken: Vec<(&'static str, Vec<Step>)>,
    faults: Vec<ShapeFault>,
}

impl Builder {
    fn fault(&mut self, key: &'static str, message: String) {
        self.faults.push((key, message));
    }

    fn required(&mut self, key: &'static str, pointer: Option<&Pointer>, node: Node, lists: RangeInclusive<usize>) {
        if pointer.is_none() {
            self.fault(key, "is missing".to_owned());
        }
        self.optional(key, pointer, node, lists);
    }

    /// Puts `node` at `pointer`, which must go through as many lists as `lists` says.
    fn optional(&mut self, key: &'static str, pointer: Option<&Pointer>, node: Node, lists: RangeInclusive<usize>) {
        let Some(pointer) = pointer else { return };
        if pointer.first_member().is_none() {
            self.fault(key, format!("{:?} must begin with a member, such as \"/query\"", pointer.as_str()));
        } else if !lists.contains(&pointer.lists()) {
            let rule = if *lists.start() == 1 {
                "must hold one [], as in \"/documents[]/text\""
            } else if *lists.end() == 1 {
                "may hold one [] at most"
            } else {
                "must not hold [], which stands for each passage"
            };
            self.fault(key, format!("{:?} {rule}", pointer.as_str()));
        } else {
            self.insert(key, pointer.steps(), node);
        }
    }

    /// The constants of each passage, in the objects of the list that holds the passages.
    fn each(&mut self, shape: &RequestShape) {
        if shape.always_each.is_empty() {
            return;
        }
        let Some(passages) = &shape.passages else { return };
        let Some(list) = passages.steps().iter().position(|step| *step == Step::Each) else { return };
        if list + 1 == passages.steps().len() {
            self.fault("always_each", "wants objects, as in passages = \"/documents[]/text\"".to_owned());
            return;
        }
        for constant in &shape.always_each {
            let mut path = passages.steps()[..=list].to_vec();
            path.extend(constant.path.iter().cloned().map(Step::Member));
            self.insert("always_each", &path, Node::Constant(constant.json.clone()));
        }
    }

    fn insert(&mut self, key: &'static str, path: &[Step], node: Node) {
        let [Step::Member(first), rest @ ..] = path else { return };
        if insert(&mut self.members, first, rest, node) {
            self.taken.push((key, path.to_vec()));
            return;
        }
        let place = Pointer::of(path);
        let other = self.taken.iter().find(|(_, taken)| exclude_each_other(taken, path));
        let message = match other {
            Some((other, taken)) if *taken == path => format!("\"{place}\" is taken by {other}"),
            Some((other, taken)) => format!("\"{place}\" cannot stand beside {other} at \"{}\"", Pointer::of(taken)),
            None => format!("\"{place}\" is taken"),
        };
        self.fault(key, message);
    }
}

/// Returns true if no document has both places: one lies within the other, or a list is an object, too.
fn exclude_each_other(one: &[Step], other: &[Step]) -> bool {
    match one.iter().zip(other).find(|(step, other)| step != other) {
        Some((step, other)) => *step == Step::Each || *other == Step::Each,
        None => true,
    }
}

/// Puts `node` below the member `name`. Returns false if something else stands there.
fn insert(members: &mut Vec<(String, Node)>, name: &str, path: &[Step], node: Node) -> bool {
    let json = member_name(name);
    let found = members.iter().position(|(known, _)| *known == json);
    let Some(index) = found else {
        members.push((json, chain(path, node)));
        return true;
    };
    descend(&mut members[index].1, path, node)
}

/// Puts `node` below `place`, which is there already.
fn descend(place: &mut Node, path: &[Step], node: Node) -> bool {
    match (place, path) {
        (Node::Object(members), [Step::Member(name), rest @ ..]) => insert(members, name, rest, node),
        (Node::List(element), [Step::Each, rest @ ..]) => descend(element, rest, node),
        _ => false,
    }
}

/// The objects and lists on the way to `node`.
fn chain(path: &[Step], node: Node) -> Node {
    match path {
        [] => node,
        [Step::Member(name), rest @ ..] => Node::Object(vec![(member_name(name), chain(rest, node))]),
        [Step::Each, rest @ ..] => Node::List(Box::new(chain(rest, node))),
    }
}

/// A member's name as JSON, with its colon.
fn member_name(name: &str) -> String {
    let mut json = Vec::with_capacity(name.len() + 3);
    append_json(&mut json, name);
    json.push(b':');
    // serde_json writes UTF-8.
    String::from_utf8(json).unwrap_or_default()
}
