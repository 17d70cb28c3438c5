//! A provider comes back, and there was no other: how long until clients have their answers again.

use std::time::Duration;

use tokio::time::sleep;

use super::{LATENCY, PASSAGES, SECOND, SEED, check_scores};
use crate::faults::{Fault, FaultProxy, Script};
use crate::load::{Ending, Load, count, ratio, settled};
use crate::report::{Bar, Report};
use crate::sidecar::{Sidecar, model, upstream};
use crate::upstream::{Mock, Nature};

const RATE: u32 = 400;
const HEALTHY: Duration = Duration::from_millis(500);
const WINDOW: Duration = Duration::from_millis(250);
/// What a window must hold of answers.
const SHARE: f64 = 0.99;
/// The breaker's times in the cold are 1, 2 and 4 seconds: after an outage of 5 the third has at most 2 to go.
const BAR: Bar = Bar::AtMost(2.5);
const WHAT: &str = "until 99 % are answered for good";

pub(crate) async fn run(report: &mut Report) {
    let outage = if report.is_quick() { 1 } else { 5 } * SECOND;
    report.scenario("recovery: status 500");
    let seconds = measure(Fault::status(500), outage, 3 * SECOND, report).await;
    report.figure(WHAT, seconds, "s", BAR);
    report.scenario("recovery: connections refused");
    let seconds = measure(Fault::Refuse, outage, 3 * SECOND, report).await;
    report.figure(WHAT, seconds, "s", BAR);
    if !report.is_quick() {
        // What was sent into the hole is waited for: that takes `attempt_timeout`, 10 seconds, whatever the outage.
        report.scenario("recovery: black hole");
        let seconds = measure(Fault::BlackHole, outage, 12 * SECOND, report).await;
        report.note(WHAT, seconds, "s");
    }
}

/// Seconds until all is well, if it is before `rest` is over.
async fn measure(fault: Fault, outage: Duration, rest: Duration, report: &mut Report) -> f64 {
    let mock = Mock::start(Nature::of("primary", LATENCY)).await;
    let proxy = FaultProxy::start(mock.address(), SEED, Script::new()).await.unwrap();
    let sidecar = Sidecar::start(&(upstream("primary", "cohere", proxy.address()) + &model(&["primary"]))).await;
    let load = Load::new(&sidecar.client, RATE, HEALTHY + outage + rest);
    let bad_day = async {
        sleep(HEALTHY).await;
        proxy.set(Script::always(fault));
        sleep(outage).await;
        proxy.set(Script::new());
    };
    let (outcomes, ()) = tokio::join!(load.unique(PASSAGES), bad_day);
    let is_clear = |ending| matches!(ending, Ending::Answered(_) | Ending::Refused(429 | 502 | 503 | 504));
    let unclear = count(&outcomes, |ending| !is_clear(ending));
    report.count("neither answered nor 429, 502, 503, 504", unclear, Bar::AtMost(0.0));
    check_scores(&outcomes, report);
    sidecar.end().await;
    let is_well = |window: &[_]| ratio(count(window, Ending::is_answer), window.len()) >= SHARE;
    settled(&outcomes, HEALTHY + outage, WINDOW, is_well)
}
