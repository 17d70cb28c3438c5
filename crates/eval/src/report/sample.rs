//! Synthetic results that look like real ones, for tests and for sample pages. The same on every run.

use std::collections::BTreeMap;

use fastrand::Rng;
use rerankd_core::types::as_f64;

use super::super::collection::{Checksums, LeftOut, UnknownIds};
use super::super::results::{
    Candidate, Choice, CollectionSummary, Comparison, Contestant, Cost, Estimate, Kind, Latency, Machine, Query,
    Results, RunRecord, Times, Unanswered,
};

/// Candidates of each query.
const CANDIDATES: usize = 50;
/// Metrics, the decisive one first, each with its value as a multiple of nDCG@10.
const METRICS: [(&str, f64); 4] = [("ndcg@10", 1.0), ("map", 0.8), ("mrr@10", 1.1), ("r@10", 0.95)];
/// Language, a query, the beginning of a relevant passage and that of an irrelevant one.
const TOPICS: [[&str; 4]; 6] = [
    [
        "en",
        "how long does a refund take to reach my card",
        "Refunds are paid back to the card within five to seven working days \
         after the parcel has been scanned at our depot",
        "Gift cards cannot be exchanged for money and expire three years after they were bought, \
         whatever they were bought for",
    ],
    [
        "de",
        "Kündigungsfrist Grundstücksverkehrsgenehmigungszuständigkeitsübertragungsverordnung",
        "Die Kündigungsfrist beträgt drei Monate zum Ende eines Kalendervierteljahres, \
         sofern nichts anderes vereinbart ist",
        "Die Hauptversammlung wird vom Vorstand einberufen, wenn das Wohl der Gesellschaft es erfordert",
    ],
    [
        "ja",
        "返金はいつカードに反映されますか",
        "返金は、倉庫で荷物が確認されてから五から七営業日以内に、お支払いに使われたカードへ行われます。",
        "ギフトカードは現金と交換できません。購入日から三年で有効期限が切れます。",
    ],
    [
        "ko",
        "환불은 언제 카드로 들어오나요",
        "반품이 창고에서 확인된 뒤 영업일 기준 5일에서 7일 안에 결제한 카드로 환불됩니다.",
        "기프트 카드는 현금으로 바꿀 수 없으며 구입일로부터 3년이 지나면 만료됩니다.",
    ],
    [
        "ar",
        "متى يصل المبلغ المسترد إلى بطاقتي",
        "يعاد المبلغ إلى البطاقة خلال خمسة إلى سبعة أيام عمل بعد فحص الطرد في المستودع",
        "لا يمكن استبدال بطاقات الهدايا بالنقود وتنتهي صلاحيتها بعد ثلاث سنوات",
    ],
    [
        "en",
        "what is the maximum context length of the embedding endpoint",
        "Inputs longer than 8,192 tokens are cut at the end; \
         set truncate=false to get an error with code input_too_long instead",
        "Rate limits are counted per key and per minute; a 429 answer carries the Retry-After header",
    ],
];
/// Name, kind, noise of the scores (less is better), cold median in milliseconds, US dollars for 1,000 queries.
const RERANKERS: [(&str, Kind, f64, f64, Option<f64>); 6] = [
    ("cohere/rerank-v4.0-pro", Kind::Model, 1.0, 412.0, Some(2.5)),
    ("voyage/rerank-2.5", Kind::Model, 1.02, 268.0, Some(0.41)),
    ("voyage/rerank-2.5-lite", Kind::Model, 1.3, 143.0, Some(0.16)),
    ("jina/jina-reranker-v2-base-multilingual", Kind::Model, 1.5, 231.0, None),
    ("local", Kind::Model, 2.6, 0.84, Some(0.0)),
    ("bge-m3", Kind::Model, 1.2, 640.0, None),
];

