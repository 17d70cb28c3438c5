//! A provider is down and there is no other: how much of the load still reaches it.

use std::time::Duration;

use tokio::time::sleep;

use super::{LATENCY, PASSAGES, SECOND, SEED, check_scores};
use crate::faults::{Fault, FaultProxy, Script};
use crate::load::{Ending, Load, count, precise, ratio};
use crate::report::{Bar, Report};
use crate::sidecar::{Sidecar, model, upstream};
use crate::upstream::{Mock, Nature};

const NO_BREAKER: &str = "[upstream_defaults.breaker]\nconsecutive_failures = 0\n";

/// Most attempts for each request.
const BAR: Bar = Bar::AtMost(1.25);

#[derive(Clone, Copy)]
struct Outage {
    name: &'static str,
    refuses: bool,
    config: &'static str,
    rate: u32,
    length: Duration,
}

pub(crate) async fn run(report: &mut Report) {
    let of = |full, quick| if report.is_quick() { quick } else { full };
    let (rate, length) = (of(1_000, 300), of(6, 2) * SECOND);
    let outages = [
        Outage { name: "outage: status 500", refuses: false, config: "", rate, length },
        Outage { name: "outage: connections refused", refuses: true, config: "", rate, length },
        Outage {
            name: "outage: status 500, breaker off",
            refuses: false,
            config: NO_BREAKER,
            rate: 200,
            length: of(20, 3) * SECOND,
        },
    ];
    for outage in outages {
        measure(outage, report).await;
    }
}

async fn measure(outage: Outage, report: &mut Report) {
    report.scenario(outage.name);
    let mock = Mock::start(Nature::of("primary", LATENCY)).await;
    mock.answer_with(500);
    let script = Script::always(if outage.refuses { Fault::Refuse } else { Fault::Clean });
    let proxy = FaultProxy::start(mock.address(), SEED, script).await.unwrap();
    let config = [outage.config, &upstream("primary", "cohere", proxy.address()), &model(&["primary"])].concat();
    let sidecar = Sidecar::start(&config).await;
    let load = Load::new(&sidecar.client, outage.rate, outage.length);
    let first_second = async {
        sleep(SECOND).await;
        sidecar.attempts("primary").await
    };
    let (outcomes, attempts_at_first) = tokio::join!(load.unique(PASSAGES), first_second);
    let attempts = sidecar.attempts("primary").await;
    assert!(
        outage.refuses || precise(mock.counts().requests as u64) <= attempts,
        "the upstream counts no more than rerankd"
    );
    report.figure("attempts / requests", attempts / precise(outcomes.len() as u64), "", BAR);
    report.note("attempts / requests, first second", attempts_at_first / f64::from(outage.rate), "");
    report.note("answered with 503 (circuit open)", 100.0 * ratio(count(&outcomes, is(503)), outcomes.len()), "%");
    let unclear = count(&outcomes, |ending| !matches!(ending, Ending::Refused(429 | 502 | 503)));
    report.count("other than 429, 502 and 503", unclear, Bar::AtMost(0.0));
    check_scores(&outcomes, report);
    sidecar.end().await;
}

fn is(status: u16) -> impl Fn(Ending) -> bool {
    move |ending| ending == Ending::Refused(status)
}
