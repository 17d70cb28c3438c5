//! The cheapest and the fastest of contestants that are equally good.

use rerankd_core::text::printable;

use super::super::results::Contestant;
use super::figures::{dollars, milliseconds};

/// Factor by which other amounts must exceed the least for it to be called the cheapest or fastest. Times that are
/// closer may change places in the next run.
const CLEAR_LEAD: f64 = 1.25;

/// Clauses that name the cheapest and the fastest of `contestants`, where one is clearly ahead.
pub(super) fn advantages(contestants: &[&Contestant]) -> Vec<String> {
    let mut clauses = Vec::new();
    let cheapest = least(contestants, Contestant::usd);
    if let Some(cheapest) = &cheapest {
        let name = printable(&cheapest.contestant.name);
        let superlative = cheapest.superlative("cheapest", "of known cost");
        clauses.push(format!("{name} is the {superlative} ({} for 1,000 queries)", dollars(cheapest.amount)));
    }
    if let Some(fastest) = least(contestants, Contestant::cold_mean) {
        let superlative = fastest.superlative("fastest", "that was timed");
        // "a is the cheapest and the fastest" repeats neither the name nor the verb.
        let subject = match cheapest {
            Some(cheapest) if std::ptr::eq(cheapest.contestant, fastest.contestant) => "the".to_owned(),
            _ => format!("{} is the", printable(&fastest.contestant.name)),
        };
        clauses.push(format!("{subject} {superlative} ({} ms on average)", milliseconds(fastest.amount)));
    }
    clauses
}

/// The contestant with the least of something, such as cost or latency.
struct Least<'a> {
    contestant: &'a Contestant,
    /// In the unit of the quantity compared.
    amount: f64,
    /// False if the amount of some other contestant is unknown.
    all_known: bool,
}

impl Least<'_> {
    /// `adjective`, followed by `limit` if some amounts are unknown: `cheapest of known cost`.
    fn superlative(&self, adjective: &str, limit: &str) -> String {
        if self.all_known { adjective.to_owned() } else { format!("{adjective} {limit}") }
    }
}

/// The contestant whose amount is clearly less than that of any other; `None` if fewer than two amounts are known.
fn least<'a>(contestants: &[&'a Contestant], amount_of: impl Fn(&Contestant) -> Option<f64>) -> Option<Least<'a>> {
    let mut known = Vec::new();
    for &contestant in contestants {
        if let Some(amount) = amount_of(contestant) {
            known.push((amount, contestant));
        }
    }
    known.sort_by(|one, other| one.0.total_cmp(&other.0));
    let [(amount, contestant), (second, _), ..] = known[..] else { return None };
    let all_known = known.len() == contestants.len();
    // If the second amount is clearly larger, so are all others.
    (second > amount * CLEAR_LEAD).then_some(Least { contestant, amount, all_known })
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn what_is_not_known_of_all_is_not_claimed_of_all() {
        let results = sample::results(3);
        let all: Vec<_> = results.rerankers().collect();
        let cheapest = least(&all, Contestant::usd).unwrap();
        assert_eq!(cheapest.superlative("cheapest", "of known cost"), "cheapest of known cost");
        assert_eq!((cheapest.contestant.name.as_str(), cheapest.amount), ("local", 0.0));
    }
}
