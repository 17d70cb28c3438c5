//! Which of several targets of the same scores is asked.
//!
//! One is drawn by weight, another at random, and the first is asked unless it is much more loaded than the second (the power of two choices;
//! Mitzenmacher, 2001). Load is what a call usually costs there, failures counted as long waits, times the calls under way. So weights hold among
//! upstreams that do well, and an upstream that fails fast attracts nothing.

use std::sync::Arc;

use tokio::time::Instant;

use super::Target;
use crate::cache::key::CacheScope;

/// How many times the load of another target is too much.
const OVERLOAD_RATIO: f64 = 2.0;

/// The targets of one score space, in the order in which to ask them for `caller`: the chosen one, then those that stand ready, then those that are left
/// alone.
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
    let (ready, resting): (Vec<_>, Vec<_>) =
        targets.iter().cloned().partition(|target| target.upstream.is_open_for_calls(caller, now));
    // Loads change while they are compared, so each is looked at once.
    let mut ready: Vec<_> = ready.into_iter().map(|target| (target.upstream.load(caller, now), target)).collect();
    ready.sort_by(|(left_load, left), (right_load, right)| {
        (left.weight == 0).cmp(&(right.weight == 0)).then(left_load.total_cmp(right_load))
    });
    let weights: Vec<_> = ready.iter().map(|(_, target)| target.weight).collect();
    if let Some(chosen) = choose(&weights, |index| ready[index].0, random) {
        let chosen = ready.remove(chosen);
        ready.insert(0, chosen);
    }
    ready.into_iter().map(|(_, target)| target).chain(resting).collect()
}

/// One of those with a weight; `None` if there is nothing to choose.
fn choose(weights: &[u32], load: impl Fn(usize) -> f64, random: &mut impl FnMut() -> f64) -> Option<usize> {
    let first = draw(weights, random)?;
    let others: Vec<_> = weights.iter().enumerate().map(|(at, weight)| u32::from(at != first && *weight > 0)).collect();
    let second = draw(&others, random);
    Some(second.filter(|second| load(first) > OVERLOAD_RATIO * load(*second)).unwrap_or(first))
}

/// An index, each as likely as its weight says.
fn draw(weights: &[u32], random: &mut impl FnMut() -> f64) -> Option<usize> {
    let total: u32 = weights.iter().sum();
    let mut left = random() * f64::from(total);
    let drawn = weights.iter().position(|weight| {
        left -= f64::from(*weight);
        left < 0.0
    });
    drawn.or_else(|| weights.iter().rposition(|weight| *weight > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often each is chosen in 10,000 draws.
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
