//! The one door to work that blocks its thread.
//!
//! Real nodes give [`Pool`]; the simulation gives [`Inline`], so that nothing runs on a thread it
//! does not see.

use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

/// The work was not finished: it panicked, or the threads have shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("blocking work was lost")]
pub struct BlockingLost;

/// Where blocking work runs.
pub trait Blocking: Send + Sync + 'static {
    /// Runs the work to its end, even if the future is dropped.
    fn run(&self, work: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, Result<(), BlockingLost>>;
}

/// Runs `work` there and gives its result.
///
/// # Errors
/// When the work panicked or the threads have shut down.
pub async fn run_blocking<T: Send + 'static>(
    blocking: &dyn Blocking,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, BlockingLost> {
    let (sender, mut receiver) = oneshot::channel();
    blocking
        .run(Box::new(move || {
            // Nobody waits any more: the work was done all the same.
            let _unwanted = sender.send(work());
        }))
        .await?;
    receiver.try_recv().map_err(|_| BlockingLost)
}

/// Tokio's threads for blocking work.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pool;

impl Blocking for Pool {
    fn run(&self, work: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, Result<(), BlockingLost>> {
        Box::pin(async { tokio::task::spawn_blocking(work).await.map_err(|_| BlockingLost) })
    }
}

/// The caller's own thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inline;

impl Blocking for Inline {
    fn run(&self, work: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, Result<(), BlockingLost>> {
        Box::pin(async {
            work();
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_give_the_result() {
        assert_eq!(run_blocking(&Pool, || 7).await, Ok(7));
        assert_eq!(run_blocking(&Inline, || 7).await, Ok(7));
    }

    #[tokio::test]
    async fn a_panic_on_the_pool_is_an_error() {
        assert_eq!(run_blocking(&Pool, || panic!("on purpose")).await, Err::<(), _>(BlockingLost));
    }
}
