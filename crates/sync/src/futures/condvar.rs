//! The future of a [`Condvar`].
//!
//! | state | holds the lock | then |
//! |---|---|---|
//! | Held | yes | the first poll lists it, and unlocks |
//! | Waiting | no | chosen by a notification: goes on |
//! | Locking | no | waits for the lock like any other, by a [`Turn`] of its own |
//!
//! *Drop*: Held: unlock. Chosen, and not yet in possession of the lock: the notification is passed on, for it may have been the only one.

use core::future::Future;
use core::pin::Pin;
use core::sync::atomic::Ordering;
use core::task::{Context, Poll};

use super::Turn;
use super::locks::Locking;
use crate::condvar::{Condvar, FUTURES};
use crate::error::LockError;
use crate::mutex::{Mutex, MutexGuard, RawMutex};
use crate::waiters::{Kind, Waiter, Whom};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Held,
    Waiting,
    Locking,
    Finished,
}

/// Waits for a notification, and then for the lock. The lock is held at first, by this and not by a guard, which would keep it on its thread.
struct Notified<'a> {
    condition: &'a Condvar,
    mutex: &'a RawMutex,
    stage: Stage,
    waiter: Waiter,
    lock: Turn<Locking<'a>>,
}

impl Future for Notified<'_> {
    type Output = Result<(), LockError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), LockError>> {
        // SAFETY: nothing is moved out; the waiter and the turn stay where they are.
        let this = unsafe { self.get_unchecked_mut() };
        if this.stage == Stage::Held {
            let word = &this.condition.word;
            // SAFETY: pinned with this future, and the word is the condition's always.
            unsafe {
                this.waiter.enlist(word, Kind::Alone, context.waker(), || {
                    // Relaxed: the lock, which this thread holds, orders it against whoever changes what the condition is about.
                    word.fetch_or(FUTURES, Ordering::Relaxed);
                    true
                })
            };
            this.stage = Stage::Waiting;
            this.mutex.unlock();
            return Poll::Pending;
        }
        if this.stage == Stage::Waiting {
            if !this.waiter.renew(context.waker()) {
                return Poll::Pending;
            }
            this.stage = Stage::Locking;
        }
        // SAFETY: pinned with this future.
        let result = unsafe { Pin::new_unchecked(&mut this.lock) }.poll(context);
        if result.is_ready() {
            this.stage = Stage::Finished;
            this.waiter.leave();
        }
        result
    }
}

impl Drop for Notified<'_> {
    fn drop(&mut self) {
        if self.stage == Stage::Held {
            self.mutex.unlock();
        } else if self.waiter.leave() {
            self.condition.wake_futures(Whom::First);
        }
    }
}

impl Condvar {
    /// Unlocks, waits until somebody notifies, and locks again, without blocking the thread. May come for no reason: look at the
    /// condition, or use [`wait_while_async`](Condvar::wait_while_async).
    ///
    /// The lock is given up when the future is first polled, or dropped. Dropped later, it passes a notification on that it has had.
    ///
    /// # Errors
    ///
    /// [`LockError::Abandoned`] if the lock's holder has died when it wants it back.
    pub fn wait_async<'a, T: ?Sized>(
        &'a self,
        guard: MutexGuard<'a, T>,
    ) -> impl Future<Output = Result<MutexGuard<'a, T>, LockError>> {
        let mutex: &'a Mutex<T> = guard.mutex();
        let raw = &mutex.raw;
        guard.keep();
        let lock = Turn::new(Locking(raw));
        let notified = Notified { condition: self, mutex: raw, stage: Stage::Held, waiter: Waiter::new(), lock };
        async move { notified.await.map(|()| mutex.guard()) }
    }

    /// Waits while `condition` is true of the value, without blocking the thread.
    ///
    /// # Errors
    ///
    /// As for [`wait_async`](Condvar::wait_async).
    pub async fn wait_while_async<'a, T: ?Sized>(
        &'a self,
        mut guard: MutexGuard<'a, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> Result<MutexGuard<'a, T>, LockError> {
        while condition(&mut guard) {
            guard = self.wait_async(guard).await?;
        }
        Ok(guard)
    }
}
