//! A provider dies under load, and another stands ready: what clients notice.

use std::time::Duration;

use tokio::time::sleep;

use super::{LATENCY, PASSAGES, SECOND, SEED, check_scores};
use crate::faults::{Fault, FaultProxy, Script};
use crate::load::{Ending, Load, count, quantile, settled};
use crate::report::{Bar, Report};
use crate::sidecar::{Sidecar, model, upstream};
use crate::upstream::{Mock, Nature};
use crate::workload::Verdict;

/// Requests a second.
const RATE: u32 = 400;
/// Long enough that a single probe of the breaker is not its 99th percentile.
const WINDOW: Duration = Duration::from_millis(500);

pub(crate) async fn run(report: &mut Report) {
    let of = |full, quick| if report.is_quick() { quick } else { full };
    let (healthy, rest) = (of(3, 2) * SECOND, of(8, 2) * SECOND);
    let alone = fallback_alone(healthy, report).await;
    for (name, fault) in [("failover: connections refused", Fault::Refuse), ("failover: black hole", Fault::BlackHole)]
    {
        report.scenario(name);
        measure(fault, (healthy, rest), alone, report).await;
    }
}

/// The 99th percentile of the same load over the fallback alone, in milliseconds.
async fn fallback_alone(length: Duration, report: &mut Report) -> f64 {
    report.scenario("failover: the fallback alone");
    let mock = Mock::start(Nature::of("fallback", LATENCY)).await;
    let config = upstream("fallback", "jina", mock.address()) + &model(&["fallback"]);
    let sidecar = Sidecar::start(&config).await;
    let outcomes = Load::new(&sidecar.client, RATE, length).unique(PASSAGES).await;
    let p99 = quantile(&outcomes, 0.99, Ending::is_answer);
    // Nothing is faster than the provider: a ruler that says so is broken, and all that it measures with it.
    report.figure("p99", p99, "ms", Bar::AtLeast(LATENCY.as_secs_f64() * 1e3));
    sidecar.end().await;
    p99
}

/// `healthy` must be long enough that rerankd knows what is usual.
async fn measure(fault: Fault, (healthy, rest): (Duration, Duration), alone: f64, report: &mut Report) {
    let primary = Mock::start(Nature::of("primary", LATENCY)).await;
    let fallback = Mock::start(Nature::of("fallback", LATENCY)).await;
    let proxy = FaultProxy::start(primary.address(), SEED, Script::new()).await.unwrap();
    let config = [
        upstream("primary", "cohere", proxy.address()),
        upstream("fallback", "jina", fallback.address()),
        model(&["primary", "fallback"]),
    ];
    let sidecar = Sidecar::start(&config.concat()).await;
    let load = Load::new(&sidecar.client, RATE, healthy + rest);
    let death = async {
        sleep(healthy).await;
        proxy.set(Script::always(fault));
    };
    let (outcomes, ()) = tokio::join!(load.unique(PASSAGES), death);
    let added =
        |bar: f64| settled(&outcomes, healthy, WINDOW, move |window| quantile(window, 0.99, |_| true) <= alone + bar);
    let after = &outcomes[outcomes.partition_point(|outcome| outcome.due < healthy)..];
    report.count("client errors", count(&outcomes, Ending::is_error), Bar::AtMost(0.0));
    report.figure_with_slack(
        "until the added p99 is under 10 ms for good",
        (if report.is_quick() { added(100.0) } else { added(10.0) }, "s"),
        Bar::AtMost(2.0),
        Bar::AtMost(2.5),
    );
    report.note("longest answer after the death", quantile(after, 1.0, |_| true), "ms");
    let slow = after.iter().filter(|outcome| outcome.latency > Duration::from_millis(100)).count();
    report.count("answers over 100 ms", slow, Bar::None);
    let by_fallback = count(after, |ending| ending == Ending::Answered(Verdict::Right { by_fallback: true }));
    report.count("answers of the fallback", by_fallback, Bar::None);
    check_scores(&outcomes, report);
    sidecar.end().await;
}
