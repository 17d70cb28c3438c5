//! Rules by which the failures of a provider are sorted where its statuses do not say enough: `[[errors]]` of a
//! provider's table.
//!
//! Providers tell permanent failures by statuses that are usually worth another attempt (an empty account as 429, a
//! text that is too long as 500), and failures by a status of success. A rule names them by status, code and message.
//! The first rule whose conditions all hold decides; without one, the status does.

use super::Explanation;
use super::phrases::without_quotations;
use crate::types::error_rule::ErrorRule;

/// Returns true if every condition of `rule` holds for a reply of `status`. `message` is that of the reply in lower
/// case, without long quotations.
fn matches(rule: &ErrorRule, status: u16, codes: &[String], message: &str) -> bool {
    let has_status = rule.statuses.is_empty() || rule.statuses.contains(&status);
    let has_code = match &rule.code {
        Some(pattern) => codes.iter().any(|code| pattern.matches(code)),
        None => true,
    };
    let has_words = match &rule.says {
        Some(words) => message.contains(words),
        None => true,
    };
    has_status && has_code && has_words
}

/// The rule that decides about a reply of `status` in which the provider `said` something; `None` if none matches.
#[must_use]
pub fn first_match<'a>(rules: &'a [ErrorRule], status: u16, said: Option<&Explanation>) -> Option<&'a ErrorRule> {
    if rules.is_empty() {
        return None;
    }
    let (codes, message) = match said {
        Some(said) => (&said.codes[..], without_quotations(&said.message.to_lowercase())),
        None => (&[][..], String::new()),
    };
    rules.iter().find(|rule| matches(rule, status, codes, &message))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::error_rule::{CodePattern, ErrorClass};

    fn said(message: &str, codes: &[&str]) -> Explanation {
        let codes = codes.iter().map(|code| (*code).to_owned()).collect();
        Explanation { message: message.to_owned(), codes, locations: Vec::new() }
    }

    fn rule(statuses: &[u16], code: Option<&str>, says: Option<&str>, class: ErrorClass) -> ErrorRule {
        let says = says.map(str::to_lowercase);
        ErrorRule { statuses: statuses.to_vec(), code: code.map(CodePattern::of), says, class, retry: None }
    }

    fn class_of(rules: &[ErrorRule], status: u16, message: &str, codes: &[&str]) -> Option<ErrorClass> {
        first_match(rules, status, Some(&said(message, codes))).map(|rule| rule.class)
    }

    #[test]
    fn first_rule_whose_conditions_all_hold_decides() {
        let rules = [
            rule(&[429], Some("1113"), None, ErrorClass::QuotaExhausted),
            rule(&[400, 429], None, Some("Daily Allocation"), ErrorClass::QuotaExhausted),
            rule(&[], Some("Throttling*"), None, ErrorClass::RateLimited),
            rule(&[500], None, None, ErrorClass::Rejected),
        ];
        for (status, message, codes, expected) in [
            (429, "balance", &["1113"][..], Some(ErrorClass::QuotaExhausted)),
            (400, "balance", &["1113"], None),
            (429, "slow down", &["1302"], None),
            (429, "the daily allocation is used up", &[], Some(ErrorClass::QuotaExhausted)),
            (200, "", &["throttling.ratequota"], Some(ErrorClass::RateLimited)),
            (400, "", &["throttling"], Some(ErrorClass::RateLimited)),
            (400, "", &["not.throttling"], None),
            (500, "", &["throttling.user"], Some(ErrorClass::RateLimited)),
            (500, "anything", &[], Some(ErrorClass::Rejected)),
            (503, "anything", &[], None),
        ] {
            assert_eq!(class_of(&rules, status, message, codes), expected, "{status} {message} {codes:?}");
        }
        assert_eq!(first_match(&rules, 500, None).unwrap().class, ErrorClass::Rejected, "a body that says nothing");
        assert_eq!(first_match(&rules, 429, None), None);
    }

    #[test]
    fn words_of_a_quoted_passage_decide_nothing() {
        let rules = [rule(&[], None, Some("balance"), ErrorClass::QuotaExhausted)];
        let quoting = "document 'the balance of the account of the month' is not valid";
        assert_eq!(class_of(&rules, 400, quoting, &[]), None);
        assert_eq!(class_of(&rules, 400, "Insufficient Balance", &[]), Some(ErrorClass::QuotaExhausted));
    }

    proptest! {
        /// A rule more at the end changes nothing that was decided before, and one condition more never matches more.
        #[test]
        fn rules_are_tried_in_order_and_conditions_narrow(
            status in 200..600u16,
            codes in proptest::collection::vec("[a-z.]{0,4}", 0..3),
            message in "[a-z ]{0,12}",
            statuses in proptest::collection::vec(200..600u16, 0..3),
            code in proptest::option::of("[A-Za-z.]{0,3}\\*?"),
            says in proptest::option::of("[a-z]{0,2}"),
        ) {
            let said = Explanation { message, codes, locations: Vec::new() };
            let code = code.as_deref();
            let narrow = rule(&statuses, code, says.as_deref(), ErrorClass::Rejected);
            let wide = rule(&[], code, says.as_deref(), ErrorClass::Unavailable);
            let any = rule(&[], None, None, ErrorClass::TooLarge);
            let matches = |rules: &[ErrorRule]| first_match(rules, status, Some(&said)).map(|rule| rule.class);
            let alone = matches(std::slice::from_ref(&narrow));
            if alone.is_some() {
                prop_assert!(matches(std::slice::from_ref(&wide)).is_some());
                prop_assert_eq!(matches(&[narrow.clone(), any.clone()]), alone);
            } else {
                prop_assert_eq!(matches(&[narrow, any]), Some(ErrorClass::TooLarge));
            }
        }
    }
}