/// Results over `count` queries, of six rerankers and the first stage.
pub(crate) fn results(count: usize) -> Results {
    let mut random = Rng::with_seed(7);
    let mut queries = Vec::with_capacity(count);
    for number in 0..count {
        queries.push(query(number, &mut random));
    }
    let mut contestants = vec![contestant("none", Kind::None, 0.0, &queries, &mut random)];
    for (name, kind, noise, cold, usd) in RERANKERS {
        let mut contestant = contestant(name, kind, noise, &queries, &mut random);
        if kind == Kind::Model {
            let warm = if cold < 1.0 { cold } else { 0.21 };
            contestant.latency = Some(Latency { cold: times(cold, count), warm: Some(times(warm, count)) });
            contestant.cost = Some(cost(usd));
            contestant.answered_by = vec![name.to_owned()];
        }
        contestants.push(contestant);
    }
    // Of `RERANKERS`, after the first stage: `compare` sorts them only later.
    contestants[1].failures = BTreeMap::from([("upstream_timeout".to_owned(), 2), ("rate_limited".to_owned(), 1)]);
    contestants[1].first_failure = Some("upstream cohere took longer than 10 s".to_owned());
    contestants[2].answered_by.push("voyage/rerank-2.5-lite".to_owned());
    contestants[2].fallbacks = 4;
    contestants[4].degraded = 5;
    compare(&mut contestants);
    Results {
        rerankd: "0.1.0".to_owned(),
        run: Some(run_record()),
        collection: collection(count),
        k: 10,
        metrics: metric_names(),
        definitions: metric_names().into_iter().map(|it| (it.clone(), format!("What {it} measures."))).collect(),
        choice: choice(&contestants[0].name),
        contestants,
        unanswered: vec![Unanswered {
            name: "mixedbread/mxbai-rerank-large-v2".to_owned(),
            failures: BTreeMap::from([("upstream_unauthorized".to_owned(), 5)]),
            message: "upstream mixedbread refused the key".to_owned(),
        }],
        queries,
    }
}

fn run_record() -> RunRecord {
    let checksum = "3f786850e387550fdab836ed7e6dc881de23001b3f786850e387550fdab836ed".to_owned();
    RunRecord {
        date: "2026-11-30T18:00:00Z".to_owned(),
        command: "rerankd eval --data help-centre --models cohere/rerank-v4.0-pro,voyage/rerank-2.5,local".to_owned(),
        machine: Machine { cpu: "Example CPU at 2.40GHz".to_owned(), cores: 8, os: "Debian GNU/Linux 13".to_owned() },
        settings: BTreeMap::from([("k".to_owned(), "10".to_owned()), ("candidates".to_owned(), "bm25:50".to_owned())]),
        checksums: Checksums {
            passages: checksum.clone(),
            queries: checksum.clone(),
            judgments: checksum.clone(),
            candidates: checksum.clone(),
        },
        models: RERANKERS.iter().map(|(name, ..)| ((*name).to_owned(), checksum.clone())).collect(),
        answers_kept: 12,
        answers_new: 1_788,
        prices_as_of: Some("2026-11-23".to_owned()),
    }
}

fn metric_names() -> Vec<String> {
    METRICS.iter().map(|(metric, _)| (*metric).to_owned()).collect()
}

/// Times around a median in milliseconds.
fn times(p50: f64, count: usize) -> Times {
    Times { p50, p95: p50 * 2.3, mean: p50 * 1.2, count }
}

fn cost(usd: Option<f64>) -> Cost {
    let unit = if usd == Some(0.0) { "free" } else { "million tokens" };
    Cost {
        usd_per_1000_queries: usd,
        tokens_per_query: Some(8120.0),
        search_units_per_query: None,
        unit: unit.to_owned(),
    }
}

