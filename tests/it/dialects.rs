//! Every dialect in front of every provider, and the behaviour that all dialects share.

use rerankd::dialect::DIALECTS;
use serde_json::{Value, json};

use crate::selectors::{PICKER, picks};
use crate::support::gateway::{Answer, NO_BREAKER, targets, upstream};
use crate::support::{FakeUpstream, Gateway, Reply, SHAPES, expected};

const MODELS: [(&str, &str); 5] = [
    ("cohere", "rerank-v3.5"),
    ("jina", "jina-reranker-v2-base-multilingual"),
    ("voyage", "rerank-2.5"),
    ("mixedbread", "mixedbread-ai/mxbai-rerank-large-v2"),
    ("tei", "tei"),
];

/// One dialect as its clients speak it.
struct Client {
    dialect: &'static str,
}

impl Client {
    fn all() -> Vec<Self> {
        DIALECTS.map(|dialect| Self { dialect: dialect.name() }).into()
    }

    fn path(&self) -> &'static str {
        match self.dialect {
            "native" => "/rerank",
            "cohere" => "/cohere/v2/rerank",
            "cohere-v1" => "/cohere/v1/rerank",
            "jina" => "/jina/v1/rerank",
            "vllm" => "/vllm/v1/rerank",
            "infinity" => "/infinity/rerank",
            "xinference" => "/xinference/v1/rerank",
            "voyage" => "/voyage/v1/rerank",
            "mixedbread" => "/v1/reranking",
            "tei" => "/tei/rerank",
            "nvidia" => "/v1/ranking",
            "dashscope" => "/api/v1/services/rerank/text-rerank/text-rerank",
            "weaviate" => "/weaviate/rerank",
            "deepinfra" => "/inference/default",
            "pinecone" => "/pinecone/rerank",
            other => panic!("{other}: say how its clients speak"),
        }
    }

    fn body(&self, query: &str, passages: &[&str]) -> Value {
        let objects = || passages.iter().map(|text| json!({ "text": text })).collect::<Vec<_>>();
        match self.dialect {
            "mixedbread" => json!({ "query": query, "input": passages }),
            "tei" => json!({ "query": query, "texts": passages }),
            "nvidia" => json!({ "query": { "text": query }, "passages": objects() }),
            "dashscope" => json!({ "input": { "query": query, "documents": passages } }),
            "deepinfra" => json!({ "queries": vec![query; passages.len()], "documents": passages }),
            "pinecone" => json!({ "query": query, "documents": objects() }),
            _ => json!({ "query": query, "documents": passages }),
        }
    }

    /// Index and score of each result, best first. `None` for a score that is not known.
    fn ranking(&self, answer: &Value) -> Vec<(u64, Option<f64>)> {
        let list = |results: &Value, score: &str| -> Vec<_> {
            let results = results.as_array().unwrap_or_else(|| panic!("{}: {answer}", self.dialect));
            results.iter().map(|result| (result["index"].as_u64().unwrap(), result[score].as_f64())).collect()
        };
        let in_input_order = |scores: Vec<Option<f64>>| {
            let mut ranking: Vec<_> = (0..).zip(scores).collect();
            ranking.sort_by(|left, right| right.1.unwrap().total_cmp(&left.1.unwrap()).then(left.0.cmp(&right.0)));
            ranking
        };
        match self.dialect {
            "mixedbread" | "pinecone" => list(&answer["data"], "score"),
            "tei" => list(answer, "score"),
            "nvidia" => {
                let sigmoid = |logit: f64| 1.0 / (1.0 + (-logit).exp());
                let rankings = list(&answer["rankings"], "logit");
                rankings.into_iter().map(|(index, logit)| (index, logit.map(sigmoid))).collect()
            }
            "dashscope" => list(&answer["output"]["results"], "relevance_score"),
            "weaviate" => {
                let scores = answer["scores"].as_array().unwrap().iter();
                in_input_order(scores.map(|score| score["score"].as_f64()).collect())
            }
            "deepinfra" => in_input_order(answer["scores"].as_array().unwrap().iter().map(Value::as_f64).collect()),
            "voyage" => list(&answer["data"], "relevance_score"),
            _ => list(&answer["results"], "relevance_score"),
        }
    }

    async fn ask(&self, gateway: &Gateway, query: &str, passages: &[&str]) -> Answer {
        gateway.send(gateway.post(self.path()).body(self.body(query, passages).to_string())).await
    }

    async fn rank(&self, gateway: &Gateway, query: &str, passages: &[&str]) -> Vec<(u64, Option<f64>)> {
        let answer = self.ask(gateway, query, passages).await;
        assert_eq!(answer.status, 200, "{}: {}", self.dialect, answer.body);
        self.ranking(&answer.body)
    }
}

