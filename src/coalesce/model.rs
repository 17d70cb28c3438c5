//! The registry under a model checker: shuttle runs requests and flights in thousands of different orders, switching between them at every lock.
//!
//! `cargo test --features shuttle --lib coalesce::model`

use std::sync::Mutex as Plain;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use shuttle::future::{block_on, spawn, yield_now};
use tokio::time::Instant;

use super::*;
use crate::cache::key::{CacheScope, ScoreSpace};
use crate::error::{Error, ErrorKind};
use crate::provider::ScoreScale;
use crate::rerank::request::ScoringOptions;
use crate::upstream::call::Patience;

const SCHEDULES: usize = 20_000;
const PAIRS: [&str; 3] = ["a", "b", "c"];
/// What each of the requests wants.
const REQUESTS: [&[usize]; 4] = [&[0, 1], &[1, 2], &[0, 1, 2], &[1]];

/// What was seen over all requests of one schedule.
#[derive(Default)]
struct Seen {
    /// Who led each pair last. Never locked across a switch.
    leaders: Plain<[Option<(Arc<Flight>, u32)>; PAIRS.len()]>,
    /// Whether each pair's score was kept.
    stored: Plain<[bool; PAIRS.len()]>,
    finished: AtomicUsize,
}

fn query() -> QueryKey {
    let (upstream, model, revision) = ("u".into(), "m".into(), String::new());
    let space = ScoreSpace { upstream, model, revision, scale: ScoreScale::Probability };
    QueryKey::new(CacheScope::SHARED, &space, &ScoringOptions::default(), "q")
}

impl Seen {
    /// Whoever leads a pair finds that its leader before has landed it, failed, or given it up.
    fn lead(&self, lead: &Lead, wanted: &[usize]) {
        for (place, label) in (0..).zip(lead.labels()) {
            let before = self.leaders.lock().unwrap()[wanted[*label as usize]].replace((lead.flight().clone(), place));
            if let Some((flight, place)) = before {
                assert!(!flight.pending().contains(&place), "a pair is in two calls at a time");
            }
        }
    }
}

/// One call: sends everything that is led, until nobody waits or, after some time, an answer comes.
async fn fill(lead: Lead, wanted: &'static [usize], fails: bool, seen: Arc<Seen>) {
    let places = lead.pending();
    let led: Vec<usize> = lead.labels().iter().map(|label| wanted[*label as usize]).collect();
    let answer = async {
        yield_now().await;
        yield_now().await;
    };
    tokio::select! {
        biased;
        () = lead.forsaken(&places) => {}
        () = answer => {
            if fails {
                lead.fail(&places, Error::new(ErrorKind::UpstreamUnavailable, "told to fail"));
            } else {
                #[expect(clippy::cast_precision_loss, reason = "three pairs")]
                let scores: Vec<f64> = led.iter().map(|pair| *pair as f64).collect();
                for (key, _) in lead.storable(&places, &scores) {
                    let pair = PAIRS.iter().position(|pair| query().pair(pair) == key).unwrap();
                    seen.stored.lock().unwrap()[pair] = true;
                }
                lead.land(&places, &scores);
            }
        }
    }
}

/// How one request behaves.
#[derive(Clone, Copy)]
struct Manner {
    leaves: bool,
    fails: bool,
    store: bool,
}

async fn request(flights: Flights, wanted: &'static [usize], manner: Manner, seen: Arc<Seen>) {
    let Manner { leaves, fails, store } = manner;
    let pairs: Vec<_> = (0..).zip(wanted.iter().map(|pair| query().pair(PAIRS[*pair]))).collect();
    let waiter = Waiter {
        deadline: Instant::now() + Duration::from_secs(60),
        patience: Patience::Wait,
        store,
        scope: CacheScope::SHARED,
    };
    let Claim { lead, tickets } =
        flights.claim(&Wish { query: &query(), pairs: &pairs, upstream: "one", insists: false, waiter });
    if let Some(lead) = lead {
        seen.lead(&lead, wanted);
        drop(spawn(fill(lead, wanted, fails, seen.clone())));
    }
    if leaves {
        yield_now().await;
        drop(tickets);
    } else {
        for mut ticket in tickets {
            while let Ok(news) = ticket.next().await {
                if news.is_empty() {
                    break;
                }
                for (label, landing) in news {
                    #[expect(clippy::cast_precision_loss, reason = "three pairs")]
                    let right = wanted[label as usize] as f64;
                    assert!(
                        matches!(landing, Landing::Scored(score) if score.total_cmp(&right).is_eq()),
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

/// Every request ends (shuttle tells a deadlock from a wait), no pair is sent twice at a time, only what one of
/// `storing` wants is kept, and the registry is empty in the end.
fn check_storing(leaving: usize, failing: usize, storing: &'static [usize]) {
    shuttle::check_random(
        move || {
            let (flights, seen) = (Flights::default(), Arc::new(Seen::default()));
            let requests: Vec<_> = REQUESTS
                .iter()
                .enumerate()
                .map(|(index, wanted)| {
                    let manner =
                        Manner { leaves: index == leaving, fails: index == failing, store: storing.contains(&index) };
                    spawn(request(flights.clone(), wanted, manner, seen.clone()))
                })
                .collect();
            for request in requests {
                block_on(request).expect("no request dies");
            }
            assert_eq!(seen.finished.load(Ordering::SeqCst), REQUESTS.len());
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
    (0..REQUESTS.len()).for_each(|leaving| check(leaving, usize::MAX));
}

#[test]
fn one_fails_and_another_leaves() {
    (0..REQUESTS.len()).for_each(|index| check(index, (index + 1) % REQUESTS.len()));
}

/// Whoever leads: a pair that only requests of `no-store` want is never kept.
#[test]
fn one_stores_and_another_leaves() {
    for leaving in 0..REQUESTS.len() {
        check_storing(leaving, usize::MAX, &[3]);
        check_storing(leaving, usize::MAX, &[0]);
    }
}
