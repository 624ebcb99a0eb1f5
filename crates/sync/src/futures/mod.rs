//! The asynchronous forms: one future for all of them.
//!
//! A [`Turn`] has a [`Source`], which can **attempt** to get what is wanted, and **announce** that somebody waits for it. *Poll*: attempt; failing
//! that, announce and be listed, under the lock of the table of [`waiters`](crate::waiters); the announcement says that there is something to get after all:
//! again. *Drop*: out of the table; then the source is told, and whether there was a turn that has to be passed on.
//!
//! Who has got what he wanted has used his turn, if he had one, and whoever comes next is called when he gives it back.
//!
//! Plain futures: nothing here knows an executor, a thread or JS. A future may be polled on any thread, and dropped at any time. Only do not
//! leak one that was polled: what was its turn would never come to anybody.

mod condvar;
mod locks;
mod others;

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use crate::primitive::AtomicU32;
use crate::waiters::{Kind, Waiter};

/// What can be waited for.
pub(crate) trait Source {
    /// What one gets.
    type Output;

    /// The word under whose address futures wait.
    fn word(&self) -> &AtomicU32;

    /// Gets it, if that is possible now.
    fn attempt(&mut self) -> Option<Self::Output>;

    /// Marks the word, so that whoever changes it next looks for futures. Called under the table's lock: no more than a few accesses. `false`: an
    /// attempt may succeed now.
    fn announce(&self) -> bool;

    /// The future was dropped before it got anything; `chosen`: it had a turn.
    fn cancel(&mut self, chosen: bool);

    /// What kind of waiter it is.
    fn kind(&self) -> Kind {
        Kind::Alone
    }
}

/// A future that waits for its turn.
pub(crate) struct Turn<S: Source> {
    source: S,
    waiter: Waiter,
    finished: bool,
}

impl<S: Source> Turn<S> {
    pub(crate) const fn new(source: S) -> Turn<S> {
        Turn { source, waiter: Waiter::new(), finished: false }
    }
}

impl<S: Source> Future for Turn<S> {
    type Output = S::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<S::Output> {
        // SAFETY: nothing is moved out; the waiter stays where it is.
        let this = unsafe { self.get_unchecked_mut() };
        assert!(!this.finished, "polled again after it was ready");
        loop {
            if let Some(output) = this.source.attempt() {
                this.finished = true;
                this.waiter.leave();
                return Poll::Ready(output);
            }
            let (source, waiter) = (&this.source, &this.waiter);
            // SAFETY: pinned with this future; a source has one word.
            if unsafe { waiter.enlist(source.word(), source.kind(), context.waker(), || source.announce()) } {
                return Poll::Pending;
            }
        }
    }
}

impl<S: Source> Drop for Turn<S> {
    fn drop(&mut self) {
        if !self.finished {
            let chosen = self.waiter.leave();
            self.source.cancel(chosen);
        }
    }
}
