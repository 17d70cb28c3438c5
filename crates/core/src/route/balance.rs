//! The choice between targets of the same scores.
//!
//! One is drawn by weight, another at random, and the first is asked unless it is much more loaded than the second (the
//! power of two choices; Mitzenmacher, 2001). Load is the usual latency of a call there, failures counted as long
//! waits, times the calls under way. So weights hold among healthy upstreams, and an upstream that fails fast attracts
//! nothing.

use std::sync::Arc;

use tokio::time::Instant;

use super::Target;
use crate::cache::key::CacheScope;

/// Ratio of two targets' loads above which the less loaded one is asked. Well above 1, because loads are estimates that
/// differ by chance, and weights should hold among healthy targets.
const OVERLOAD_RATIO: f64 = 2.0;

/// The targets of one score space, in the order in which to ask them for `caller`: the chosen one, then the others
/// whose circuit lets calls through, then the rest. `random` gives numbers from 0 to 1.
#[must_use]
pub fn in_order(
    targets: &[Arc<Target>],
    caller: CacheScope,
    now: Instant,
    random: &mut impl FnMut() -> f64,
) -> Vec<Arc<Target>> {
    if let [target] = targets {
        return vec![target.clone()];
    }
    let mut ready = Vec::with_capacity(targets.len());
    let mut resting = Vec::new();
    for target in targets {
        if target.upstream.admits_calls(caller, now) {
            // Loads change while they are compared, so each is looked at once.
            ready.push((target.upstream.load(caller, now), target.clone()));
        } else {
            resting.push(target.clone());
        }
    }
    // Targets without a weight stand by, behind all others.
    ready.sort_by(|(left_load, left), (right_load, right)| {
        (left.weight == 0).cmp(&(right.weight == 0)).then(left_load.total_cmp(right_load))
    });
    let weights: Vec<_> = ready.iter().map(|(_, target)| target.weight).collect();
    if let Some(index) = choose(&weights, |index| ready[index].0, random) {
        let chosen = ready.remove(index);
        ready.insert(0, chosen);
    }
    let mut in_order = Vec::with_capacity(targets.len());
    for (_, target) in ready {
        in_order.push(target);
    }
    in_order.extend(resting);
    in_order
}

/// The index of the one to ask first; `None` if none has a weight, so that there is nothing to choose. `load` gives the
/// load at an index.
fn choose(weights: &[u32], load: impl Fn(usize) -> f64, random: &mut impl FnMut() -> f64) -> Option<usize> {
    let first = draw(weights, random)?;
    // The second is drawn without regard to weights: it is only there for comparison. Targets that stand by are not.
    let mut others = vec![0; weights.len()];
    for (index, weight) in weights.iter().enumerate() {
        others[index] = u32::from(index != first && *weight > 0);
    }
    match draw(&others, random) {
        Some(second) if load(first) > OVERLOAD_RATIO * load(second) => Some(second),
        _ => Some(first),
    }
}

/// An index, each as likely as its weight says; `None` if all weights are 0.
fn draw(weights: &[u32], random: &mut impl FnMut() -> f64) -> Option<usize> {
    let total: u32 = weights.iter().sum();
    let mut left = random() * f64::from(total);
    for (index, weight) in weights.iter().enumerate() {
        left -= f64::from(*weight);
        if left < 0.0 {
            return Some(index);
        }
    }
    // Rounding can leave a rest that no weight takes below 0.
    weights.iter().rposition(|weight| *weight > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times that each is chosen in 10,000 draws.
    fn shares(weights: &[u32], loads: &[f64]) -> Vec<usize> {
        let mut random = fastrand::Rng::with_seed(7);
        let mut counts = vec![0; weights.len()];
        for _ in 0..10_000 {
            counts[choose(weights, |index| loads[index], &mut || random.f64()).unwrap()] += 1;
        }
        counts
    }

    #[test]
    fn weights_hold_among_equals() {
        let counts = shares(&[3, 1, 0], &[1.0, 1.2, 0.1]);
        assert!((7_300..7_700).contains(&counts[0]) && counts[2] == 0, "{counts:?}");
    }

    #[test]
    fn much_more_load_is_avoided() {
        let counts = shares(&[1, 1], &[5.0, 0.05]);
        assert_eq!(counts, [0, 10_000]);
        let counts = shares(&[1, 1, 1], &[5.0, 0.05, 0.05]);
        assert_eq!(counts[0], 0, "{counts:?}");
    }

    #[test]
    fn nothing_to_choose_is_no_choice() {
        assert_eq!(choose(&[], |_| 0.0, &mut || 0.5), None);
        assert_eq!(choose(&[0, 0], |_| 0.0, &mut || 0.5), None);
        assert_eq!(choose(&[0, 2], |_| 0.0, &mut || 0.999), Some(1));
    }
}
