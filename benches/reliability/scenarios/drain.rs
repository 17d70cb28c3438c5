//! A deployment takes rerankd away under load: nobody notices.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::sleep;

use super::{PASSAGES, SECOND, check_scores};
use crate::load::{Ending, Load, count};
use crate::report::{Bar, Report};
use crate::sidecar::{Sidecar, model, upstream};
use crate::upstream::{Mock, Nature};

const RATE: u32 = 200;
/// Longer than `drain_delay`, so that requests are under way when connections are closed.
const LATENCY: Duration = Duration::from_millis(1_500);
/// How often a load balancer asks whether requests are welcome.
const PROBE: Duration = Duration::from_millis(100);
const CONFIG: &str = "[server]\ndrain_delay = '500ms'\n[upstream_defaults]\nmax_concurrency = 600\n";

pub(crate) async fn run(report: &mut Report) {
    report.scenario("drain");
    let of = |full, quick| if report.is_quick() { quick } else { full };
    let mock = Mock::start(Nature::of("primary", LATENCY)).await;
    let config = [CONFIG, &upstream("primary", "cohere", mock.address()), &model(&["primary"])].concat();
    let sidecar = Sidecar::start(&config).await;
    let load = Load::new(&sidecar.client, RATE, of(5, 2) * SECOND);
    let welcome = load.welcome.clone();
    let balancer = async {
        while matches!(sidecar.client.get("/readyz").await, Ok((status, _)) if status == 200) {
            sleep(PROBE).await;
        }
        welcome.store(false, Ordering::Relaxed);
    };
    let signal = async {
        sleep(of(3, 1) * SECOND).await;
        sidecar.terminate().await;
    };
    let (outcomes, (), ()) = tokio::join!(load.unique(PASSAGES), balancer, signal);
    let status = sidecar.ended().await;
    report.count("failed requests", count(&outcomes, Ending::is_error), Bar::AtMost(0.0));
    report.figure("exit code", f64::from(status.code().unwrap_or(-1).abs()), "", Bar::AtMost(0.0));
    report.count("answered", count(&outcomes, Ending::is_answer), Bar::None);
    let elsewhere = count(&outcomes, |ending| ending == Ending::Elsewhere);
    report.count("sent elsewhere, as asked", elsewhere, Bar::AtLeast(1.0));
    check_scores(&outcomes, report);
}
