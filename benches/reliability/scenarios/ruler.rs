//! Whether a wrong score would be seen at all: without it "no wrong scores" means nothing.

use super::{LATENCY, PASSAGES, SECOND, SEED};
use crate::faults::{Fault, FaultProxy, ScoreFault, Script};
use crate::load::{Load, ratio, wrong};
use crate::report::{Bar, Report};
use crate::sidecar::{Sidecar, model, upstream};
use crate::upstream::{Mock, Nature};

/// Less than the last digit of a score; rerankd cannot know that the provider did not mean it.
const SHIFT: f64 = 1e-7;

pub(crate) async fn run(report: &mut Report) {
    report.scenario("the ruler");
    let mock = Mock::start(Nature::of("primary", LATENCY)).await;
    let script = Script::always(Fault::Scores(ScoreFault::Shifted(SHIFT)));
    let proxy = FaultProxy::start(mock.address(), SEED, script).await.unwrap();
    let sidecar = Sidecar::start(&(upstream("primary", "cohere", proxy.address()) + &model(&["primary"]))).await;
    let outcomes = Load::new(&sidecar.client, 100, SECOND / 2).unique(PASSAGES).await;
    let seen = 100.0 * ratio(wrong(&outcomes), outcomes.len());
    report.figure("answers found wrong when every score is", seen, "%", Bar::AtLeast(100.0));
    sidecar.end().await;
}