/// A gateway before Cohere that makes one attempt, so that the provider's error reaches the client.
async fn gateway_with_one_attempt(fake: &FakeUpstream, server: &str, model: &str) -> Gateway {
    let upstream = upstream("up", "cohere", &fake.url());
    let model = format!("{}{model}", targets("default", &[("up", "rerank-v3.5")]));
    Gateway::start(&format!("{server}[upstream_defaults]\nmax_attempts = 1\n{NO_BREAKER}{upstream}{model}")).await
}

fn assert_same(found: &[(u64, Option<f64>)], expected: &[(u64, f64)], place: &str) {
    let indices = |ranking: &mut dyn Iterator<Item = u64>| ranking.collect::<Vec<_>>();
    assert_eq!(
        indices(&mut found.iter().map(|(index, _)| *index)),
        indices(&mut expected.iter().map(|(index, _)| *index)),
        "{place}"
    );
    for ((_, found), (_, expected)) in found.iter().zip(expected) {
        assert!((found.unwrap() - expected).abs() < 1e-9, "{place}: {found:?} for {expected}");
    }
}

/// 15 dialects by 5 providers: the same ranking, every document, each at its index.
#[tokio::test]
async fn every_dialect_before_every_provider_returns_expected_scores() {
    assert_eq!(MODELS.map(|(provider, _)| provider), SHAPES);
    for (provider, model) in MODELS {
        let fake = FakeUpstream::start(provider).await;
        let gateway = Gateway::in_front_of(provider, model, &fake.url()).await;
        for client in Client::all() {
            let place = format!("{} served by {provider}", client.dialect);
            let passages = ["one", "two", "one", "three \"quoted\"\n", "four ✓"];
            let query = format!("asked in {}", client.dialect);
            let calls = fake.calls().len();
            let ranking = client.rank(&gateway, &query, &passages).await;
            assert_same(&ranking, &expected(&query, &passages), &place);
            assert_eq!(fake.calls()[calls].passages().len(), 4, "{place}: equal passages are sent once");
            let again = client.rank(&gateway, &query, &passages).await;
            assert_eq!((again, fake.calls().len()), (ranking, calls + 1), "{place}: all is known now");
        }
    }
}

/// All dialects share one cache.
#[tokio::test]
async fn pair_scored_in_one_dialect_is_cached_for_all() {
    let fake = FakeUpstream::start("cohere").await;
    let gateway = Gateway::in_front_of("cohere", "rerank-v3.5", &fake.url()).await;
    for client in Client::all() {
        let ranking = client.rank(&gateway, "q", &["a", "b", "c"]).await;
        assert_same(&ranking, &expected("q", &["a", "b", "c"]), client.dialect);
    }
    assert_eq!(fake.calls().len(), 1);
}

#[tokio::test]
async fn blank_documents_rank_last_and_no_documents_return_none_in_every_dialect() {
    let fake = FakeUpstream::start("cohere").await;
    let gateway = Gateway::in_front_of("cohere", "rerank-v3.5", &fake.url()).await;
    for client in Client::all() {
        let ranking = client.rank(&gateway, "q", &["", "a", " "]).await;
        let indices: Vec<_> = ranking.iter().map(|(index, _)| *index).collect();
        assert_eq!(indices, [1, 0, 2], "{}", client.dialect);
        assert_eq!(client.rank(&gateway, "q", &[]).await, [], "{}", client.dialect);
    }
}

