//! The schemas of bodies. Those of requests are made of the fields by which the dialects read them; those of answers
//! are derived from the types that write them.

use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{
    ArrayBuilder, Components, KnownFormat, Object, ObjectBuilder, OneOfBuilder, Ref, RefBuilder, Schema, SchemaFormat,
    SchemaType, Type,
};

use crate::dialect::request_fields::{Field, FieldKind, INPUT_OBJECT, ObjectShape};

/// Name of the schema for a passage in any form.
const INPUT_DOCUMENT: &str = "InputDocument";

/// Adds the schema of an object and of all objects in it.
pub(super) fn add_object(components: &mut Components, shape: &ObjectShape) {
    let mut object = ObjectBuilder::new().schema_type(Type::Object).description(Some(shape.description));
    for field in shape.fields {
        object = object.property(field.name(), property(field));
        if field.is_required {
            object = object.required(field.name());
        }
        match field.kind {
            FieldKind::Object(inner) | FieldKind::Objects(inner) => add_object(components, inner),
            FieldKind::Documents => add_input_document(components),
            _ => {}
        }
    }
    let mut schema = object.build();
    schema.example = parsed(shape.example);
    components.schemas.insert(shape.name.to_owned(), Schema::Object(schema).into());
}

/// Adds the schema of an answer and of all objects in it.
pub(super) fn add_answer<A: ToSchema>(components: &mut Components) {
    let mut schemas = vec![(A::name().into_owned(), A::schema())];
    A::schemas(&mut schemas);
    components.schemas.extend(schemas);
}

/// Adds the schema of a passage that is a text or an object.
fn add_input_document(components: &mut Components) {
    add_object(components, &INPUT_OBJECT);
    let text = ObjectBuilder::new().schema_type(Type::String).description(Some("The text itself."));
    let object = RefBuilder::new().ref_location_from_schema_name(INPUT_OBJECT.name).description(Some(
        "A text with further fields. Only the text is sent upstream; without one, the whole object is written as text.",
    ));
    let document =
        OneOfBuilder::new().description(Some("A passage, as its text or as an object.")).item(text).item(object);
    components.schemas.insert(INPUT_DOCUMENT.to_owned(), document.into());
}

/// The schema of a field's values.
fn property(field: &Field) -> RefOr<Schema> {
    match field.kind {
        FieldKind::Any => value(field, ObjectBuilder::new().schema_type(SchemaType::AnyValue)),
        FieldKind::Text | FieldKind::Hint => value(field, ObjectBuilder::new().schema_type(types(field, Type::String))),
        FieldKind::Query => {
            let text = ObjectBuilder::new().schema_type(types(field, Type::String));
            value(field, text.min_length(Some(1)).pattern(Some(r"\S")))
        }
        FieldKind::Count { min } => {
            // The format is for generators of clients. The reader takes larger numbers too.
            let count = ObjectBuilder::new().schema_type(types(field, Type::Integer));
            value(field, count.format(Some(SchemaFormat::KnownFormat(KnownFormat::Int32))).minimum(Some(min)))
        }
        FieldKind::Flag { default } => {
            let flag = ObjectBuilder::new().schema_type(types(field, Type::Boolean));
            value(field, flag.default(Some(default.into())))
        }
        FieldKind::Names { max } => list(field, ArrayBuilder::new().items(text()).max_items(Some(max))),
        FieldKind::Texts => list(field, ArrayBuilder::new().items(text())),
        FieldKind::Documents => list(field, ArrayBuilder::new().items(Ref::from_schema_name(INPUT_DOCUMENT))),
        FieldKind::Objects(inner) => list(field, ArrayBuilder::new().items(Ref::from_schema_name(inner.name))),
        FieldKind::Object(inner) if field.is_required => Ref::from_schema_name(inner.name).into(),
        FieldKind::Object(inner) => {
            let object = OneOfBuilder::new().item(Ref::from_schema_name(inner.name));
            object.item(ObjectBuilder::new().schema_type(Type::Null)).into()
        }
    }
}

/// The types of a field's values: `null` stands for an absent one.
fn types(field: &Field, of_values: Type) -> SchemaType {
    if field.is_required { SchemaType::Type(of_values) } else { SchemaType::from_iter([of_values, Type::Null]) }
}

fn text() -> Object {
    Object::with_type(Type::String)
}

/// The schema of a value that is no list, with the description and the example of its field.
fn value(field: &Field, schema: ObjectBuilder) -> RefOr<Schema> {
    let mut object = schema.description(description(field)).build();
    object.example = parsed(field.example);
    Schema::Object(object).into()
}

/// The schema of a list, with the description and the example of its field.
fn list(field: &Field, schema: ArrayBuilder) -> RefOr<Schema> {
    let mut array = schema.schema_type(types(field, Type::Array)).description(description(field)).build();
    array.example = parsed(field.example);
    Schema::Array(array).into()
}

fn description(field: &Field) -> Option<&'static str> {
    (!field.description.is_empty()).then_some(field.description)
}

/// The value of an example; `None` if there is none.
fn parsed(example: &str) -> Option<Value> {
    serde_json::from_str(example).ok()
}
