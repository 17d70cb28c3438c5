//! Days on which connections fail.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

use super::invariants::Question;
use super::{Behind, Day, IMPATIENT, all_day, all_day_unreachable, sources};
use crate::support::faults::{Fault, Script};

const BROKEN: [&str; 3] = ["upstream_unavailable", "upstream_invalid_reply", "upstream_circuit_open"];
const SILENT: [&str; 3] = ["upstream_timeout", "upstream_unavailable", "upstream_circuit_open"];
const HALF_A_MINUTE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn day_01_healthy_upstream_scores_each_pair_once() {
    let days = Behind::ALL.map(async |behind| {
        let day = Day::begin(behind, "", Script::new()).await;
        assert_eq!(sources(&day.ask_some().await), ["up"; 6]);
        let passages = day.up.passages();
        let distinct = 3 * 9; // queries, and passages of each
        assert_eq!(passages.len(), distinct, "nothing is asked twice");
        assert!(day.second.calls().is_empty());
        day.end().await;
    });
    join_all(days).await;
}

#[tokio::test]
async fn day_02_refused_or_reset_connection_triggers_failure_policy() {
    all_day("", Fault::Refuse, &BROKEN).await;
    all_day("", Fault::Reset, &BROKEN).await;
}

/// A listener with a full backlog that never accepts: the system drops further SYN packets.
#[tokio::test]
async fn day_03_dropped_syn_triggers_failure_policy() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    // Where a system has room for more than was asked for, the rest of the day's connections are as silent once they
    // stand.
    while waiting.len() < 16
        && let Ok(connected) = timeout(Duration::from_millis(100), TcpStream::connect(address)).await
    {
        waiting.push(connected.unwrap());
    }
    all_day_unreachable(&format!("http://{address}"), &SILENT).await;
    drop((listener, waiting));
}

#[tokio::test]
async fn day_04_unanswered_tls_handshake_triggers_failure_policy() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    all_day_unreachable(&format!("https://{}", listener.local_addr().unwrap()), &SILENT).await;
}

#[tokio::test]
async fn day_05_headers_after_half_a_minute_trigger_failure_policy() {
    all_day(IMPATIENT, Fault::SlowHeaders(HALF_A_MINUTE), &SILENT).await;
}

#[tokio::test]
async fn day_06_dripping_body_triggers_failure_policy() {
    all_day(IMPATIENT, Fault::Drip { bytes: 1, every: Duration::from_secs(1) }, &SILENT).await;
}

#[tokio::test]
async fn day_07_truncated_body_triggers_failure_policy() {
    all_day("", Fault::Truncate { share: 0.5 }, &BROKEN).await;
}

/// A load balancer with a shorter keep-alive than ours closes reused connections: one retry hides it from the client.
#[tokio::test]
async fn day_20_connection_closed_on_reuse_is_retried_on_a_new_one() {
    let days = Behind::ALL.map(async |behind| {
        let day = Day::begin(behind, "", Script::always(Fault::CloseOnReuse)).await;
        let mut answers = Vec::new();
        for number in 0..12 {
            answers.push(day.ask(Question::numbered(number)).await);
        }
        assert_eq!(sources(&answers), ["up"; 12]);
        day.end().await;
    });
    join_all(days).await;
}

#[tokio::test]
async fn day_21_unresolvable_name_triggers_failure_policy() {
    all_day_unreachable("http://no-such-host.invalid", &SILENT).await;
}

#[tokio::test]
async fn day_22_connection_closed_during_call_triggers_failure_policy() {
    for fault in [Fault::HalfClose, Fault::ResetMidBody] {
        all_day("", fault, &BROKEN).await;
    }
}