/// Rule 18 of what clients require: `message` and a string `detail`, whatever else the dialect adds.
#[tokio::test]
async fn every_error_of_every_dialect_has_a_message_and_a_string_detail() {
    let limited = Reply::status_after(429, "retry-after", "3");
    let fake = FakeUpstream::start("cohere").await;
    let gateway =
        gateway_with_one_attempt(&fake, "[server]\napi_keys = ['env:KEY']\nmax_body_bytes = 2000\n", "").await;
    for client in Client::all() {
        let ask =
            async |body: String, key: &str| gateway.send(gateway.post(client.path()).bearer_auth(key).body(body)).await;
        let body = client.body("q", &["a"]).to_string();
        fake.then([limited.clone(), Reply::status(500)]);
        let bad = if client.dialect == "tei" { 422 } else { 400 };
        let mut unknown = client.body("q", &["a"]);
        unknown["model"] = "nobody/knows".into();
        for (answer, status, code) in [
            (ask(body.clone(), "wrong").await, 401, "unauthorized"),
            (ask("{".to_owned(), "test-key").await, 400, "invalid_json"),
            (ask(client.body(" ", &["a"]).to_string(), "test-key").await, bad, "invalid_request"),
            (ask(client.body("q", &[&"x".repeat(2_000)]).to_string(), "test-key").await, 413, "body_too_large"),
            (ask(unknown.to_string(), "test-key").await, 404, "unknown_model"),
            (ask(body.clone(), "test-key").await, 429, "upstream_rate_limited"),
            (ask(body, "test-key").await, 502, "upstream_unavailable"),
        ] {
            let place = format!("{}: {code}: {}", client.dialect, answer.body);
            assert_eq!(answer.status, status, "{place}");
            assert_eq!(answer.body["code"], code, "{place}");
            if status != 401 {
                assert_eq!(answer.headers["x-rerank-dialect"], client.dialect, "{place}");
            }
            assert!(answer.body["detail"].is_string() && answer.body["message"].is_string(), "{place}");
            let text =
                if answer.body["error"].is_string() { &answer.body["error"] } else { &answer.body["error"]["message"] };
            assert_eq!(text, &answer.body["message"], "{place}");
            let retry_after = answer.headers.get("retry-after").map(|value| value.to_str().unwrap());
            assert_eq!(retry_after, (status == 429).then_some("3"), "{place}");
        }
    }
}

/// Law 11: whatever a dialect refuses, it does not quote.
#[tokio::test]
async fn law_11_no_dialect_quotes_what_it_refuses() {
    const CANARY: &str = "canary-zq81";
    let gateway = Gateway::start("").await;
    for client in Client::all() {
        let whole = client.body(CANARY, &[CANARY, CANARY]);
        let fields: Vec<_> = whole.as_object().unwrap().keys().cloned().collect();
        let mut broken: Vec<String> = Vec::new();
        for field in fields {
            for wrong in
                [json!(CANARY), json!({ "a": CANARY }), json!([[CANARY]]), json!([{ "image": CANARY }]), json!(7)]
            {
                let mut body = whole.clone();
                body[&field] = wrong;
                broken.push(body.to_string());
            }
        }
        for field in ["top_n", "top_k", "return_documents", "rank_fields", "model", "timeout_ms", "parameters"] {
            let mut body = whole.clone();
            body[field] = json!([CANARY]);
            broken.push(body.to_string());
        }
        let text = whole.to_string();
        broken.extend([text[..text.len() - 2].to_owned(), text.replace(CANARY, &format!("{CANARY}\\ud800"))]);
        let mut refused = 0;
        for body in broken {
            let answer = gateway.send(gateway.post(client.path()).body(body.clone())).await;
            if answer.status != 200 {
                refused += 1;
                assert!(!answer.body.to_string().contains(CANARY), "{}: {body}: {}", client.dialect, answer.body);
            }
        }
        assert!(refused > 6, "{}: {refused}", client.dialect);
    }
}

