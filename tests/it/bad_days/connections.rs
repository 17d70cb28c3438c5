//! Days on which connections fail.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

use super::invariants::Question;
use super::{Behind, Day, IMPATIENT, all_day, all_day_nowhere, sources};
use crate::support::faults::{Fault, Script};

const BROKEN: [&str; 3] = ["upstream_unavailable", "upstream_invalid_reply", "upstream_circuit_open"];
const SILENT: [&str; 3] = ["upstream_timeout", "upstream_unavailable", "upstream_circuit_open"];
const HALF_A_MINUTE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn day_01_nothing_happens() {
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
async fn day_02_nobody_listens_or_connections_are_reset() {
    all_day("", Fault::Refuse, &BROKEN).await;
    all_day("", Fault::Reset, &BROKEN).await;
}

/// Nobody accepts, and the queue of those who wait for it is full: the system drops whoever knocks.
#[tokio::test]
async fn day_03_the_first_packet_is_swallowed() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    // Where a system has room for more than was asked for, the rest of the day's connections are as silent once they stand.
    while waiting.len() < 16
        && let Ok(connected) = timeout(Duration::from_millis(100), TcpStream::connect(address)).await
    {
        waiting.push(connected.unwrap());
    }
    all_day_nowhere(&format!("http://{address}"), &SILENT).await;
    drop((listener, waiting));
}

#[tokio::test]
async fn day_04_nobody_answers_to_the_tls_handshake() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    all_day_nowhere(&format!("https://{}", listener.local_addr().unwrap()), &SILENT).await;
}

#[tokio::test]
async fn day_05_headers_take_half_a_minute() {
    all_day(IMPATIENT, Fault::SlowHeaders(HALF_A_MINUTE), &SILENT).await;
}

#[tokio::test]
async fn day_06_the_body_drips() {
    all_day(IMPATIENT, Fault::Drip { bytes: 1, every: Duration::from_secs(1) }, &SILENT).await;
}

#[tokio::test]
async fn day_07_the_body_is_cut_in_half() {
    all_day("", Fault::Truncate { share: 0.5 }, &BROKEN).await;
}

/// What a load balancer does that keeps connections for a shorter time than we do: worth one more try, of which no client learns.
#[tokio::test]
async fn day_20_connections_are_closed_when_they_are_used_again() {
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
async fn day_21_the_name_does_not_resolve() {
    all_day_nowhere("http://no-such-host.invalid", &SILENT).await;
}

#[tokio::test]
async fn day_22_connections_are_closed_in_the_midst_of_calls() {
    for fault in [Fault::HalfClose, Fault::ResetMidBody] {
        all_day("", fault, &BROKEN).await;
    }
}