fn collection(queries: usize) -> CollectionSummary {
    CollectionSummary {
        name: "help-centre".to_owned(),
        queries,
        judgments: Some("qrels/test.tsv".to_owned()),
        left_out: LeftOut {
            unjudged_queries: 4,
            queries_without_candidates: 2,
            judgments_of_unknown_passages: UnknownIds { count: 3, first: Some("d98".to_owned()) },
            ..LeftOut::default()
        },
        passages: 12_408,
        first_stage: "bm25".to_owned(),
        candidates_per_query: as_f64(CANDIDATES),
        undecidable_queries: 0,
        recall_ceiling: Some(0.887),
    }
}

/// The choice of `name` by every strategy.
fn choice(name: &str) -> Choice {
    let mut by_strategy = BTreeMap::new();
    for strategy in ["mean", "normalize_mean", "rank"] {
        by_strategy.insert(strategy.to_owned(), name.to_owned());
    }
    Choice {
        by_strategy,
        metrics: metric_names(),
        speed_threshold_ms: Some(800.0),
        too_slow: Vec::new(),
        not_timed: Vec::new(),
    }
}

fn query(number: usize, random: &mut Rng) -> Query {
    let [language, text, relevant, irrelevant] = TOPICS[number % TOPICS.len()];
    let mut candidates = Vec::with_capacity(CANDIDATES);
    for rank in 0..CANDIDATES {
        // The first stage has found something too: relevant passages are rarer further down.
        let grade = match random.f64() * (1.0 + as_f64(rank) / 12.0) {
            chance if chance < 0.06 => Some(2),
            chance if chance < 0.16 => Some(1),
            chance if chance < 0.9 => Some(0),
            _ => None,
        };
        let passage = if grade > Some(0) { relevant } else { irrelevant };
        let beginning = format!("{passage} [{number}.{rank}]");
        candidates.push(Candidate { id: format!("p{number}-{rank}"), grade, beginning });
    }
    let domain = ["payments", "contracts", "developers"][number % 3];
    let labels =
        BTreeMap::from([("language".to_owned(), language.to_owned()), ("domain".to_owned(), domain.to_owned())]);
    Query { id: format!("q{number}"), text: format!("{text} #{number}"), labels, candidates }
}

fn contestant(name: &str, kind: Kind, noise: f64, queries: &[Query], random: &mut Rng) -> Contestant {
    let mut rankings = Vec::with_capacity(queries.len());
    let mut scores = Vec::with_capacity(queries.len());
    let mut by_query = Vec::with_capacity(queries.len());
    for query in queries {
        let ranking = ranking(query, kind, noise, random);
        let ndcg = ndcg(query, &ranking);
        let mut values = BTreeMap::new();
        for (metric, factor) in METRICS {
            values.insert(metric.to_owned(), (ndcg * factor).min(1.0));
        }
        by_query.push(values);
        scores.push(vec![None; ranking.len()]);
        rankings.push(ranking);
    }
    let mut metrics = BTreeMap::new();
    for (metric, _) in METRICS {
        let values: Vec<f64> = by_query.iter().map(|values| values[metric]).collect();
        metrics.insert(metric.to_owned(), estimate(&values));
    }
    Contestant { by_query, rankings, scores, ..Contestant::with_metrics(name, kind, metrics) }
}

/// Indexes of the candidates by their grade with `noise` added, best first.
fn ranking(query: &Query, kind: Kind, noise: f64, random: &mut Rng) -> Vec<usize> {
    let mut scored = Vec::with_capacity(query.candidates.len());
    for (index, candidate) in query.candidates.iter().enumerate() {
        let grade = f64::from(candidate.grade.unwrap_or(0));
        // The sum of three uniform numbers is close to a normal one.
        let luck = (random.f64() + random.f64() + random.f64() - 1.5) * 2.0;
        let score = if kind == Kind::None { 0.0 } else { grade + noise * luck - as_f64(index) * 0.01 };
        scored.push((index, score));
    }
    scored.sort_by(|one, other| other.1.total_cmp(&one.1));
    scored.into_iter().map(|(index, _)| index).collect()
}

