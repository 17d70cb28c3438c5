//! Made-up results that look like real ones, for tests and for looking at the page.

use std::collections::BTreeMap;

use fastrand::Rng;

use super::super::collection::{LeftOut, Strangers};
use super::super::results::{
    Candidate, Choice, CollectionSummary, Comparison, Contestant, Cost, Estimate, Kind, Latency, Query, Results, Times,
    Unanswered,
};
use crate::eval::exact;

const CANDIDATES: usize = 50;
const METRICS: [&str; 4] = ["ndcg@10", "map", "mrr@10", "r@10"];
/// Language, a query, the beginning of a relevant passage and that of another.
const TOPICS: [[&str; 4]; 6] = [
    [
        "en",
        "how long does a refund take to reach my card",
        "Refunds are paid back to the card within five to seven working days after the parcel has been scanned at our depot",
        "Gift cards cannot be exchanged for money and expire three years after they were bought, whatever they were bought for",
    ],
    [
        "de",
        "Kündigungsfrist Grundstücksverkehrsgenehmigungszuständigkeitsübertragungsverordnung",
        "Die Kündigungsfrist beträgt drei Monate zum Ende eines Kalendervierteljahres, sofern nichts anderes vereinbart ist",
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
        "Inputs longer than 8,192 tokens are cut at the end; set truncate=false to get an error with code input_too_long instead",
        "Rate limits are counted per key and per minute; a 429 answer carries the Retry-After header",
    ],
];
/// Name, kind, noise of its scores (less is better), cold p50, US dollars for 1,000 queries.
const RERANKERS: [(&str, Kind, f64, f64, Option<f64>); 6] = [
    ("cohere/rerank-v4.0-pro", Kind::Model, 1.0, 412.0, Some(2.5)),
    ("voyage/rerank-2.5", Kind::Model, 1.02, 268.0, Some(0.41)),
    ("voyage/rerank-2.5-lite", Kind::Model, 1.3, 143.0, Some(0.16)),
    ("jina/jina-reranker-v2-base-multilingual", Kind::Model, 1.5, 231.0, None),
    ("local", Kind::Model, 2.6, 0.84, Some(0.0)),
    ("bge-m3", Kind::Model, 1.2, 640.0, None),
];

/// `queries` queries with six rerankers and the order of the first stage.
pub(super) fn results(queries: usize) -> Results {
    let mut random = Rng::with_seed(7);
    let queries: Vec<_> = (0..queries).map(|number| query(number, &mut random)).collect();
    let mut contestants = vec![contestant("none", Kind::None, 0.0, &queries, &mut random)];
    for (name, kind, noise, cold, usd) in RERANKERS {
        let mut contestant = contestant(name, kind, noise, &queries, &mut random);
        if kind == Kind::Model {
            let times = |p50: f64| Times { p50, p95: p50 * 2.3, mean: p50 * 1.2, count: queries.len() };
            contestant.latency =
                Some(Latency { cold: times(cold), warm: Some(times(if cold < 1.0 { cold } else { 0.21 })) });
            let unit = if usd == Some(0.0) { "free" } else { "million tokens" }.to_owned();
            contestant.cost = Some(Cost {
                usd_per_1000_queries: usd,
                tokens_per_query: Some(8120.0),
                search_units_per_query: None,
                unit,
            });
            contestant.answered_by = vec![name.to_owned()];
        }
        contestants.push(contestant);
    }
    contestants[1].failures = BTreeMap::from([("upstream_timeout".to_owned(), 2), ("rate_limited".to_owned(), 1)]);
    contestants[1].first_failure = Some("upstream cohere took longer than 10 s".to_owned());
    contestants[2].answered_by.push("voyage/rerank-2.5-lite".to_owned());
    contestants[2].fallbacks = 4;
    contestants[4].degraded = 5;
    compare(&mut contestants);
    Results {
        rerankd: "0.1.0".to_owned(),
        collection: CollectionSummary {
            name: "help-centre".to_owned(),
            queries: queries.len(),
            judgments: Some("qrels/test.tsv".to_owned()),
            left_out: LeftOut {
                unjudged_queries: 4,
                queries_without_candidates: 2,
                judgments_of_unknown_passages: Strangers { count: 3, first: Some("d98".to_owned()) },
                ..LeftOut::default()
            },
            passages: 12_408,
            first_stage: "bm25".to_owned(),
            candidates_per_query: exact(CANDIDATES),
            recall_ceiling: Some(0.887),
        },
        k: 10,
        metrics: METRICS.map(str::to_owned).to_vec(),
        definitions: METRICS.map(|metric| (metric.to_owned(), format!("What {metric} measures."))).into(),
        choice: Choice {
            by_strategy: ["mean", "normalize_mean", "rank"]
                .map(|it| (it.to_owned(), contestants[0].name.clone()))
                .into(),
            metrics: METRICS.map(str::to_owned).to_vec(),
            speed_threshold_ms: Some(800.0),
            too_slow: Vec::new(),
            not_timed: Vec::new(),
        },
        contestants,
        unanswered: vec![Unanswered {
            name: "mixedbread/mxbai-rerank-large-v2".to_owned(),
            failures: BTreeMap::from([("upstream_unauthorized".to_owned(), 5)]),
            message: "upstream mixedbread refused the key".to_owned(),
        }],
        queries,
    }
}

