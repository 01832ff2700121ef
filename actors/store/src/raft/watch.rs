//! A watched value whose watchers are woken in the order they were made.
//!
//! Tokio's wakes them in a random order that no seed reaches; under it two runs with the same seed
//! differ as soon as two tasks wait for the same change.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::task::{Poll, Waker};

use openraft::async_runtime::watch::{RecvError, SendError};
use openraft::async_runtime::{Watch, WatchReceiver, WatchSender};

/// The kind of watch that Raft uses.
#[derive(Debug)]
pub(crate) struct OrderedWatch;

#[derive(Debug)]
struct Shared<T> {
    value: RwLock<T>,
    watchers: Mutex<Watchers>,
}

#[derive(Debug, Default)]
struct Watchers {
    version: u64,
    n_senders: usize,
    n_receivers: usize,
    last_id: u64,
    waiting: BTreeMap<u64, Waker>,
}

impl<T> Shared<T> {
    fn watchers(&self) -> MutexGuard<'_, Watchers> {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> Ref<'_, T> {
        Ref(self.value.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn receiver(self: &Arc<Self>, seen: Option<u64>) -> Receiver<T> {
        let mut watchers = self.watchers();
        watchers.n_receivers += 1;
        watchers.last_id += 1;
        let (id, seen) = (watchers.last_id, seen.unwrap_or(watchers.version));
        drop(watchers);
        Receiver { shared: self.clone(), id, seen }
    }
}

fn wake(waiting: BTreeMap<u64, Waker>) {
    for waker in waiting.into_values() {
        waker.wake();
    }
}

/// The value as it is now; nobody can change it meanwhile.
#[derive(Debug)]
pub(crate) struct Ref<'a, T>(RwLockReadGuard<'a, T>);

impl<T> Deref for Ref<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// Changes the value.
#[derive(Debug)]
pub(crate) struct Sender<T>(Arc<Shared<T>>);

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.watchers().n_senders += 1;
        Self(self.0.clone())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut watchers = self.0.watchers();
        watchers.n_senders -= 1;
        if watchers.n_senders == 0 {
            let waiting = std::mem::take(&mut watchers.waiting);
            drop(watchers);
            wake(waiting);
        }
    }
}

/// Watches the value.
#[derive(Debug)]
pub(crate) struct Receiver<T> {
    shared: Arc<Shared<T>>,
    id: u64,
    seen: u64,
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.shared.receiver(Some(self.seen))
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut watchers = self.shared.watchers();
        watchers.n_receivers -= 1;
        watchers.waiting.remove(&self.id);
    }
}

impl Watch for OrderedWatch {
    type Sender<T: Send + Sync> = Sender<T>;
    type Receiver<T: Send + Sync> = Receiver<T>;
    type Ref<'a, T: Send + 'a> = Ref<'a, T>;

    fn channel<T: Send + Sync>(init: T) -> (Sender<T>, Receiver<T>) {
        let watchers = Mutex::new(Watchers { n_senders: 1, ..Watchers::default() });
        let shared = Arc::new(Shared { value: RwLock::new(init), watchers });
        let receiver = shared.receiver(None);
        (Sender(shared), receiver)
    }
}

impl<T: Send + Sync> WatchSender<OrderedWatch, T> for Sender<T> {
    fn send(&self, value: T) -> Result<(), SendError<T>> {
        if self.0.watchers().n_receivers == 0 {
            return Err(SendError(value));
        }
        self.send_if_modified(|old| {
            *old = value;
            true
        });
        Ok(())
    }

    fn send_if_modified<F>(&self, modify: F) -> bool
    where
        F: FnOnce(&mut T) -> bool,
    {
        let mut value = self.0.value.write().unwrap_or_else(PoisonError::into_inner);
        if !modify(&mut value) {
            return false;
        }
        let waiting = {
            // Counted before the value can be read: who sees the value sees the version.
            let mut watchers = self.0.watchers();
            watchers.version += 1;
            std::mem::take(&mut watchers.waiting)
        };
        drop(value);
        wake(waiting);
        true
    }

    fn borrow_watched(&self) -> Ref<'_, T> {
        self.0.read()
    }

    fn subscribe(&self) -> Receiver<T> {
        self.0.receiver(None)
    }
}

impl<T: Send + Sync> WatchReceiver<OrderedWatch, T> for Receiver<T> {
    async fn changed(&mut self) -> Result<(), RecvError> {
        std::future::poll_fn(|cx| {
            let mut watchers = self.shared.watchers();
            if watchers.version != self.seen {
                self.seen = watchers.version;
                return Poll::Ready(Ok(()));
            }
            if watchers.n_senders == 0 {
                return Poll::Ready(Err(RecvError(())));
            }
            watchers.waiting.insert(self.id, cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    fn borrow_watched(&self) -> Ref<'_, T> {
        self.shared.read()
    }

    fn borrow_and_update(&mut self) -> Ref<'_, T> {
        let value = self.shared.read();
        self.seen = self.shared.watchers().version;
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn watchers_are_woken_in_the_order_they_were_made() {
        let (sender, receiver) = OrderedWatch::channel(0);
        let order = Arc::new(Mutex::new(Vec::new()));
        let watching: Vec<_> = (0..20)
            .map(|i| {
                let (mut receiver, order) = (receiver.clone(), order.clone());
                tokio::spawn(async move {
                    receiver.changed().await.expect("the sender lives");
                    order.lock().expect("no panic").push(i);
                })
            })
            .collect();
        tokio::task::yield_now().await;
        sender.send(1).expect("there are receivers");
        for watcher in watching {
            watcher.await.expect("ends");
        }
        assert_eq!(*order.lock().expect("no panic"), (0..20).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_change_is_seen_once_and_the_end_after_it() {
        let (sender, mut receiver) = OrderedWatch::channel(0);
        assert!(sender.send_if_modified(|value| {
            *value = 7;
            true
        }));
        assert!(!sender.send_if_modified(|_| false));
        drop(sender);
        assert_eq!(receiver.changed().await, Ok(()));
        assert_eq!(*receiver.borrow_watched(), 7);
        assert_eq!(receiver.changed().await, Err(RecvError(())));
    }

    #[tokio::test]
    async fn nobody_to_tell_is_said() {
        let (sender, receiver) = OrderedWatch::channel(0);
        drop(receiver);
        assert_eq!(sender.send(1), Err(SendError(1)));
        assert_eq!(*sender.borrow_watched(), 0);
    }
}
