//! A collection as small as those that newcomers bring.

use std::path::Path;

use super::super::load;
use super::{of, with};

/// 15 passages, and 10 queries of which 7 share no word with any of them.
#[test]
fn a_small_collection_is_ranked_whole_and_no_query_is_left_out() {
    let small = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/eval/small");
    let collection = load(&of(&small)).unwrap();
    assert_eq!(collection.queries.len(), 10);
    for query in &collection.queries {
        let mut places = query.candidates.clone();
        places.sort_unstable();
        assert_eq!(places, (0..15).collect::<Vec<_>>(), "{}", query.id);
    }
    assert_eq!(collection.left_out.queries_without_common_words, 7);
    assert_eq!(collection.left_out.queries_without_candidates, 0);
    // Where no word counts, all queries have the same order, and it is not that of the corpus.
    let [fourth, fifth] = [3, 4].map(|index: usize| collection.queries[index].candidates.clone());
    assert!(fourth == fifth && !fourth.is_sorted());
    // Lists are filled to the depth; the best by BM25 stay on top.
    let cut = load(&with(&small, "bm25:4")).unwrap();
    assert!(cut.queries.iter().all(|query| query.candidates.len() == 4));
    assert_eq!(cut.queries[0].candidates[0], 5);
    assert_eq!(cut.first_stage, "the best 4 by BM25 (k1 0.9, b 0.4), then others in a fixed order");
    let positives = load(&with(&small, "judged")).unwrap();
    assert!(positives.holds_positives_only() && !collection.holds_positives_only());
    assert_eq!((positives.undecidable_queries(), collection.undecidable_queries()), (10, 0));
}
