//! Whether a difference between two rankers means anything, or is a matter of which queries were asked.
//!
//! Everything is paired: both rankers answered the same queries, so the differences per query are what is looked at. All chance
//! is drawn from a seed, so the same input has the same output. Values must be finite.

use fastrand::Rng;

/// How often the queries are drawn anew for an interval.
const RESAMPLES: usize = 10_000;
/// How many resamples fall off each end of a 95 % interval, the bound itself counted.
const CUT_OFF: usize = RESAMPLES / 40;

/// Up to so many differences, all ways to assign signs are tried: 65,536.
const EXACT_UP_TO: usize = 16;
/// How many assignments of signs are drawn where they cannot all be tried.
const ASSIGNMENTS: u32 = 100_000;
/// Sums of the same numbers in another order differ in their last digits; so close, they count as equal.
const NOISE: f64 = 1e-12;

/// The range in which a mean probably lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The lower bound.
    pub low: f64,
    /// The upper bound, not below the lower.
    pub high: f64,
}

/// The mean; 0 of no values.
#[must_use]
pub fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().fold(0.0, |sum, value| sum + value) / exact(values.len()) }
}

/// `left` less `right`, query by query; what one of them has beyond the other is dropped.
#[must_use]
pub fn differences(left: &[f64], right: &[f64]) -> Vec<f64> {
    left.iter().zip(right).map(|(left, right)| left - right).collect()
}

/// The 95 % confidence interval of the mean of `values`, which are one metric of all queries or its [`differences`] between two
/// rankers.
///
/// It is the percentile bootstrap (Efron, 1979): of the means of 10,000 samples of the queries, drawn with replacement, the 250th
/// lowest and the 250th highest. The same seed draws the same queries, whatever the values. Of one value, both bounds are that
/// value; of none, 0.
#[must_use]
pub fn confidence_interval(values: &[f64], seed: u64) -> Interval {
    if values.is_empty() {
        return Interval { low: 0.0, high: 0.0 };
    }
    let mut random = Rng::with_seed(seed);
    let mut means: Vec<f64> = (0..RESAMPLES).map(|_| resampled_mean(values, &mut random)).collect();
    let (_, &mut low, above) = means.select_nth_unstable_by(CUT_OFF - 1, f64::total_cmp);
    let from_low = RESAMPLES - 2 * CUT_OFF;
    let (_, &mut high, _) = above.select_nth_unstable_by(from_low, f64::total_cmp);
    Interval { low, high }
}

/// The mean of as many values as there are, each drawn from all of them.
fn resampled_mean(values: &[f64], random: &mut Rng) -> f64 {
    // Several sums at once, as each addition has to wait for the one before it.
    let mut sums = [0.0; 4];
    let mut left = values.len();
    while left > 0 {
        for sum in sums.iter_mut().take(left) {
            *sum += values[random.usize(..values.len())];
        }
        left = left.saturating_sub(sums.len());
    }
    (sums[0] + sums[1] + sums[2] + sums[3]) / exact(values.len())
}

/// How probable a mean difference so far from 0, on either side, is if the two rankers are alike: from above 0 to 1.
///
/// It is Fisher's randomisation test, which Smucker, Allan and Carterette (2007) recommend for retrieval: if the rankers are
/// alike, each difference could as well have had the other sign. With up to 16 differences other than 0 all assignments of signs
/// are tried and the value is exact. With more, 100,000 are drawn, of which b are as far from 0, and it is (b + 1) / 100,001, so it
/// is never 0 (Phipson and Smyth, 2010).
#[must_use]
pub fn randomization_test(differences: &[f64], seed: u64) -> f64 {
    let differing: Vec<f64> = differences.iter().copied().filter(|difference| difference.abs() > 0.0).collect();
    let size: f64 = differing.iter().map(|difference| difference.abs()).sum();
    let far = differing.iter().sum::<f64>().abs() - NOISE * size;
    if differing.len() <= EXACT_UP_TO {
        let sums = signed_sums(&differing);
        return exact(sums.iter().filter(|sum| sum.abs() >= far).count()) / exact(sums.len());
    }
    let as_far = drawn_sums(&differing, seed).filter(|sum| sum.abs() >= far).count();
    (exact(as_far) + 1.0) / (f64::from(ASSIGNMENTS) + 1.0)
}

/// The sums of `numbers` under all assignments of signs.
fn signed_sums(numbers: &[f64]) -> Vec<f64> {
    numbers.iter().fold(vec![0.0], |sums, number| sums.iter().flat_map(|sum| [sum + number, sum - number]).collect())
}

/// The sums of `numbers` under random assignments of signs.
fn drawn_sums(numbers: &[f64], seed: u64) -> impl Iterator<Item = f64> {
    // A random byte is the signs of eight numbers; their sum is looked up.
    let tables: Vec<Vec<f64>> = numbers.chunks(8).map(signed_sums).collect();
    let mut random = Rng::with_seed(seed);
    (0..ASSIGNMENTS).map(move |_| {
        let mut sum = 0.0;
        for tables in tables.chunks(8) {
            let signs = random.u64(..).to_le_bytes();
            for (table, signs) in tables.iter().zip(signs) {
                sum += table[usize::from(signs) % table.len()];
            }
        }
        sum
    })
}

/// The probabilities of several comparisons, corrected so that the risk of even one false alarm among them is what each says: to
/// be compared with 0.05 as they are. In the order given; none falls, none passes 1.
///
/// It is Holm's step-down correction (1979): the lowest of m is multiplied by m, the next by m - 1, and so on, and none may end up
/// below the one before it.
#[must_use]
pub fn holm(probabilities: &[f64]) -> Vec<f64> {
    let mut ascending: Vec<usize> = (0..probabilities.len()).collect();
    ascending.sort_by(|&left, &right| probabilities[left].total_cmp(&probabilities[right]));
    let mut corrected = vec![0.0; probabilities.len()];
    let mut before = 0.0;
    for (step, &index) in ascending.iter().enumerate() {
        before = (probabilities[index] * exact(probabilities.len() - step)).min(1.0).max(before);
        corrected[index] = before;
    }
    corrected
}

/// The quantile by nearest rank: the lowest of `values` that at least a `share` of them, from 0 to 1, does not exceed. So it is
/// always one of the values (0.5 of four is the second lowest), and 0 gives the lowest. `None` of no values.
#[must_use]
pub fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut ascending = values.to_vec();
    ascending.sort_unstable_by(f64::total_cmp);
    // 0.07 of 100 is 7.000000000000001 in floating point, but the 7th.
    let at_least = share * exact(values.len()) - NOISE * exact(values.len());
    let rank = (1..=values.len()).find(|rank| exact(*rank) >= at_least)?;
    ascending.get(rank - 1).copied()
}

#[expect(clippy::cast_precision_loss, reason = "counts of queries, passages and ranks are far below 2^52")]
pub(super) fn exact(count: usize) -> f64 {
    count as f64
}
