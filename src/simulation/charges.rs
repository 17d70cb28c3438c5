//! Charges that an upstream tells itself: they win over list prices, and stand in where there is none.

use std::sync::Arc;
use std::time::Duration;

use rerankd_core::cache::control::CacheControl;
use rerankd_core::cache::key::CacheScope;
use rerankd_core::provider::KeyPlacement;
use rerankd_core::rerank::{RequestContext, Reranker};
use rerankd_core::types::passages::OwnedPassage;
use rerankd_core::types::request::RerankRequest;
use rerankd_core::types::response::AnswerCost;
use rerankd_core::upstream::Upstream;
use rerankd_core::upstream::call::{Call, Scores};
use rerankd_core::upstream::key_ring::KeyRing;
use tokio::time::{Instant, sleep};

use crate::assemble::assemble_with;
use crate::config::{Environment, Sources, load};
use crate::http::models::list;

const CONFIG: &str = r"
[upstreams.up]
provider = 'jina'
base_url = 'http://up'
max_passages = 2
[upstreams.shadow]
provider = 'jina'
base_url = 'http://shadow'
[models.unpriced]
targets = [{ upstream = 'up', model = 'jina-colbert-v2' }]
[models.priced]
targets = [{ upstream = 'up', model = 'jina-reranker-v2-base-multilingual' }]
[models.by-call]
targets = [{ upstream = 'up', model = 'by-call' }]
[models.shadowed]
targets = [{ upstream = 'up', model = 'by-call' }]
shadow = { target = { upstream = 'shadow', model = 'jina-colbert-v2' }, sample = 1, max_usd_per_day = 0.5 }
[providers.jina.models.by-call]
scoring = 'pointwise'
usd_per_call = 0.25
";

/// A pipeline whose upstream charges `usd` for each call, if it says so, and a million tokens.
fn charging(usd: Option<f64>) -> Arc<Reranker> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), CONFIG).unwrap();
    let sources = Sources { file: Some(file.path().to_owned()), environment: Environment::new(), listen: None };
    let settings = load(&sources).unwrap().settings;
    let reranker = assemble_with(&settings, |upstream, metrics| {
        let answer = move |call: Call| async move {
            let scores = vec![0.5; call.passages];
            Ok(Scores { scores, tokens: Some(1_000_000), cost_usd: usd, ..Scores::default() })
        };
        let transport = tower::service_fn(move |call| Box::pin(answer(call)));
        let keys = Arc::new(KeyRing::new(&[], &KeyPlacement::bearer())?);
        Ok(Upstream::behind(transport, upstream.stack(), metrics, keys))
    });
    Arc::new(reranker.unwrap())
}

/// The cost of an answer with the documents 0 to `count - 1`. The model's shadow, if it has one, is asked too.
async fn cost(reranker: &Arc<Reranker>, model: &str, count: usize) -> AnswerCost {
    let route = reranker.routes.resolve(Some(model)).unwrap();
    let passages = (0..count).map(|number| OwnedPassage { text: number.to_string().into(), object: None }).collect();
    let request = Arc::new(RerankRequest { query: "q".into(), passages, ..RerankRequest::default() });
    let started = Instant::now();
    let deadline = started + Duration::from_secs(10);
    let control = CacheControl::default();
    let context = RequestContext { started, deadline, control, scope: CacheScope::SHARED };
    let response = reranker.rerank(&route, &request, &context).await.unwrap();
    reranker.compare_with_shadow(&route, &request, &context, &response);
    sleep(Duration::from_secs(1)).await;
    response.provenance.cost
}

#[tokio::test(start_paused = true)]
async fn what_the_upstream_says_wins_over_the_list_price() {
    for (said, model, spent) in [
        (Some(0.25), "priced", Some(0.75)),
        (None, "priced", Some(0.15)), // three million tokens
        (Some(0.25), "unpriced", Some(0.75)),
        (Some(0.0), "unpriced", Some(0.0)),
        (None, "unpriced", None),
        (Some(0.5), "by-call", Some(1.5)),
        (None, "by-call", Some(0.75)),
    ] {
        let reranker = charging(said);
        let found = cost(&reranker, model, 5).await.spent_usd;
        let is_right = match (found, spent) {
            (Some(found), Some(spent)) => (found - spent).abs() < 1e-12,
            (found, spent) => found == spent,
        };
        assert!(is_right, "{said:?} {model}: {found:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_upstream_says_is_in_the_metrics_and_in_the_list_of_models() {
    let reranker = charging(Some(0.25));
    cost(&reranker, "unpriced", 5).await;
    assert_eq!(reranker.metrics.dollars("up", "jina-colbert-v2"), (0.75, 0.0));
    let models = serde_json::to_value(list(&reranker)).unwrap();
    let of_model = |name: &str| {
        let listed = models["data"].as_array().unwrap().iter().find(|model| model["id"] == name);
        listed.unwrap()["cost"].clone()
    };
    assert_eq!(of_model("unpriced")["spent_usd"], 0.75);
    assert!(of_model("unpriced")["saved_usd"].is_null(), "there is no price to tell what was saved");
    let unsaid = charging(None);
    cost(&unsaid, "unpriced", 5).await;
    assert!(serde_json::to_string(&list(&unsaid)).unwrap().contains(r#""spent_usd":null"#));
}

/// Calls are billed whatever their size: a known pair saves a call only where it would have needed one.
#[tokio::test(start_paused = true)]
async fn known_pairs_save_whole_calls_where_calls_are_billed() {
    let reranker = charging(None);
    for (count, spent, saved) in [(3, 0.5, 0.0), (4, 0.25, 0.25), (4, 0.0, 0.5), (7, 0.5, 0.5)] {
        let cost = cost(&reranker, "by-call", count).await;
        assert_eq!((cost.spent_usd, cost.saved.usd), (Some(spent), Some(saved)), "{count}");
        assert!(!cost.saved.is_estimate);
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_upstream_says_counts_against_the_budget_of_a_shadow() {
    let reranker = charging(Some(0.25));
    for count in 2..=5 {
        cost(&reranker, "shadowed", count).await;
    }
    let route = reranker.routes.resolve(Some("shadowed")).unwrap();
    let report = route.shadow.as_ref().unwrap().report();
    assert_eq!((report.compared, report.failed, report.skipped), (2, 0, 2));
}
