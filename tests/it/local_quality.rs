//! The quality of the embedded scorer on judged collections.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use rerankd::assemble::assemble;
use rerankd_eval::answers::{AnswerLog, EvalRun, QueryFingerprints, RunOutcome};
use rerankd_eval::collection::{Candidates, Collection, Source, load};
use rerankd_eval::judge::{ContestantAnswers, Criteria, judge};

use crate::support::gateway::settings;

/// The figures of `docs/local-scorer.md`, where the judged collections are at hand (`RERANKD_TEST_DATA`), and for the
/// cross-encoder its weights (`RERANKD_TEST_MODEL`).
#[tokio::test]
async fn local_ndcg_reaches_the_documented_figures() {
    let Some(data) = std::env::var_os("RERANKD_TEST_DATA").map(PathBuf::from) else { return };
    for (name, least) in [("scifact", 0.655), ("noveleval", 0.66), ("jsquad-dev300", 0.92)] {
        let found = ndcg_at_10(&data.join(name), "local/lexical", "").await;
        assert!(found >= least, "{name}: nDCG@10 is {found:.4}, must be at least {least}");
    }
    let Some(model) = std::env::var_os("RERANKD_TEST_MODEL").map(PathBuf::from) else { return };
    let config = format!("[local]\nmodel_dir = '{}'", model.display());
    let found = ndcg_at_10(&data.join("noveleval"), "local", &config).await;
    assert!(found >= 0.79, "noveleval: nDCG@10 is {found:.4}, must be at least 0.79");
}

/// nDCG@10 as `rerankd eval` computes it, over candidates in the order of their hashes, which ties keep.
async fn ndcg_at_10(folder: &Path, model: &str, config: &str) -> f64 {
    let source = Source {
        data: folder.to_owned(),
        candidates: Some(Candidates::File("bm25.top50.tsv".into())),
        ..Source::default()
    };
    let mut collection = load(&source).unwrap();
    let Collection { passages, queries, .. } = &mut collection;
    for query in queries {
        query.candidates.sort_by_key(|&place| blake3::hash(passages[place].id.as_bytes()).to_hex().to_string());
    }
    let settings = settings(config);
    let reranker = assemble(&settings).unwrap();
    let route = reranker.routes.resolve(Some(model)).unwrap();
    let run_folder = tempfile::tempdir().unwrap();
    let mut answer_log =
        AnswerLog::open(run_folder.path(), model, &route, &QueryFingerprints::of(&collection)).unwrap();
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    let timeout = settings.server.request_timeout;
    let eval_run = EvalRun {
        collection: &collection,
        reranker: &reranker,
        concurrency: 2,
        timeout,
        stopped,
        max_usd: None,
        spent_usd: Cell::new(0.0),
    };
    assert_eq!(eval_run.ask_all(&route, &mut answer_log, |_| {}).await.unwrap(), RunOutcome::Finished);
    let entries = [ContestantAnswers::of_answer_log(model, &answer_log, &route, &collection)];
    let results = judge(&collection, &entries, &Criteria { k: 10, speed_threshold: None, autorag: false });
    let contestant = results.contestants.iter().find(|contestant| contestant.name == model).unwrap();
    assert!(contestant.failures.is_empty(), "{:?}", contestant.failures);
    contestant.metrics["ndcg@10"].mean
}
