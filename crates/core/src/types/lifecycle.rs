//! The end of models: facts about it, and what the operator is told of them on a given day.
//!
//! Providers announce the end of a model on a page that nobody reads, and some answer in its name with another model.
//! A fallback hides both. The facts are data, so what is told is a pure function of them and the day.

use super::date::Date;

/// Days before its end from which a model is warned of while the server runs.
pub const NOTICE_DAYS: i64 = 90;

/// The facts about the end of a model, or of a whole service. All may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lifecycle {
    /// The first day without it, which may lie ahead; `None` if none is announced.
    pub retired_on: Option<Date>,
    /// The model to use instead, or words for it. Without a date, the model is deprecated: it will end some day.
    pub successor: Option<String>,
    /// The model of the same provider that answers in its name, without telling.
    pub silent_alias_of: Option<String>,
}

impl Lifecycle {
    /// Returns true if nothing is known, as of most models.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The model that really answers for `model`.
    #[must_use]
    pub fn answering<'a>(&'a self, model: &'a str) -> &'a str {
        self.silent_alias_of.as_deref().unwrap_or(model)
    }

    /// Returns true if a running server warns of it `today`: it has ended, ends within [`NOTICE_DAYS`], or ends some
    /// day.
    #[must_use]
    pub fn is_due(&self, today: Date) -> bool {
        match self.retired_on {
            Some(end) => end.days() - today.days() <= NOTICE_DAYS,
            None => !self.is_empty(),
        }
    }

    /// The sentence about `subject`, a model or a service, as of `today`; `None` if nothing is known.
    #[must_use]
    pub fn notice(&self, subject: &str, today: Date) -> Option<String> {
        let advice = match &self.successor {
            Some(successor) => format!("; use {successor}"),
            None => String::new(),
        };
        match (self.retired_on, &self.silent_alias_of) {
            (Some(end), _) if end <= today => {
                Some(format!("{subject} was retired on {}, calls to it may fail{advice}", end.as_str()))
            }
            (Some(end), _) => Some(format!("{subject} will be retired on {}{advice}", end.as_str())),
            (None, Some(other)) => {
                Some(format!("{subject} is answered by {other}, and its scores are those of {other}{advice}"))
            }
            (None, None) if self.successor.is_some() => {
                Some(format!("{subject} is deprecated, its end has no date yet{advice}"))
            }
            (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> Date {
        Date::parse(text).unwrap()
    }

    fn ending(on: &str) -> Lifecycle {
        Lifecycle { retired_on: Some(date(on)), successor: Some("new".to_owned()), silent_alias_of: None }
    }

    #[test]
    fn end_is_told_before_and_after_its_day() {
        let lifecycle = ending("2027-02-12");
        for (today, notice, is_due) in [
            ("2026-11-13", "u/m will be retired on 2027-02-12; use new", false),
            ("2026-11-14", "u/m will be retired on 2027-02-12; use new", true),
            ("2027-02-11", "u/m will be retired on 2027-02-12; use new", true),
            ("2027-02-12", "u/m was retired on 2027-02-12, calls to it may fail; use new", true),
            ("2030-01-01", "u/m was retired on 2027-02-12, calls to it may fail; use new", true),
        ] {
            assert_eq!(lifecycle.notice("u/m", date(today)).as_deref(), Some(notice), "{today}");
            assert_eq!(lifecycle.is_due(date(today)), is_due, "{today}");
        }
    }

    #[test]
    fn other_facts_are_told_on_every_day_and_no_fact_never() {
        let today = date("2026-11-30");
        let deprecated = Lifecycle { retired_on: None, ..ending("2027-01-01") };
        assert_eq!(deprecated.notice("m", today).as_deref(), Some("m is deprecated, its end has no date yet; use new"));
        let alias = Lifecycle { silent_alias_of: Some("other".to_owned()), ..Lifecycle::default() };
        let notice = "m is answered by other, and its scores are those of other";
        assert_eq!(alias.notice("m", today).as_deref(), Some(notice));
        assert_eq!((alias.answering("m"), deprecated.answering("m")), ("other", "m"));
        assert!(alias.is_due(today) && deprecated.is_due(today));
        let unknown = Lifecycle::default();
        assert!(unknown.is_empty() && !unknown.is_due(today) && unknown.notice("m", today).is_none());
    }
}