fn query(number: usize, random: &mut Rng) -> Query {
    let [language, text, relevant, other] = TOPICS[number % TOPICS.len()];
    let candidates = (0..CANDIDATES).map(|rank| {
        let grade = match random.f64() * (1.0 + exact(rank) / 12.0) {
            chance if chance < 0.06 => Some(2),
            chance if chance < 0.16 => Some(1),
            chance if chance < 0.9 => Some(0),
            _ => None,
        };
        let text = if grade > Some(0) { relevant } else { other };
        Candidate { id: format!("p{number}-{rank}"), grade, beginning: format!("{text} [{number}.{rank}]") }
    });
    let candidates = candidates.collect();
    let domain = ["payments", "contracts", "developers"][number % 3];
    let labels = [("language", language), ("domain", domain)].map(|(name, value)| (name.to_owned(), value.to_owned()));
    Query { id: format!("q{number}"), text: format!("{text} #{number}"), labels: labels.into(), candidates }
}

fn contestant(name: &str, kind: Kind, noise: f64, queries: &[Query], random: &mut Rng) -> Contestant {
    let mut rankings = Vec::new();
    for query in queries {
        let mut scored: Vec<_> = query
            .candidates
            .iter()
            .enumerate()
            .map(|(place, candidate)| {
                let grade = f64::from(candidate.grade.unwrap_or(0));
                let luck = (random.f64() + random.f64() + random.f64() - 1.5) * 2.0;
                (place, if kind == Kind::None { 0.0 } else { grade + noise * luck - exact(place) * 0.01 })
            })
            .collect();
        scored.sort_by(|one, other| other.1.total_cmp(&one.1));
        rankings.push(scored.into_iter().map(|(place, _)| place).collect::<Vec<_>>());
    }
    let by_query: Vec<_> = queries
        .iter()
        .zip(&rankings)
        .map(|(query, ranking)| {
            let ndcg = ndcg(query, ranking);
            METRICS
                .iter()
                .zip([1.0, 0.8, 1.1, 0.95])
                .map(|(metric, factor)| ((*metric).to_owned(), (ndcg * factor).min(1.0)))
                .collect()
        })
        .collect();
    let metrics = METRICS
        .map(|metric| (metric.to_owned(), estimate(by_query.iter().map(|values: &BTreeMap<_, _>| values[metric]))));
    Contestant {
        name: name.to_owned(),
        kind,
        answered_by: Vec::new(),
        failures: BTreeMap::new(),
        failed_queries: Vec::new(),
        first_failure: None,
        fallbacks: 0,
        degraded: 0,
        metrics: metrics.into(),
        against_best: None,
        against_none: None,
        latency: None,
        cost: None,
        on_pareto_front: false,
        by_query,
        scores: rankings.iter().map(|ranking| vec![None; ranking.len()]).collect(),
        rankings,
    }
}

fn ndcg(query: &Query, ranking: &[usize]) -> f64 {
    let gain = |grades: &mut dyn Iterator<Item = i32>| -> f64 {
        grades.take(10).enumerate().map(|(rank, grade)| f64::from(grade) / (exact(rank) + 2.0).log2()).sum()
    };
    let grade = |place: usize| query.candidates[place].grade.unwrap_or(0);
    let mut ideal: Vec<_> = (0..query.candidates.len()).map(grade).collect();
    ideal.sort_unstable_by(|one, other| other.cmp(one));
    let best = gain(&mut ideal.into_iter());
    if best > 0.0 { gain(&mut ranking.iter().map(|&place| grade(place))) / best } else { 0.0 }
}

/// The mean with a normal interval: good enough for looking at.
fn estimate(values: impl Iterator<Item = f64>) -> Estimate {
    let values: Vec<_> = values.collect();
    let count = exact(values.len()).max(1.0);
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    let half = 1.96 * (variance / count).sqrt();
    Estimate { mean, low: mean - half, high: mean + half }
}

fn compared(one: &Contestant, other: &Contestant) -> Comparison {
    let pairs = one.by_query.iter().zip(&other.by_query);
    let difference = estimate(pairs.map(|(one, other)| one[METRICS[0]] - other[METRICS[0]]));
    let z = (difference.mean / ((difference.high - difference.mean) / 1.96).max(1e-12)).abs();
    let p = (-0.717 * z - 0.416 * z * z).exp();
    Comparison { difference, p, p_adjusted: (p * 5.0).min(1.0), is_noise: p * 5.0 >= 0.05 }
}

/// Sorts them, and compares each with the best and with `none`.
pub(super) fn compare(contestants: &mut [Contestant]) {
    let value = |contestant: &Contestant| contestant.metrics[METRICS[0]].mean;
    contestants.sort_by(|one, other| value(other).total_cmp(&value(one)));
    let (best, none) = (contestants[0].clone(), contestants.iter().find(|it| it.kind == Kind::None).cloned().unwrap());
    let all = contestants.to_vec();
    for contestant in contestants {
        contestant.against_best = (contestant.name != best.name).then(|| compared(contestant, &best));
        contestant.against_none = (contestant.kind != Kind::None).then(|| compared(contestant, &none));
        let cold = |it: &Contestant| it.latency.map_or(f64::MAX, |latency| latency.cold.p50);
        let usd = |it: &Contestant| it.cost.as_ref().and_then(|cost| cost.usd_per_1000_queries).unwrap_or(f64::MAX);
        contestant.on_pareto_front = contestant.latency.is_some()
            && !all.iter().any(|other| {
                let (quality, speed, price) =
                    (value(other) - value(contestant), cold(contestant) - cold(other), usd(contestant) - usd(other));
                other.latency.is_some()
                    && quality >= 0.0
                    && speed >= 0.0
                    && price >= 0.0
                    && (quality > 0.0 || speed > 0.0 || price > 0.0)
            });
    }
}
