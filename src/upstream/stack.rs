//! The stack of one upstream, outermost first.

use std::sync::Arc;
use std::time::Duration;

use tower::ServiceBuilder;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower::util::BoxCloneSyncService;

use super::attempt::AttemptLayer;
use super::call::{Call, Scores};
use super::error::UpstreamError;
use super::retry::RetryPolicy;
use super::transport::Transport;
use crate::telemetry::metrics::UpstreamMetrics;

/// A call in, checked scores out.
pub(super) type Stack = BoxCloneSyncService<Call, Scores, UpstreamError>;

/// The numbers of a stack.
#[derive(Clone, Copy, Debug)]
pub(super) struct StackLimits {
    pub(super) max_attempts: u32,
    pub(super) max_concurrency: usize,
    pub(super) attempt_timeout: Duration,
}

/// Builds the stack. The order matters, so each line says why it stands where it does.
pub(super) fn stack(transport: Transport, limits: StackLimits, metrics: &Arc<UpstreamMetrics>) -> Stack {
    let stack = ServiceBuilder::new()
        // Outermost, so that time asleep between attempts holds no place below.
        .retry(RetryPolicy::new(limits.max_attempts, metrics.clone()))
        // Next, so that only attempts really under way count; one semaphore for all clones.
        .layer(GlobalConcurrencyLimitLayer::new(limits.max_concurrency))
        // Innermost, so that waiting for a place is not blamed on the upstream.
        .layer(AttemptLayer { timeout: limits.attempt_timeout, metrics: metrics.clone() })
        .service(transport);
    BoxCloneSyncService::new(stack)
}
