//! Any dialect before any provider: random requests in a random state of the cache, every score in every answer held
//! against what the upstream's scoring function says.
//!
//! ```text
//!  question.rs  what is asked        ─▶ dialect.rs  as the dialect's clients write it   ─▶ the gateway
//!  oracle.rs    what is right        ─▶ check.rs    against what the dialect answers    ◀─
//!  world.rs     one gateway and its upstream, whose cache fills from case to case
//! ```
//!
//! A day is a seed: it decides on the provider, the configuration and the questions of its cases. A failure prints the
//! line that runs its day again. `RERANKD_DIFFERENTIAL_CASES=100000` runs more days, `RERANKD_DIFFERENTIAL_SEED=7` that
//! day alone, or from that day on if both are given.

mod check;
mod dialect;
mod json;
mod oracle;
mod question;
mod world;

use fastrand::Rng;
use rerankd::dialect::DIALECTS;

use self::dialect::Speaker;
use self::question::{Question, Vocabulary};
use self::world::World;

/// Cases of one day, which share a cache.
const CASES_A_DAY: u64 = 40;
/// Cases of a usual run; a few seconds.
const CASES: u64 = 1_000;

fn number_of(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} must be a whole number")))
}

#[tokio::test]
async fn random_requests_in_every_dialect_match_the_oracle() {
    world::settings_are_complete();
    let first = number_of("RERANKD_DIFFERENTIAL_SEED");
    let cases = number_of("RERANKD_DIFFERENTIAL_CASES").unwrap_or(if first.is_some() { CASES_A_DAY } else { CASES });
    let first = first.unwrap_or(0);
    for seed in first..first + cases.div_ceil(CASES_A_DAY) {
        day(seed).await;
    }
}

async fn day(seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let mut world = World::drawn(&mut rng).await;
    let vocabulary = Vocabulary::drawn(&mut rng);
    for case in 0..CASES_A_DAY {
        let question = Question::drawn(&mut rng, &vocabulary, &world.setting);
        let speaker = Speaker(DIALECTS[rng.usize(..DIALECTS.len())].name());
        if let Err(fault) = check::case(&mut rng, &mut world, speaker, &question).await {
            let smallest = smallest(&world, speaker, question).await;
            panic!(
                "{} before {}, case {case} of day {seed}: {fault}\n{smallest}\n\
                 once more: RERANKD_DIFFERENTIAL_SEED={seed} cargo test --test it differential",
                speaker.0, world.setting
            );
        }
    }
}

/// The question with the fewest documents that fails where nothing else was asked before.
async fn smallest(world: &World, speaker: Speaker, mut question: Question) -> String {
    let fault = async |question: &Question| {
        let mut rng = Rng::with_seed(0);
        check::case(&mut rng, &mut world.restarted().await, speaker, question).await.err()
    };
    let Some(mut told) = fault(&question).await else {
        return "where nothing was asked before it does not fail".to_owned();
    };
    let mut place = 0;
    while place < question.documents.len() {
        let mut smaller = question.clone();
        smaller.documents.remove(place);
        match fault(&smaller).await {
            Some(fault) => {
                question = smaller;
                told = fault;
            }
            None => place += 1,
        }
    }
    format!("the fewest documents that fail: {told}\n{question:?}")
}
