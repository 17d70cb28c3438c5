//! The OpenAPI document.

use std::borrow::Cow;
use std::iter;
use std::sync::LazyLock;

use axum::response::Response;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{Components, ObjectBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, HttpMethod, PathItem, Ref, RefOr, Required, ResponseBuilder};
use utoipa::{OpenApi, ToSchema};

use super::{error_examples, health, home, rerank, schema, setup};
use crate::dialect::request_fields::ObjectShape;
use crate::dialect::{Dialect, cohere, dashscope, deepinfra, mixedbread, native, nvidia, pinecone, tei, weaviate};

/// Name of the schema of errors.
const PROBLEM: &str = "Problem";
/// The tags of operations that never need a key.
const KEYLESS_TAGS: [&str; 2] = ["set-up", "operations"];

#[derive(OpenApi)]
#[openapi(
    info(
        title = "rerankd",
        description = "The reranking sidecar for RAG applications: post a query and its passages, get them back best \
            first.\n\nErrors are problem details (RFC 9457) with a stable `code`. Clients of other rerank APIs are \
            answered in their own shape, by the fields of their body, a path prefix such as `/voyage/…`, or the header \
            `X-Rerank-Dialect`; any prefix may stand before a path.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        rerank::rerank, setup::models, setup::model, setup::info, setup::meta, setup::health, setup::well_known,
        setup::cluster_auth, home::home, health::healthz, health::livez, health::readyz, health::metrics,
    ),
    servers((url = "/", description = "This server")),
    tags(
        (name = "rerank", description = "Reranking"),
        (name = "dialects", description = "The same for clients of other rerank APIs"),
        (name = "models", description = "What can be asked for"),
        (name = "set-up", description = "What clients of other servers ask first"),
        (name = "operations", description = "Probes and metrics"),
    ),
    // Either without a key or with one, as the server is configured.
    security((), ("key" = [])),
    modifiers(&Finish),
)]
struct Document;

/// The operation `rerank` at another path, in the native dialect or another.
struct Variant {
    path: &'static str,
    /// `operationId`, from which generators of clients make the names of methods.
    id: &'static str,
    /// One line that says whose clients use the path.
    summary: &'static str,
    /// The dialect of its errors.
    dialect: &'static dyn Dialect,
    /// Schemas of body and answer; `None` for the native ones.
    own: Option<OwnSchemas>,
    /// True if the path names the model. A model in the body takes precedence.
    has_model: bool,
}

/// The schemas of a dialect that are not the native ones.
#[derive(Clone, Copy)]
struct OwnSchemas {
    body: &'static ObjectShape,
    answer_name: fn() -> Cow<'static, str>,
    add_answer: fn(&mut Components),
}

/// One variant for each shape of body and answer. The document names no prefix that only repeats one of them.
const VARIANTS: [Variant; 10] = [
    Variant::family(
        "/v1/rerank",
        "rerank_v1",
        "Rerank for clients of Jina, Voyage, vLLM and Infinity, and for Cohere's first version",
        &native::VERSIONED,
    ),
    Variant::family("/v2/rerank", "rerank_v2", "Rerank for Cohere's SDKs", &cohere::V2),
    Variant::own::<tei::Answer<'_>>("/tei/rerank", "rerank_tei", &tei::REQUEST)
        .told("Rerank for clients of Hugging Face's Text Embeddings Inference", &tei::Tei),
    Variant::own::<mixedbread::Answer<'_>>("/v1/reranking", "rerank_mixedbread", &mixedbread::REQUEST)
        .told("Rerank for Mixedbread's SDKs", &mixedbread::Mixedbread),
    Variant::own::<nvidia::Answer>("/v1/ranking", "rerank_nvidia", &nvidia::REQUEST)
        .told("Rerank for clients of a NIM container of NVIDIA", &nvidia::Nvidia),
    Variant::own::<nvidia::Answer>("/v1/retrieval/{model}/reranking", "rerank_nvidia_hosted", &nvidia::REQUEST)
        .told("Rerank for clients of NVIDIA's hosted API, with the model in the path", &nvidia::Nvidia)
        .with_model(),
    Variant::own::<dashscope::Answer<'_>>(
        "/api/v1/services/rerank/text-rerank/text-rerank",
        "rerank_dashscope",
        &dashscope::REQUEST,
    )
    .told("Rerank for Alibaba's DashScope SDKs", &dashscope::DashScope),
    Variant::own::<deepinfra::Answer<'_>>("/inference/{model}", "rerank_deepinfra", &deepinfra::REQUEST)
        .told("Rerank for clients of DeepInfra, with the model in the path", &deepinfra::DeepInfra)
        .with_model(),
    Variant::own::<weaviate::Answer<'_>>("/weaviate/rerank", "rerank_weaviate", &weaviate::REQUEST)
        .told("Rerank for Weaviate's module reranker-transformers", &weaviate::Weaviate),
    Variant::own::<pinecone::Answer<'_>>("/pinecone/rerank", "rerank_pinecone", &pinecone::REQUEST)
        .told("Rerank for Pinecone's SDKs", &pinecone::Pinecone),
];