/// nDCG@10 of a ranking.
fn ndcg(query: &Query, ranking: &[usize]) -> f64 {
    let grades: Vec<i32> = ranking.iter().map(|&index| query.candidates[index].grade.unwrap_or(0)).collect();
    let mut ideal = grades.clone();
    ideal.sort_unstable_by(|one, other| other.cmp(one));
    let best = dcg(&ideal);
    if best > 0.0 { dcg(&grades) / best } else { 0.0 }
}

/// Discounted cumulative gain of the first ten grades.
fn dcg(grades: &[i32]) -> f64 {
    let mut sum = 0.0;
    for (index, &grade) in grades.iter().take(10).enumerate() {
        sum += f64::from(grade) / (as_f64(index) + 2.0).log2();
    }
    sum
}

/// The mean with a normal interval, which is good enough for a sample.
fn estimate(values: &[f64]) -> Estimate {
    let count = as_f64(values.len()).max(1.0);
    let mean = values.iter().sum::<f64>() / count;
    let mut squares = 0.0;
    for value in values {
        squares += (value - mean).powi(2);
    }
    let variance = squares / count;
    let half = 1.96 * (variance / count).sqrt();
    Estimate { mean, low: mean - half, high: mean + half }
}

/// The difference between two contestants, with an approximation of the normal distribution's tail as its p-value.
fn compared(one: &Contestant, other: &Contestant) -> Comparison {
    let (metric, _) = METRICS[0];
    let mut differences = Vec::with_capacity(one.by_query.len());
    for (values, other_values) in one.by_query.iter().zip(&other.by_query) {
        differences.push(values[metric] - other_values[metric]);
    }
    let difference = estimate(&differences);
    let z = (difference.mean / ((difference.high - difference.mean) / 1.96).max(1e-12)).abs();
    let p = (-0.717 * z - 0.416 * z * z).exp();
    Comparison { difference, p, p_adjusted: (p * 5.0).min(1.0), is_noise: p * 5.0 >= 0.05 }
}

/// Sorts the contestants, compares each with the best and with the first stage, and marks the Pareto front.
pub(super) fn compare(contestants: &mut [Contestant]) {
    contestants.sort_by(|one, other| quality(other).total_cmp(&quality(one)));
    let all = contestants.to_vec();
    let best = &all[0];
    let first_stage = all.iter().find(|it| it.kind == Kind::None).unwrap();
    for contestant in contestants {
        contestant.against_best = (contestant.name != best.name).then(|| compared(contestant, best));
        contestant.against_none = (contestant.kind != Kind::None).then(|| compared(contestant, first_stage));
        contestant.to_none.clear();
        if let Some(comparison) = contestant.against_none {
            contestant.to_none.insert(METRICS[0].0.to_owned(), comparison.difference);
        }
        contestant.on_pareto_front =
            contestant.latency.is_some() && !all.iter().any(|other| dominates(other, contestant));
    }
}

/// Returns true if `one` was timed, is at least as good, as fast and as cheap as `other`, and better in one of these.
fn dominates(one: &Contestant, other: &Contestant) -> bool {
    let better = quality(one) - quality(other);
    let faster = cold_median(other) - cold_median(one);
    let cheaper = usd(other) - usd(one);
    let is_as_good = better >= 0.0 && faster >= 0.0 && cheaper >= 0.0;
    one.latency.is_some() && is_as_good && (better > 0.0 || faster > 0.0 || cheaper > 0.0)
}

/// Mean of the decisive metric.
fn quality(contestant: &Contestant) -> f64 {
    let (metric, _) = METRICS[0];
    contestant.metrics[metric].mean
}

/// Milliseconds; more than anything if not timed.
fn cold_median(contestant: &Contestant) -> f64 {
    match &contestant.latency {
        Some(latency) => latency.cold.p50,
        None => f64::MAX,
    }
}

/// US dollars for 1,000 queries; more than anything if not known.
fn usd(contestant: &Contestant) -> f64 {
    contestant.usd().unwrap_or(f64::MAX)
}
