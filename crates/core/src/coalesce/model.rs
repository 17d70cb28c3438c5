//! The registry under a model checker: shuttle runs requests and flights in thousands of different orders and may
//! switch between them at every lock.
//!
//! `cargo test -p rerankd-core --features shuttle --lib coalesce::model`

use std::sync::Mutex as Plain;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use shuttle::future::{block_on, spawn, yield_now};
use tokio::time::Instant;

use super::*;
use crate::cache::key::{CacheScope, ScoreSpace};
use crate::error::{Error, ErrorKind};
use crate::provider::ScoreScale;
use crate::types::index::ListIndex;
use crate::types::request::ScoringOptions;
use crate::upstream::call::RetryMode;

const SCHEDULES: usize = 20_000;
const PAIRS: [&str; 3] = ["a", "b", "c"];
/// Indices into [`PAIRS`] that each of the requests claims.
const REQUESTS: [&[usize]; 4] = [&[0, 1], &[1, 2], &[0, 1, 2], &[1]];

/// Observations over all requests of one schedule.
#[derive(Default)]
struct Seen {
    /// The last flight of each pair, with the pair's place in it. Never locked across a switch.
    leaders: Plain<[Option<(Arc<Flight>, FlightIndex)>; PAIRS.len()]>,
    /// True for each pair whose score was stored.
    stored: Plain<[bool; PAIRS.len()]>,
    finished: AtomicUsize,
}

fn query() -> QueryKey {
    let space =
        ScoreSpace { upstream: "u".into(), model: "m".into(), revision: String::new(), scale: ScoreScale::Probability };
    QueryKey::new(CacheScope::SHARED, &space, &ScoringOptions::default(), "q")
}

impl Seen {
    /// Records a new leader, and asserts that each pair's former flight has landed it, failed it or given it up.
    fn lead(&self, lead: &Lead, wanted: &[usize]) {
        for (place, slot) in lead.slots().enumerate() {
            let pair = wanted[slot.number()];
            let former = self.leaders.lock().unwrap()[pair].replace((lead.flight().clone(), place));
            if let Some((former_flight, former_place)) = former {
                assert!(!former_flight.pending().contains(&former_place), "a pair is in two calls at a time");
            }
        }
    }
}

/// One call for everything that is led. It ends when no request waits or, some switches later, with an answer.
async fn fill(lead: Lead, wanted: &'static [usize], fails: bool, seen: Arc<Seen>) {
    let places = lead.pending();
    // Two switches leave time for requests to join and to leave before the answer comes.
    let answer = async {
        yield_now().await;
        yield_now().await;
    };
    tokio::select! {
        biased;
        () = lead.abandoned(&places) => {}
        () = answer => {
            if fails {
                lead.fail(&places, Error::new(ErrorKind::UpstreamUnavailable, "told to fail"));
            } else {
                let mut scores = Vec::new();
                for slot in lead.slots() {
                    #[expect(clippy::cast_precision_loss, reason = "three pairs")]
                    scores.push(wanted[slot.number()] as f64);
                }
                for (key, _) in lead.storable(&places, &scores) {
                    let pair = PAIRS.iter().position(|pair| query().pair(pair) == key).unwrap();
                    seen.stored.lock().unwrap()[pair] = true;
                }
                lead.land(&places, &scores);
            }
        }
    }
}

/// The behaviour of one request.
#[derive(Clone, Copy)]
struct Behaviour {
    leaves: bool,
    fails: bool,
    store: bool,
}

async fn request(flights: Flights, wanted: &'static [usize], behaviour: Behaviour, seen: Arc<Seen>) {
    let Behaviour { leaves, fails, store } = behaviour;
    let mut keys = IndexVec::default();
    let mut slots = Vec::new();
    for pair in wanted {
        slots.push(keys.push(query().pair(PAIRS[*pair])));
    }
    let waiter = Waiter {
        deadline: Instant::now() + Duration::from_secs(60),
        retry_mode: RetryMode::Wait,
        store,
        scope: CacheScope::SHARED,
    };
    let Claim { lead, subscriptions } = flights.claim(&ClaimRequest {
        query: &query(),
        keys: &keys,
        slots: &slots,
        upstream: "one",
        bypasses_others: false,
        waiter,
    });
    if let Some(lead) = lead {
        seen.lead(&lead, wanted);
        drop(spawn(fill(lead, wanted, fails, seen.clone())));
    }
    if leaves {
        yield_now().await;
        drop(subscriptions);
    } else {
        for mut subscription in subscriptions {
            while let Ok(news) = subscription.next().await {
                if news.is_empty() {
                    break;
                }
                for (slot, landing) in news {
                    #[expect(clippy::cast_precision_loss, reason = "three pairs")]
                    let right = wanted[slot.number()] as f64;
                    assert!(
                        matches!(landing, PairOutcome::Scored(score) if score.total_cmp(&right).is_eq()),
                        "a wrong score"
                    );
                }
            }
        }
    }
    seen.finished.fetch_add(1, Ordering::SeqCst);
}

fn check(leaving: usize, failing: usize) {
    check_storing(leaving, failing, &[0, 1, 2, 3]);
}

/// Asserts that every request ends (shuttle tells a deadlock from a wait), that no pair is in two calls at a time, that
/// only pairs claimed by one of the requests `storing` are stored, and that the registry is empty in the end.
fn check_storing(leaving: usize, failing: usize, storing: &'static [usize]) {
    shuttle::check_random(
        move || {
            let flights = Flights::default();
            let seen = Arc::new(Seen::default());
            let mut requests = Vec::new();
            for (index, wanted) in REQUESTS.into_iter().enumerate() {
                let behaviour =
                    Behaviour { leaves: index == leaving, fails: index == failing, store: storing.contains(&index) };
                requests.push(spawn(request(flights.clone(), wanted, behaviour, seen.clone())));
            }
            for request in requests {
                block_on(request).expect("no request dies");
            }
            assert_eq!(seen.finished.load(Ordering::SeqCst), REQUESTS.len());
            // The tasks that fill the flights are not joined above.
            while !flights.is_empty() {
                shuttle::thread::yield_now();
            }
            for (pair, stored) in seen.stored.lock().unwrap().iter().enumerate() {
                let is_wanted = storing.iter().any(|index| REQUESTS[*index].contains(&pair));
                assert!(is_wanted || !stored, "kept though nobody who allows it asked for it");
            }
        },
        SCHEDULES,
    );
}

#[test]
fn all_stay() {
    check(usize::MAX, usize::MAX);
}

#[test]
fn one_leaves() {
    for leaving in 0..REQUESTS.len() {
        check(leaving, usize::MAX);
    }
}

#[test]
fn one_fails_and_another_leaves() {
    for leaving in 0..REQUESTS.len() {
        check(leaving, (leaving + 1) % REQUESTS.len());
    }
}

/// A pair that only requests with `no-store` claim is never stored, whichever request leads it.
#[test]
fn one_stores_and_another_leaves() {
    for leaving in 0..REQUESTS.len() {
        check_storing(leaving, usize::MAX, &[3]);
        check_storing(leaving, usize::MAX, &[0]);
    }
}
