//! One case: a question is asked, in one dialect or in two at once, and then again. Answers are held against the
//! oracle, calls against what the gateway may know.

use fastrand::Rng;
use futures_util::future::join_all;
use rerankd::dialect::DIALECTS;

use super::dialect::{Found, Speaker};
use super::oracle::is_kept_back;
use super::question::Question;
use super::world::World;
use crate::support::gateway::Answer;
use crate::support::upstream::Recorded;

/// Scores that went through a sigmoid or its inverse differ in their last digits.
const TOLERANCE: f64 = 1e-9;

/// Characters of a body that a failure shows.
const SHOWN: usize = 600;

/// Asks, checks, and asks again what is known by then.
pub(super) async fn case(
    rng: &mut Rng,
    world: &mut World,
    speaker: Speaker,
    question: &Question,
) -> Result<(), String> {
    let is_doubled = question.cache_control.is_none() && rng.u32(..6) == 0;
    let mut speakers = vec![speaker];
    if is_doubled {
        speakers.push(Speaker(DIALECTS[rng.usize(..DIALECTS.len())].name()));
    }
    ask(rng, world, &speakers, question).await?;
    let is_known = world.remembers && question.cache_control != Some("no-store");
    let again = Question { cache_control: is_known.then_some("only-if-cached"), ..question.clone() };
    ask(rng, world, &[speaker], &again).await.map_err(|fault| format!("asked again, {fault}"))
}

async fn ask(rng: &mut Rng, world: &mut World, speakers: &[Speaker], question: &Question) -> Result<(), String> {
    let before = world.fake.calls().len();
    let mut asked = Vec::new();
    let mut requests = Vec::new();
    for speaker in speakers {
        let spoken = speaker.spoken(rng, question);
        let mut request = world.gateway.post(&spoken.path);
        if let Some(control) = question.cache_control {
            request = request.header("cache-control", control);
        }
        requests.push(world.gateway.send(request.body(spoken.body.clone())));
        asked.push((*speaker, spoken));
    }
    let answers = join_all(requests).await;
    for ((speaker, spoken), answer) in asked.iter().zip(&answers) {
        check_answer(world, *speaker, question, answer).map_err(|fault| {
            let control = question.cache_control.unwrap_or("nothing");
            let told =
                [&spoken.body, &answer.body.to_string()].map(|text| text.chars().take(SHOWN).collect::<String>());
            format!("{fault}\nPOST {}\ncache-control: {control}\n{}\n{}", spoken.path, told[0], told[1])
        })?;
    }
    check_calls(world, question, before)
}

/// Checks that every result is what the oracle says, and in its place.
fn check_answer(world: &World, speaker: Speaker, question: &Question, answer: &Answer) -> Result<(), String> {
    if answer.status != 200 {
        return Err(format!("status {}", answer.status));
    }
    if answer.headers["x-rerank-dialect"] != speaker.0 {
        return Err(format!("taken for {:?}", answer.headers["x-rerank-dialect"]));
    }
    compare(&speaker.read(&answer.body)?, &speaker.expected(&world.setting, question, false))?;
    if speaker.repeats_in_data() && answer.body["object"] == "list" {
        let found = speaker.read_data(&answer.body).map_err(|fault| format!("data: {fault}"))?;
        compare(&found, &speaker.expected(&world.setting, question, true)).map_err(|fault| format!("data: {fault}"))?;
    }
    if speaker.tells_provenance() {
        let pairs = &answer.body["meta"]["rerankd"]["pairs"];
        let count = |name: &str| pairs[name].as_u64().unwrap_or(0);
        let parts = ["hit", "coalesced", "scored", "stale", "unscored"].map(count);
        if count("total") != parts.iter().sum::<u64>() {
            return Err(format!("the counts of pairs do not add up: {pairs}"));
        }
    }
    Ok(())
}

fn compare(found: &[Found], expected: &[Found]) -> Result<(), String> {
    let indices = |results: &[Found]| results.iter().map(|result| result.index).collect::<Vec<_>>();
    if indices(found) != indices(expected) {
        return Err(format!("the order is {:?}, it should be {:?}", indices(found), indices(expected)));
    }
    for (found, expected) in found.iter().zip(expected) {
        let is_same = match (found.score, expected.score) {
            (Some(score), Some(truth)) => (score - truth).abs() <= TOLERANCE * truth.abs().max(1.0),
            (score, truth) => score == truth,
        };
        let rest = |result: &Found| (result.id.clone(), result.document.clone());
        if !is_same || rest(found) != rest(expected) {
            return Err(format!("found {found:?}, should be {expected:?}"));
        }
    }
    Ok(())
}

/// Checks that the upstream was asked for the unknown pairs once and for nothing else, and records the pairs known now.
fn check_calls(world: &mut World, question: &Question, before: usize) -> Result<(), String> {
    let setting = world.setting;
    let calls = world.fake.calls().split_off(before);
    let query = question.upstream_query(&setting);
    if let Some(call) = calls.iter().find(|call| call.body["query"] != *query) {
        return Err(format!("the upstream was asked with the query {}, not with {query:?}", call.body["query"]));
    }
    let mut sent: Vec<String> = calls.iter().flat_map(Recorded::passages).collect();
    let texts = question.texts();
    let mut wanted: Vec<String> = texts.iter().filter(|text| !is_kept_back(&setting, text)).cloned().collect();
    if let Some(stray) = sent.iter().find(|text| !wanted.contains(text)) {
        return Err(format!("the upstream was sent {stray:?}"));
    }
    let identity = question.identity();
    let mut due = Vec::new();
    if setting.is_pointwise {
        wanted.sort();
        wanted.dedup();
    }
    for text in wanted {
        let key = if setting.is_pointwise { format!("{identity} {text:?}") } else { format!("{identity} {texts:?}") };
        if question.cache_control == Some("no-cache") || !world.known.contains(&key) {
            due.push((text, key));
        }
    }
    if question.cache_control != Some("no-store") {
        world.known.extend(due.iter().map(|(_, key)| key.clone()));
    }
    // Where scores are forgotten there may be more calls.
    if !world.remembers {
        return Ok(());
    }
    let mut due: Vec<String> = due.into_iter().map(|(text, _)| text).collect();
    sent.sort();
    due.sort();
    if sent == due { Ok(()) } else { Err(format!("the upstream was sent {sent:?}, which should be {due:?}")) }
}
