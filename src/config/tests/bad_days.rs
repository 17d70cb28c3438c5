use std::time::Duration;

use rerankd_core::route::settings::OnDeadline;
use rerankd_core::upstream::settings::LongPassages;

use super::{faults_with, load_text};

#[test]
fn the_settings_of_bad_days_are_inherited_and_overridden_key_by_key() {
    let loaded = load_text(
        "
        [upstream_defaults]
        max_queue = 7
        [upstream_defaults.breaker]
        window = '5s'
        [upstreams.a]
        provider = 'tei'
        base_url = 'http://a'
        requests_per_minute = 90
        long_passages = 'chunk_max'
        max_passage_tokens = 480
        [upstreams.a.breaker]
        ejection = '2s'
        [model_defaults]
        fallback_after = '4s'
        [model_defaults.hedge]
        max_calls = 0.5
        [models.default]
        targets = [{ upstream = 'a', scores = 'x', weight = 3 }]
        on_deadline = 'partial'
        [models.default.hedge]
        enabled = true
        ",
        &[],
    )
    .unwrap();
    let upstream = &loaded.settings.upstreams[0];
    let model = &loaded.settings.models[0];
    assert_eq!((upstream.max_queue, upstream.max_concurrency), (7, 64));
    assert_eq!((upstream.breaker.window, upstream.breaker.ejection), (Duration::from_secs(5), Duration::from_secs(2)));
    assert_eq!(upstream.breaker.consecutive_failures, 5);
    assert_eq!(upstream.rate.requests_per_minute.map(std::num::NonZero::get), Some(90));
    assert_eq!(upstream.rate.tokens_per_minute, None);
    assert_eq!(upstream.long_passages, LongPassages::ChunkMax(480));
    assert!(model.hedge.enabled && model.hedge.max_calls > 0.4 && model.hedge.max_spend < 0.1);
    assert_eq!((model.on_deadline, model.targets[0].weight), (OnDeadline::Partial, 3));
    assert_eq!(model.fallback_after, Duration::from_secs(4));
}

#[test]
fn contradictions_are_faults() {
    let up = "[upstreams.u]\nprovider = 'tei'\nbase_url = 'http://u'\n";
    let voyage = "[upstreams.v]\nprovider = 'voyage'\nbase_url = 'http://v'\n";
    for (text, fault) in [
        ("[cache]\nttl = '1h'\nrefresh_ahead = '1h'", "cache.refresh_ahead: must be less than ttl"),
        (&format!("{up}long_passages = 'truncate'"), "upstreams.u.max_passage_tokens: is missing: long_passages needs"),
        (&format!("{up}api_key = 'env:A'\napi_keys = ['env:A']"), "upstreams.u.api_keys: api_key is given too"),
        (
            &format!("{up}api_keys = ['env:MISSING_1', 'env:MISSING_2']"),
            "upstreams.u.api_keys: environment variable MISSING_1 is not set; environment variable MISSING_2 is not set",
        ),
        (
            &format!("{up}[upstreams.u.breaker]\nejection = '2m'"),
            "upstreams.u.breaker.max_ejection: must be at least ejection",
        ),
        (
            &format!("{up}[upstreams.u.breaker]\nmin_success_rate = 50"),
            "upstreams.u.breaker.min_success_rate: must be a number from 0 to 1",
        ),
        (
            &format!(
                "{up}{voyage}[models.m]\ntargets = [{{ upstream = 'u', scores = 's' }}, \
                 {{ upstream = 'v', model = 'x', scores = 's' }}]"
            ),
            "models.m: v/x: targets of the same scores must agree in scale, scoring",
        ),
        (
            "[models.m]\ntargets = [{ upstream = 'local', scores = 's' }]",
            "models.m: local/lexical: nothing gives the same",
        ),
        (
            "[models.m]\ntargets = [{ upstream = 'local', weight = 2 }]",
            "models.m.targets[0].weight: means nothing without scores",
        ),
        (&format!("{up}max_passage_tokens = 99"), "upstreams.u.max_passage_tokens: means nothing with"),
    ] {
        let found = faults_with(text, &[("A", "a")]);
        assert!(found.len() == 1 && found[0].starts_with(fault), "{fault}\n{found:#?}");
    }
}
