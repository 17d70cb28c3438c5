//! Any sequence of claims, departures, landings and failures.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

/// An event: an action of a request, or a change of a flight.
#[derive(Clone, Debug)]
enum Step {
    Claim { names: String, other: bool, bypasses_others: bool, store: bool },
    Leave(usize),
    Land(usize),
    Fail(usize),
    GiveUp(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => ("[abcdef]{1,4}", any::<[bool; 3]>()).prop_map(|(names, [other, bypasses_others, store])| {
            let distinct: std::collections::BTreeSet<_> = names.chars().collect();
            Step::Claim { names: distinct.into_iter().collect(), other, bypasses_others, store }
        }),
        2 => any::<usize>().prop_map(Step::Leave),
        2 => any::<usize>().prop_map(Step::Land),
        1 => any::<usize>().prop_map(Step::Fail),
        1 => any::<usize>().prop_map(Step::GiveUp),
    ];
    proptest::collection::vec(step, 0..60)
}

/// The letters of the pending pairs of `lead`, which leads `names`, whose scores may be stored.
fn allowed(lead: &Lead, names: &str, requests: &[(String, bool, Vec<Subscription>)]) -> String {
    let mut allowed = String::new();
    for place in lead.pending() {
        let name = char::from(names.as_bytes()[lead.slots()[place].number()]);
        if is_allowed(lead, name, requests) {
            allowed.push(name);
        }
    }
    allowed
}

/// Returns true if a request that waits for `name` in the flight of `lead` allows its score to be stored.
fn is_allowed(lead: &Lead, name: char, requests: &[(String, bool, Vec<Subscription>)]) -> bool {
    for (wanted, store, subscriptions) in requests {
        for subscription in subscriptions {
            let waits = subscription.waiting().any(|slot| wanted.chars().nth(slot.number()) == Some(name));
            if *store && waits && subscription.is_for(lead.flight()) {
                return true;
            }
        }
    }
    false
}

proptest! {
    /// Every step is one critical section, so every interleaving of requests is a sequence of steps. In any sequence a
    /// pair is in at most one live call of an upstream. Its score may be stored only if a request that waits for it
    /// allows that. Every request that stays gets the right scores or the failure. The registry always knows exactly
    /// the pairs in flight, and no pair is left in flight.
    #[test]
    fn any_sequence_of_events_keeps_the_promises(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let flights = Flights::default();
            let mut requests: Vec<(String, bool, Vec<Subscription>)> = Vec::new();
            // Each flight is one call here, by the names that its request wanted.
            let mut calls: Vec<(String, Lead)> = Vec::new();
            let pick = |index: usize, count: usize| (count > 0).then(|| index % count.max(1));
            for step in steps {
                match step {
                    Step::Claim { names, other, bypasses_others, store } => {
                        let upstream = if other { "other" } else { "one" };
                        let waiter = Waiter { store, ..waiter() };
                        let Claim { lead, subscriptions } = claim_with(&flights, &names, upstream, bypasses_others, waiter);
                        if bypasses_others {
                            assert!(subscriptions.iter().all(|subscription| subscription.upstream() == upstream));
                        }
                        calls.extend(lead.map(|lead| (names.clone(), lead)));
                        requests.push((names, store, subscriptions));
                    }
                    Step::Leave(index) => {
                        if let Some(index) = pick(index, requests.len()) {
                            drop(requests.swap_remove(index));
                        }
                    }
                    Step::Land(index) | Step::Fail(index) => {
                        let Some(index) = pick(index, calls.len()) else { continue };
                        let (names, lead) = calls.swap_remove(index);
                        if matches!(step, Step::Land(_)) {
                            let kept = storable(&lead, &names, &lead.pending());
                            prop_assert_eq!(kept, allowed(&lead, &names, &requests));
                            land(&lead, &names, &lead.pending());
                        } else {
                            lead.fail(&lead.pending(), failure());
                        }
                    }
                    Step::GiveUp(index) => {
                        let Some(index) = pick(index, calls.len()) else { continue };
                        let places = calls[index].1.pending();
                        let abandoned = tokio::time::timeout(Duration::ZERO, calls[index].1.abandoned(&places)).await;
                        if abandoned.is_ok() {
                            calls.swap_remove(index);
                        }
                    }
                }
                flights.check();
                let mut live = HashSet::new();
                for (names, lead) in &calls {
                    for slot in lead.slots() {
                        let upstream = lead.upstream().to_owned();
                        let is_new = live.insert((upstream, names.as_bytes()[slot.number()]));
                        prop_assert!(is_new, "a pair is in two live calls of one upstream");
                    }
                }
            }
            for (names, lead) in calls {
                land(&lead, &names, &lead.pending());
            }
            for (names, _, subscriptions) in requests {
                let outcome = tokio::time::timeout(Duration::from_secs(5), outcome(subscriptions)).await;
                let outcome = outcome.expect("nobody waits for ever");
                prop_assert!(outcome == Ok(letters(&names)) || outcome == Err(failure()), "{outcome:?}");
            }
            prop_assert!(flights.is_empty());
            Ok(())
        })?;
    }
}