#[tokio::test]
async fn dialect_header_and_path_override_the_dialect_of_a_key() {
    let config = "[server]\napi_keys = ['env:KEY', { key = 'env:OTHER', dialect = 'infinity' }]";
    let gateway = Gateway::start(config).await;
    let body = json!({"query": "apple", "documents": ["apple"], "return_documents": true}).to_string();
    let ask = async |path: &str, key: &str, dialect: Option<&str>| {
        let mut request = gateway.post(path).bearer_auth(key).body(body.clone());
        if let Some(dialect) = dialect {
            request = request.header("x-rerank-dialect", dialect);
        }
        let answer = gateway.send(request).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    };
    let (object, text) = (json!({"text": "apple"}), json!("apple"));
    assert_eq!(ask("/rerank", "test-key", None).await["results"][0]["document"], object);
    assert_eq!(ask("/rerank", "other-key", None).await["results"][0]["document"], text);
    assert_eq!(ask("/rerank", "other-key", Some("Jina")).await["results"][0]["document"], object);
    assert_eq!(ask("/vllm/rerank", "other-key", Some("infinity")).await["results"][0]["document"], object);
    let wrong = gateway
        .send(gateway.post("/rerank").bearer_auth("test-key").header("x-rerank-dialect", "cohre").body(body))
        .await;
    assert_eq!(wrong.status, 400);
    assert!(wrong.body["detail"].as_str().unwrap().contains("xinference"), "{}", wrong.body);
}

