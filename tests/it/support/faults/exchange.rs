//! One request, from its arrival to what the client gets for it.

use std::future::pending;
use std::io;

use bytes::Bytes;
use http::Request;
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::WriteHalf;
use tokio::time::{Instant, sleep, sleep_until};

use super::answer::Answer;
use super::fault::Fault;
use super::scores::spoil;
use super::timeline::Draw;
use super::wire::{Forwarder, is_last};

/// Most bytes of garbage.
const GARBAGE_BYTES: usize = 512;

/// Fate of the connection after an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    KeepOpen,
    Close,
}

/// Context of an exchange.
pub(super) struct Place<'a, 'stream> {
    pub(super) client: &'a mut WriteHalf<'stream>,
    pub(super) forwarder: &'a mut Forwarder,
    /// True for the first request of the connection.
    pub(super) first: bool,
}

/// Does to the exchange what the draw says. `forwarding` is called when the upstream is about to be asked.
///
/// # Errors
/// The client is not there any more.
pub(super) async fn exchange(
    draw: Draw,
    request: Request<Bytes>,
    mut place: Place<'_, '_>,
    forwarding: impl FnOnce(),
) -> io::Result<After> {
    let Draw { fault, mut chance } = draw;
    if let Some(after) = leave_unanswered(&fault, &mut place, &mut chance).await? {
        return Ok(after);
    }
    let last = is_last(&request);
    let mut answer = if let Some(answer) = Answer::of_fault(&fault) {
        answer
    } else {
        if let Fault::Latency { base, .. } = fault {
            sleep(base).await;
        }
        forwarding();
        let Ok(answer) = place.forwarder.send(request).await else {
            return Ok(After::Close); // what the upstream did to the proxy the proxy does to the client
        };
        answer
    };
    if let Fault::Scores(fault) = fault
        && answer.status == 200
    {
        answer.body = spoil(&answer.body, fault, &mut chance);
    }
    let after = deliver(&answer, &fault, place.client).await?;
    Ok(if last { After::Close } else { after })
}

/// Does what a fault without an answer does; returns `None` for any other fault.
async fn leave_unanswered(
    fault: &Fault,
    place: &mut Place<'_, '_>,
    chance: &mut fastrand::Rng,
) -> io::Result<Option<After>> {
    match fault {
        // A request that met Refuse came on a connection that was about to be closed.
        Fault::Reset | Fault::Refuse => place.client.as_ref().set_zero_linger()?,
        Fault::HalfClose => {
            place.client.shutdown().await?;
            pending::<()>().await;
        }
        Fault::BlackHole => pending::<()>().await,
        Fault::ContinueThenNothing => {
            place.client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
            pending::<()>().await;
        }
        Fault::Garbage => {
            let length = chance.usize(1..=GARBAGE_BYTES);
            let garbage: Vec<_> = (0..length).map(|_| chance.u8(..)).collect();
            place.client.write_all(&garbage).await?;
        }
        Fault::CloseOnReuse if !place.first => {}
        _ => return Ok(None),
    }
    Ok(Some(After::Close))
}

async fn deliver(answer: &Answer, fault: &Fault, client: &mut WriteHalf<'_>) -> io::Result<After> {
    let (head, body) = (answer.head(), &answer.body);
    match *fault {
        Fault::SlowHeaders(time) => {
            let start = Instant::now();
            let bytes = u32::try_from(head.len()).unwrap_or(u32::MAX);
            for (byte, sent) in head.iter().zip(1u32..) {
                sleep_until(start + time.mul_f64(f64::from(sent) / f64::from(bytes))).await;
                client.write_all(&[*byte]).await?;
            }
            client.write_all(body).await?;
        }
        Fault::Drip { bytes, every } => {
            client.write_all(&head).await?;
            for drop in body.chunks(bytes.max(1)) {
                sleep(every).await;
                client.write_all(drop).await?;
            }
        }
        Fault::Truncate { share } => {
            client.write_all(&[&head, part(body, share)].concat()).await?;
            return Ok(After::Close);
        }
        Fault::ResetMidBody => {
            client.write_all(&[&head, part(body, 0.5)].concat()).await?;
            client.as_ref().set_zero_linger()?;
            return Ok(After::Close);
        }
        _ => client.write_all(&[&head, &body[..]].concat()).await?,
    }
    Ok(After::KeepOpen)
}

/// The beginning of `body`, and never all of it.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of a length that fits in memory"
)]
fn part(body: &[u8], share: f64) -> &[u8] {
    let length = (body.len() as f64 * share) as usize;
    &body[..length.min(body.len().saturating_sub(1))]
}
