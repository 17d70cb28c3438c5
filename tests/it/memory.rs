//! The cache's bound is on memory really used: a process is filled far beyond it and measured.

use std::fs;
use std::time::Duration;

use rerankd_core::cache::ScoreCache;
use rerankd_core::cache::key::{CacheScope, QueryKey, ScoreSpace};
use rerankd_core::provider::ScoreScale;
use rerankd_core::types::request::ScoringOptions;

const BOUND: usize = 32 << 20;

fn resident_bytes() -> usize {
    let pages: usize = fs::read_to_string("/proc/self/statm").unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

/// Run in a process of its own by the test below, so that other tests' memory does not count.
#[test]
fn fill_the_cache_and_measure() {
    let Ok(passages) = std::env::var("RERANKD_TEST_FILL") else { return };
    let passages: usize = passages.parse().unwrap();
    let cache = ScoreCache::in_memory(BOUND, Duration::from_hours(1));
    let space = ScoreSpace {
        upstream: "up".into(),
        model: "m".into(),
        revision: String::new(),
        scale: ScoreScale::Probability,
    };
    let before = resident_bytes();
    // Several times the bound, in pairs of about 27 bytes and entries of a few hundred.
    for query in 0..4 * BOUND / (passages * 33 + 600) {
        let query = QueryKey::new(CacheScope::SHARED, &space, &ScoringOptions::default(), &query.to_string());
        let scores: Vec<_> = (0..passages).map(|passage| (query.at_position(passage), 0.5)).collect();
        cache.put_many(&query, &scores);
    }
    let size = cache.size();
    let used = resident_bytes() - before;
    assert!(size.bytes <= BOUND as u64 && size.bytes > BOUND as u64 / 2, "{size:?}: the bound is kept and made use of");
    assert!(
        used < BOUND + BOUND / 4,
        "{passages} passages a query: {used} bytes are in use, the bound is {BOUND}; {size:?}"
    );
}

#[test]
fn cache_memory_stays_within_its_bound() {
    for passages in ["1", "10", "100", "1000", "5000"] {
        let run = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["memory::fill_the_cache_and_measure", "--exact", "--nocapture"])
            .env("RERANKD_TEST_FILL", passages)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success() && said.contains("1 passed"), "{said}\n{}", String::from_utf8_lossy(&run.stderr));
    }
}