#[tokio::test]
async fn error_names_its_dialect_once_reranking_has_begun() {
    let gateway = Gateway::start("[server]\napi_keys = ['env:KEY']").await;
    for (path, header, key, body, status, dialect) in [
        ("/voyage/v1/rerank", "", "test-key", "{", 400, Some("voyage")),
        ("/rerank", "", "test-key", r#"{"query":"q","texts":7}"#, 422, Some("tei")),
        ("/rerank", "vllm", "test-key", r#"{"query":"q","texts":7}"#, 400, Some("vllm")),
        ("/rerank", "cohre", "test-key", r#"{"query":"q","texts":7}"#, 400, Some("native")),
        ("/tei/rerank", "", "wrong-key", "{", 401, None),
        ("/tei/nowhere", "", "test-key", "{", 404, None),
    ] {
        let request = gateway.post(path).bearer_auth(key).header("x-rerank-dialect", header).body(body);
        let answer = gateway.send(request).await;
        let named = answer.headers.get("x-rerank-dialect").map(|name| name.to_str().unwrap());
        assert_eq!((answer.status.as_u16(), named), (status, dialect), "{path} {header} {body}");
    }
}

/// Rule 17: `object` is what the path says, whichever way the native dialect is named.
#[tokio::test]
async fn native_dialect_takes_its_object_field_from_the_path() {
    let gateway = Gateway::start("").await;
    for (path, dialect, object) in [
        ("/rerank", None, "rerank"),
        ("/v1/rerank", None, "list"),
        ("/rerank", Some("native"), "rerank"),
        ("/v1/rerank", Some("native"), "list"),
        ("/v2/rerank", Some("native"), "list"),
        ("/native/rerank", None, "rerank"),
        ("/native/v1/rerank", None, "list"),
    ] {
        let mut request = gateway.post(path).body(r#"{"query":"q","documents":["a"]}"#);
        if let Some(dialect) = dialect {
            request = request.header("x-rerank-dialect", dialect);
        }
        let answer = gateway.send(request).await.body;
        assert_eq!(answer["object"], object, "{path} {dialect:?}");
        assert_eq!(answer.get("data").is_some(), object == "list", "{path} {dialect:?}");
    }
}

#[tokio::test]
async fn always_return_documents_echoes_documents_unasked() {
    let gateway = Gateway::start("[server]\nalways_return_documents = true").await;
    let answer = gateway.send(gateway.post("/v2/rerank").body(r#"{"query":"q","documents":["a"]}"#)).await;
    assert_eq!(answer.body["results"][0]["document"], json!({"text": "a"}));
}

/// Law 8: the header marks a degraded answer in dialects whose body has no field for it.
#[tokio::test]
async fn law_8_degraded_answer_sets_header_in_every_dialect() {
    let fake = FakeUpstream::start("cohere").await;
    let gateway = gateway_with_one_attempt(&fake, "", "on_failure = 'original_order'\n").await;
    for client in Client::all() {
        fake.then([Reply::status(500)]);
        let answer = client.ask(&gateway, "q", &["a", "b", "c"]).await;
        assert_eq!(answer.status, 200, "{}", client.dialect);
        assert_eq!(answer.headers["x-rerankd-degraded"], "upstream_unavailable", "{}", client.dialect);
        assert_eq!(answer.headers["x-rerank-dialect"], client.dialect);
        let unscored = match client.dialect {
            "weaviate" => answer.body["scores"].as_array().unwrap().iter().all(|score| score["score"].is_null()),
            "deepinfra" => answer.body["scores"] == json!([null, null, null]),
            _ => client.ranking(&answer.body) == [(0, None), (1, None), (2, None)],
        };
        assert!(unscored, "{}: {}", client.dialect, answer.body);
    }
    assert!(healthy_answer(&gateway).await.headers.get("x-rerankd-degraded").is_none());
}

/// A selector gives no scores: null, or numbers made of ranks where clients of the dialect need them. A header tells.
#[tokio::test]
async fn answers_of_a_selector_have_null_or_ranks_by_dialect() {
    let fake = FakeUpstream::start("cohere").await;
    fake.answer_always(Some(picks(&[2, 0])));
    let up = upstream("up", "cohere", &fake.url());
    let gateway = Gateway::start(&format!("{PICKER}{up}{}", targets("default", &[("up", "picker")]))).await;
    for client in Client::all() {
        let answer = client.ask(&gateway, "q", &["a", "b", "c", "d"]).await;
        assert_eq!(answer.headers["x-rerankd-scale"], "none", "{}", client.dialect);
        let needs_numbers = ["tei", "nvidia", "weaviate", "deepinfra", "pinecone"].contains(&client.dialect);
        let told = answer.headers.get("x-rerankd-scores").map(|value| value.to_str().unwrap());
        assert_eq!(told, needs_numbers.then_some("ranks"), "{}", client.dialect);
        let ranking = client.ranking(&answer.body);
        assert_eq!(ranking.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [2, 0, 1, 3], "{}", client.dialect);
        for ((_, score), rank) in ranking.iter().zip(0..) {
            let expected = needs_numbers.then_some(1.0 - f64::from(rank) / 4.0);
            let is_right = match (score, expected) {
                (Some(score), Some(expected)) => (score - expected).abs() < 1e-9,
                (score, expected) => *score == expected,
            };
            assert!(is_right, "{}: {}", client.dialect, answer.body);
        }
    }
    assert_eq!(fake.calls().len(), 1, "the list is the same in every dialect");
}

async fn healthy_answer(gateway: &Gateway) -> Answer {
    gateway.try_rerank(json!({"query": "q", "documents": ["a"]})).await
}

/// Rule 16: a client's threshold between 0 and 1 means the same before a model of logits; scales that are no
/// probabilities are left alone.
#[tokio::test]
async fn logit_scores_are_returned_as_probabilities_unless_raw_scores_is_set() {
    for (scale, form) in [("logit", "sigmoid"), ("probability", "same"), ("cosine", "same"), ("unknown", "same")] {
        let fake = FakeUpstream::start("jina").await;
        let config = format!(
            "{}{}[providers.jina.models.m]\nscoring = 'pointwise'\nscale = '{scale}'\n",
            upstream("up", "jina", &fake.url()),
            targets("default", &[("up", "m")]),
        );
        let gateway = Gateway::start(&config).await;
        for client in Client::all() {
            // Weaviate and DeepInfra answer in input order, which is no matter here.
            let (index, score) = expected("q", &["a", "b", "c"])[0];
            let sigmoid = |score: f64| 1.0 / (1.0 + (-score).exp());
            // The reader of NVIDIA's answers applies a sigmoid, as Dify does.
            let turned = form == "sigmoid" || (client.dialect == "nvidia" && scale != "probability");
            let shown = if turned { sigmoid(score) } else { score };
            let ranking = client.rank(&gateway, "q", &["a", "b", "c"]).await;
            assert_eq!(ranking[0].0, index, "{} {scale}", client.dialect);
            assert!(
                (ranking[0].1.unwrap() - shown).abs() < 1e-9,
                "{} {scale}: {:?} {shown}",
                client.dialect,
                ranking[0]
            );
        }
        let told = if scale == "logit" { "probability" } else { scale };
        let answer = gateway.rerank("q", &["a", "b", "c"]).await;
        assert_eq!(answer["meta"]["rerankd"]["score_scale"], told);
        let raw = json!({"query": "q", "documents": ["a", "b", "c"], "raw_scores": true});
        let (_, score) = expected("q", &["a", "b", "c"])[0];
        let logit = if scale == "probability" { (score / (1.0 - score)).ln() } else { score };
        let shown = gateway.rerank_with(raw).await["results"][0]["relevance_score"].as_f64().unwrap();
        assert!((shown - logit).abs() < 1e-9, "{scale}: {shown} {logit}");
    }
}

/// Rule 19: 429 always says when to come back, in whole seconds.
#[tokio::test]
async fn status_429_always_carries_retry_after_in_whole_seconds() {
    let fake = FakeUpstream::start("cohere").await;
    let gateway = gateway_with_one_attempt(&fake, "", "").await;
    for (reply, expected) in [
        (Reply::status(429), "1"),
        (Reply::status_after(429, "retry-after", "0"), "1"),
        (Reply::status_after(429, "retry-after-ms", "1200"), "2"),
    ] {
        fake.then([reply]);
        let answer = gateway.try_rerank(json!({"query": "q", "documents": ["a"]})).await;
        assert_eq!((answer.status.as_u16(), &answer.headers["retry-after"]), (429, &expected.parse().unwrap()));
    }
}

#[tokio::test]
async fn model_aliases_map_names_with_the_most_specific_pattern_first() {
    let config = "[models.default]\ntargets = [{ upstream = 'local' }]\naliases = ['rerank-v3.5', 'nvidia/*']\n\
                  [models.other]\ntargets = [{ upstream = 'local' }]\naliases = ['nvidia/special*']\non_failure = 'error'\n";
    let gateway = Gateway::start(config).await;
    let ask = async |model: &str| gateway.try_rerank(json!({"model": model, "query": "q", "documents": []})).await;
    for model in ["rerank-v3.5", "nvidia/anything", "nvidia/special-1", "default", "local/lexical"] {
        let answer = ask(model).await;
        assert_eq!((answer.status.as_u16(), answer.body["model"].as_str()), (200, Some(model)));
    }
    let count = async |model: &str| {
        gateway.metric(&format!("rerank_requests_total{{model=\"{model}\",dialect=\"native\",outcome=\"ok\"}}")).await
    };
    assert_eq!(count("default").await, 3.0, "metrics carry the configured name");
    assert_eq!(count("other").await, 1.0, "the pattern that says most wins");
    let lost = ask("cohere/rerank-v3.5").await;
    assert_eq!(lost.status, 404);
    assert!(lost.body["detail"].as_str().unwrap().contains("under [models.default]: aliases = ["), "{}", lost.body);
}

#[tokio::test]
async fn paths_below_any_prefix_are_answered_without_a_redirect() {
    let gateway = Gateway::start("").await;
    let body = json!({"query": "apple", "documents": ["pear", "apple"]}).to_string();
    for path in
        ["//rerank", "/rerank/", "/v1/v2/rerank", "/some/prefix//v1/rerank/", "/v1/rerank/v1/rerank", "/v1/reranks"]
    {
        let answer = gateway.send(gateway.post(path).body(body.clone())).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert_eq!(answer.body["results"][0]["index"], 1, "{path}");
    }
    let lost = gateway.send(gateway.post("/tei/rerrank").body(body)).await;
    assert_eq!((lost.status.as_u16(), lost.body["code"].as_str()), (404, Some("not_found")));
    assert_eq!(lost.body["error_type"], "Validation", "a lost client of TEI is told in TEI's words");
    assert!(lost.body["detail"].as_str().unwrap().contains("did you mean /tei/rerank?"));
}
