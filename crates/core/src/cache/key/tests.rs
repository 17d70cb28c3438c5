//! The fields of keys, each of which counts.

use std::collections::HashSet;

use faststr::FastStr;
use proptest::prelude::*;

use super::*;
use crate::provider::ScoreScale;

/// The key of a pair for tests of tables, different for every name.
pub(in crate::cache) fn pair(name: u32) -> PairKey {
    QueryKey([7; 32]).pair(&name.to_string())
}

fn space() -> ScoreSpace {
    ScoreSpace {
        upstream: "cohere".into(),
        model: "rerank-v3.5".into(),
        revision: String::new(),
        scale: ScoreScale::Probability,
    }
}

fn key(scope: CacheScope, space: &ScoreSpace, options: &ScoringOptions, query: &str, passage: &str) -> String {
    let query = QueryKey::new(scope, space, options, query);
    format!("{query:?}{:?}", query.pair(passage))
}

/// Law 1: every field that takes part in a score takes part in its key.
#[test]
fn law_1_each_field_alone_changes_the_key() {
    let options = ScoringOptions::default();
    let with_instruction =
        |text: &'static str| ScoringOptions { instruction: Some(FastStr::from(text)), ..ScoringOptions::default() };
    let shared = CacheScope::SHARED;
    let keys = [
        key(shared, &space(), &options, "ab", "c"),
        key(shared, &space(), &options, "a", "bc"),
        key(shared, &space(), &options, "ab", "d"),
        key(shared, &space(), &options, "", "abc"),
        key(shared, &space(), &with_instruction(""), "ab", "c"),
        key(shared, &space(), &with_instruction("x"), "ab", "c"),
        key(shared, &space(), &ScoringOptions { max_tokens_per_doc: Some(1), ..options.clone() }, "ab", "c"),
        key(shared, &ScoreSpace { upstream: "other".into(), ..space() }, &options, "ab", "c"),
        key(shared, &ScoreSpace { model: "other".into(), ..space() }, &options, "ab", "c"),
        key(shared, &ScoreSpace { revision: "2".into(), ..space() }, &options, "ab", "c"),
        key(shared, &ScoreSpace { scale: ScoreScale::Logit, ..space() }, &options, "ab", "c"),
        key(CacheScope::of_caller("one"), &space(), &options, "ab", "c"),
        key(CacheScope::of_caller("two"), &space(), &options, "ab", "c"),
    ];
    let distinct: HashSet<_> = keys.iter().collect();
    assert_eq!(distinct.len(), keys.len(), "{keys:#?}");
}

/// Law 1: the borders between fields are part of the key. Without lengths the two of each row would be the same
/// bytes.
#[test]
fn law_1_the_borders_of_fields_count() {
    let plain = ScoringOptions::default();
    let instructed = |text: &'static str| ScoringOptions { instruction: Some(FastStr::from(text)), ..plain.clone() };
    let named = |upstream: &str, model: &str, revision: &str| ScoreSpace {
        upstream: upstream.into(),
        model: model.into(),
        revision: revision.into(),
        ..space()
    };
    let of = |space: &ScoreSpace, options: &ScoringOptions, query: &str| {
        QueryKey::new(CacheScope::SHARED, space, options, query)
    };
    for (left, right) in [
        (of(&named("ab", "c", ""), &plain, "q"), of(&named("a", "bc", ""), &plain, "q")),
        (of(&named("u", "ab", "c"), &plain, "q"), of(&named("u", "a", "bc"), &plain, "q")),
        (of(&named("u", "ab", ""), &plain, "q"), of(&named("u", "a", "b"), &plain, "q")),
        (of(&named("ab", "", "c"), &plain, "q"), of(&named("a", "bc", ""), &plain, "q")),
        // One byte stands before each option and says whether it is there.
        (of(&space(), &instructed("i\u{0}a"), "b"), of(&space(), &instructed("i"), "a\u{0}b")),
        (of(&space(), &instructed("i\u{0}"), "q"), of(&space(), &instructed("i"), "\u{0}q")),
    ] {
        assert_ne!(left, right);
    }
    let query = of(&space(), &plain, "q");
    let list = |texts: &[&str]| query.of_list(&texts.iter().copied().collect());
    for (left, right) in [(&["ab", "c"][..], &["a", "bc"][..]), (&["ab"], &["a", "b"]), (&["a", ""], &["", "a"])] {
        assert_ne!(list(left), list(right));
    }
}

/// Law 1: the version of the model takes part in the keys of pairs and of lists. Without one the key stays.
#[test]
fn law_1_each_version_of_a_model_has_keys_of_its_own() {
    let query = QueryKey::new(CacheScope::SHARED, &space(), &ScoringOptions::default(), "q");
    let of = |name: Option<&str>| query.of_version(ModelVersion::of(name));
    let passages: Passages = ["a"].into_iter().collect();
    assert_eq!(of(None), query);
    let [one, two] = ["1", "2"].map(|name| of(Some(name)));
    let keys = [query, one, two, query.of_list(&passages), one.of_list(&passages), two.of_list(&passages)];
    assert_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len());
    assert_eq!(of(Some("1")), one);
}

/// Law 1: the length of a passage is part of its key, for every way in which its last bytes fill a block.
#[test]
fn law_1_passages_of_zeros_differ_by_their_length() {
    let query = QueryKey::new(CacheScope::SHARED, &space(), &ScoringOptions::default(), "q");
    let keys: HashSet<_> = (0..=200).map(|length| query.pair(&"\0".repeat(length))).collect();
    assert_eq!(keys.len(), 201);
}

#[test]
fn a_list_is_known_by_its_order() {
    let query = QueryKey::new(CacheScope::SHARED, &space(), &ScoringOptions::default(), "q");
    let list = |texts: &[&str]| query.of_list(&texts.iter().copied().collect());
    let lists = [list(&["a", "b"]), list(&["b", "a"]), list(&["ab", ""]), list(&["", "ab"]), list(&["a", "b", ""])];
    assert_eq!(lists.iter().collect::<HashSet<_>>().len(), lists.len());
    assert_eq!(list(&["a", "b"]), lists[0]);
}

proptest! {
    /// Law 1: a key depends on the passage alone, not on the list that it comes in.
    #[test]
    fn law_1_keys_of_a_list_are_those_of_its_passages(
        query in ".{0,8}", passages in proptest::collection::vec(".{0,80}", 0..20),
    ) {
        let query = QueryKey::new(CacheScope::SHARED, &space(), &ScoringOptions::default(), &query);
        let expected: Vec<_> = passages.iter().map(|passage| query.pair(passage)).collect();
        prop_assert_eq!(query.pairs(passages.iter().map(String::as_str)), expected);
    }

    #[test]
    fn only_the_same_fields_give_the_same_key(
        left in proptest::array::uniform4("[ab]{0,3}"), right in proptest::array::uniform4("[ab]{0,3}"),
    ) {
        let of = |fields: &[String; 4]| {
            let space = ScoreSpace { model: fields[0].clone(), revision: fields[1].clone(), ..space() };
            key(CacheScope::SHARED, &space, &ScoringOptions::default(), &fields[2], &fields[3])
        };
        prop_assert_eq!(of(&left) == of(&right), left == right);
    }
}
