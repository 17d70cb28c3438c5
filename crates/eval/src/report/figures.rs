//! Numbers formatted for people. A value that is not finite becomes a dash.

use super::super::results::{Cost, Estimate};

/// The dash in place of a missing value.
pub(crate) const NOTHING: &str = "–";

/// A value of a metric with three decimals: `0.731`.
pub(crate) fn score(value: f64) -> String {
    fixed(value, 3)
}

/// The mean of `estimate` as a [`score`], or a dash if there is no estimate.
pub(super) fn mean_score(estimate: Option<Estimate>) -> String {
    match estimate {
        Some(estimate) => score(estimate.mean),
        None => NOTHING.to_owned(),
    }
}

/// The ends of a confidence interval: `[0.69, 0.77]`; nothing if there is none.
pub(super) fn interval(estimate: Estimate) -> String {
    if !estimate.has_interval() {
        return String::new();
    }
    format!("[{}, {}]", fixed(estimate.low, 2), fixed(estimate.high, 2))
}

/// A difference with its sign, `+0.119` or `−0.020`; with a fourth decimal where three would hide the sign: `−0.0004`.
pub(crate) fn signed(value: f64) -> String {
    // 0.0005 is the least that three decimals do not round to zero.
    let decimals = if value.abs() < 0.0005 { 4 } else { 3 };
    let text = fixed(value.abs(), decimals);
    if !value.is_finite() {
        text
    } else if is_zero(&text) {
        fixed(0.0, 3)
    } else if value < 0.0 {
        // U+2212: the minus sign that is as wide as a plus.
        format!("−{text}")
    } else {
        format!("+{text}")
    }
}

/// A difference with its confidence interval, all signed: on which side of 0 it ends is what matters. The interval
/// stands by itself, for a report that writes it smaller; it is empty if there is none.
pub(crate) fn signed_interval(difference: Estimate) -> [String; 2] {
    if !difference.has_interval() {
        return [signed(difference.mean), String::new()];
    }
    [signed(difference.mean), format!("[{}, {}]", signed(difference.low), signed(difference.high))]
}

/// A share (0 to 1) in per cent: `88.7 %`.
pub(super) fn percent(share: f64) -> String {
    format!("{} %", fixed(share * 100.0, 1))
}

/// A p-value: `p=0.003`; with a fourth decimal where rounding would lift a smaller one to 0.050: `p=0.0497`.
pub(crate) fn probability(p: f64) -> String {
    if p < 0.001 {
        "p<0.001".to_owned()
    } else if (0.0495..0.05).contains(&p) {
        // Rounded down: `p=0.0500` next to "worse" would contradict the threshold of 0.05.
        format!("p={}", fixed((p * 1e4).floor() / 1e4, 4))
    } else {
        format!("p={}", fixed(p, 3))
    }
}

/// Milliseconds without the unit, with decimals below 10: `0.31`, `4.2`, `118`.
pub(super) fn milliseconds(value: f64) -> String {
    match value {
        _ if !value.is_finite() => NOTHING.to_owned(),
        _ if value > 0.0 && value < 0.01 => "<0.01".to_owned(),
        _ if value <= 0.0 => "0".to_owned(),
        _ if value < 1.0 => fixed(value, 2),
        _ if value < 10.0 => fixed(value, 1),
        _ => fixed(value, 0),
    }
}

/// US dollars with at least two significant digits: `$2.00`, `$0.051`, `$0`.
#[must_use]
pub fn dollars(value: f64) -> String {
    match value {
        _ if !value.is_finite() => NOTHING.to_owned(),
        _ if value <= 0.0 => "$0".to_owned(),
        _ if value < 0.0001 => "<$0.0001".to_owned(),
        _ if value < 0.001 => format!("${value:.5}"),
        _ if value < 0.01 => format!("${value:.4}"),
        _ if value < 0.1 => format!("${value:.3}"),
        _ => format!("${value:.2}"),
    }
}

/// US dollars for 1,000 queries, if known and finite.
pub(super) fn usd(cost: Option<&Cost>) -> Option<f64> {
    let usd = cost?.usd_per_1000_queries?;
    usd.is_finite().then_some(usd)
}

/// The cost of 1,000 queries as a table cell: dollars, `free`, `not known`, or a dash if it was not measured.
pub(super) fn price(cost: Option<&Cost>) -> String {
    match (cost, usd(cost)) {
        (None, _) => NOTHING.to_owned(),
        // First: that nothing is ever charged says more than "$0".
        (Some(cost), _) if cost.unit == "free" => "free".to_owned(),
        (Some(_), Some(usd)) => dollars(usd),
        (Some(_), None) => "not known".to_owned(),
    }
}

/// `value` with `decimals` decimals, without the sign of a negative zero.
pub(super) fn fixed(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return NOTHING.to_owned();
    }
    let text = format!("{value:.decimals$}");
    // A small negative value keeps its sign when it is rounded to zero.
    match text.strip_prefix('-') {
        Some(unsigned) if is_zero(unsigned) => unsigned.to_owned(),
        _ => text,
    }
}

/// Returns true if a formatted number without a sign is zero.
fn is_zero(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_the_digits_that_matter() {
        assert_eq!(score(0.73149), "0.731");
        assert_eq!(score(-0.0001), "0.000");
        assert_eq!(interval(Estimate { mean: 0.7, low: 0.694, high: 0.7711 }), "[0.69, 0.77]");
        assert_eq!(["+0.119", "−0.020", "0.000"], [0.119, -0.02, -0.0].map(signed));
        assert_eq!(["+0.001", "−0.0004", "0.000"], [0.0005, -0.0004, 0.000_01].map(signed));
        let difference = Estimate { mean: 0.016, low: -0.0004, high: 0.033 };
        assert_eq!(signed_interval(difference), ["+0.016", "[−0.0004, +0.033]"]);
        assert_eq!(percent(0.8867), "88.7 %");
        assert_eq!([0.0004, 0.0031, 0.049_99, 0.05].map(probability), ["p<0.001", "p=0.003", "p=0.0499", "p=0.050"]);
        let times = [0.0, 0.001, 0.314, 4.21, 118.4].map(milliseconds);
        assert_eq!(times, ["0", "<0.01", "0.31", "4.2", "118"]);
        let amounts = [0.0, 0.00001, 0.000_51, 0.0051, 0.051, 2.0].map(dollars);
        assert_eq!(amounts, ["$0", "<$0.0001", "$0.00051", "$0.0051", "$0.051", "$2.00"]);
    }

    #[test]
    fn what_is_no_number_is_a_dash() {
        for write in [score, signed, milliseconds, dollars] {
            assert_eq!([f64::NAN, f64::INFINITY, f64::NEG_INFINITY].map(write), [NOTHING; 3]);
        }
        assert_eq!(percent(f64::NAN), "– %");
        assert_eq!(probability(f64::NAN), "p=–");
    }

    #[test]
    fn costs_tell_free_from_not_known() {
        let cost = |usd, unit: &str| Cost {
            usd_per_1000_queries: usd,
            tokens_per_query: None,
            search_units_per_query: None,
            unit: unit.to_owned(),
        };
        assert_eq!(price(None), NOTHING);
        assert_eq!(price(Some(&cost(Some(0.0), "free"))), "free");
        assert_eq!(price(Some(&cost(Some(2.0), "search unit"))), "$2.00");
        assert_eq!(price(Some(&cost(None, "million tokens"))), "not known");
        assert_eq!(price(Some(&cost(Some(f64::NAN), "million tokens"))), "not known");
    }
}