impl Variant {
    /// A variant with the native schemas, which cover the whole Cohere family.
    const fn family(
        path: &'static str,
        id: &'static str,
        summary: &'static str,
        dialect: &'static dyn Dialect,
    ) -> Self {
        Self { path, id, summary, dialect, own: None, has_model: false }
    }

    /// A variant whose body has the fields of `body`, and whose answer is an `A`.
    const fn own<A: ToSchema>(path: &'static str, id: &'static str, body: &'static ObjectShape) -> Self {
        let own = OwnSchemas { body, answer_name: A::name, add_answer: schema::add_answer::<A> };
        Self { own: Some(own), ..Self::family(path, id, "", &native::BARE) }
    }

    /// The same variant with a summary and a dialect.
    const fn told(self, summary: &'static str, dialect: &'static dyn Dialect) -> Self {
        Self { summary, dialect, ..self }
    }

    /// The same variant at a path that names the model.
    const fn with_model(self) -> Self {
        Self { has_model: true, ..self }
    }

    /// Turns `operation`, the native one, into this variant.
    fn of(&self, mut operation: Operation) -> Operation {
        operation.operation_id = Some(self.id.to_owned());
        operation.summary = Some(self.summary.to_owned());
        if let Some(own) = self.own {
            let answer = (own.answer_name)();
            operation.tags = Some(vec!["dialects".to_owned()]);
            if let Some(RefOr::T(request)) = &mut operation.request_body {
                request.content.insert("application/json".to_owned(), content(own.body.name).into());
            }
            for (status, response) in &mut operation.responses.responses {
                let RefOr::T(response) = response else { continue };
                let name = if status == "200" { &*answer } else { PROBLEM };
                response.content.clear();
                response.content.insert("application/json".to_owned(), content(name).into());
            }
            // TEI's own status for requests that it refuses.
            if self.path.starts_with("/tei") {
                let refused = ResponseBuilder::new().description("`invalid_request` or `too_many_documents`");
                let refused = refused.content("application/json", content(PROBLEM)).build();
                operation.responses.responses.insert("422".to_owned(), refused.into());
                if let Some(RefOr::T(others)) = operation.responses.responses.get_mut("400") {
                    "`invalid_json` or `upstream_rejected`".clone_into(&mut others.description);
                }
            }
        }
        if self.has_model {
            let model = ParameterBuilder::new().name("model").parameter_in(ParameterIn::Path).required(Required::True);
            let model = model.schema(Some(ObjectBuilder::new().schema_type(Type::String).build()));
            operation.parameters.get_or_insert_default().push(model.example(Some("default".into())).build().into());
        }
        operation
    }
}

/// The content of a body or answer with the schema `name`.
fn content(name: &str) -> Content {
    Content::builder().schema(Some(Ref::from_schema_name(name))).build()
}

/// Adds the parts of the document that the derive cannot express: the key, the request bodies, the variants, examples
/// of errors, and which operations need no key.
struct Finish;

impl utoipa::Modify for Finish {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("One of server.api_keys; needed only if any is configured."))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("key", SecurityScheme::Http(bearer));
        schema::add_object(components, &native::REQUEST);
        for own in VARIANTS.iter().filter_map(|variant| variant.own) {
            schema::add_object(components, own.body);
            (own.add_answer)(components);
        }
        let paths = &mut document.paths.paths;
        let Some(rerank) = paths.get_mut("/rerank").and_then(|item| item.post.as_mut()) else { return };
        // In the derive an `Option` would make the header nullable, which headers are not.
        for parameter in rerank.parameters.iter_mut().flatten() {
            if let RefOr::T(parameter) = parameter {
                parameter.required = Required::False;
            }
        }
        // The derive says so only of bodies that are types.
        if let Some(RefOr::T(body)) = rerank.request_body.as_mut() {
            body.required = Some(Required::True);
        }
        let operation = rerank.clone();
        for variant in &VARIANTS {
            let item = PathItem::new(HttpMethod::Post, variant.of(operation.clone()));
            paths.insert(variant.path.to_owned(), item);
        }
        let examples = &mut components.examples;
        let native = ("/rerank", &native::BARE as &dyn Dialect);
        for (path, dialect) in iter::once(native).chain(VARIANTS.iter().map(|variant| (variant.path, variant.dialect)))
        {
            if let Some(operation) = paths.get_mut(path).and_then(|item| item.post.as_mut()) {
                error_examples::add_to(operation, dialect, examples);
            }
        }
        for operation in paths.values_mut().filter_map(|item| item.get.as_mut()) {
            error_examples::add_to(operation, &native::BARE, examples);
            let tags = operation.tags.iter().flatten();
            if tags.into_iter().any(|tag| KEYLESS_TAGS.contains(&tag.as_str())) {
                operation.security = Some(Vec::new());
            }
        }
    }
}

/// The document, which is built once.
static JSON: LazyLock<String> = LazyLock::new(|| {
    let mut json = Document::openapi().to_pretty_json().unwrap_or_default();
    json.push('\n');
    json
});

/// The OpenAPI document as indented JSON with a line break at the end.
#[must_use]
pub fn json() -> &'static str {
    &JSON
}

pub(super) async fn document() -> Response {
    super::json(json())
}
