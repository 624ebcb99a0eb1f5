//! Waiting without blocking: a future on `Atomics.waitAsync`.
//!
//! Steps of a poll, in this order:
//!
//! 1. what the engine has told since (notified, time is up) is the answer.
//! 2. *arm*: make sure that a waiter for this word is in the engine's list: its own, one that an earlier future left, or a new one. The engine compares the
//!    word when it queues a new one; where it differs, that is the answer.
//! 3. *look*: if the word differs now, that is the answer: [`Wait::Mismatch`] at the first poll, later [`Wait::Woken`]. Looking comes after arming, so that a change
//!    whose notification came before the waiter is seen, and one whose notification comes after it finds the waiter.
//! 4. leave the waker, and go.
//!
//! Time is kept by a timer of the future's own, which is raced with the waiter: WebKit's time-outs do not fire in a worker that idles. The engine gets the
//! time-out all the same, so that a waiter whose future is gone leaves the list by itself where it can. Where the function is missing, or the memory is not
//! shared, the future looks at the word at growing intervals; it sees changes then, and not notifications.
//!
//! What becomes of a waiter whose future is gone, and why a thread must not also block on the word, is in `registry`.

use alloc::rc::Rc;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::sync::atomic::Ordering;
use core::task::{Context, Poll};
use core::time::Duration;

use super::registry::{self, Armed};
use crate::{AtomicU32, Wait, notify};

/// Milliseconds between looks, without `waitAsync`: at first, and at most.
const FIRST_TICK: i32 = 1;
const LAST_TICK: i32 = 16;

/// The future of [`wait_async`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct WaitAsync {
    word: &'static AtomicU32,
    expected: u32,
    timeout: Option<Duration>,
    state: State,
}

enum State {
    New,
    Waiting { id: f64, future: Rc<registry::Future>, tick: i32 },
    Done,
}

/// Waits, without blocking, while `word` holds `expected`, until somebody notifies, or for `timeout`. For threads that may not block, such as the
/// page's main thread, and for workers that must stay in their event loop.
///
/// Nothing happens before the first poll; a change before it is a [`Wait::Mismatch`]. As with [`wait`](crate::wait), any answer says "look again". The
/// notifier does the same as for a blocked thread: change the word, then [`notify`](crate::notify). The future belongs to its thread.
///
/// - **One word for each thread that waits so.** Engines keep blocked threads and these waiters in one list, first come, first woken, and a waiter cannot be
///   withdrawn. A thread must not block on a word for which it has a waiter, now or from an earlier future: [`wait`](crate::wait) panics then.
/// - **Dropping** the future at any time is right. Its waiter stays in the engine's list until it is notified or its time is up; the
///   next future of this thread for this word takes it over, and if it is notified before, it passes the notification on to the next, as soon as this
///   thread is in its event loop. So there is at most one for each word and each future that waited at the same time. [`notify`](crate::notify) counts it.
/// - **Where `Atomics.waitAsync` is missing** (Firefox before 145, or memory that is not shared), the word is looked at every 1 to 16 milliseconds: a change
///   is seen, a notification without one is not.
///
/// # Examples
///
/// ```no_run
/// # #[cfg(target_arch = "wasm32")]
/// # async fn demo() {
/// use std::sync::atomic::Ordering;
/// use weblane_futex::{AtomicU32, web::wait_async};
///
/// static DONE: AtomicU32 = AtomicU32::new(0);
/// // Another thread stores 1 and calls `notify_all(&DONE)`.
/// while DONE.load(Ordering::Acquire) == 0 {
///     wait_async(&DONE, 0, None).await;
/// }
/// # }
/// ```
pub fn wait_async(word: &'static AtomicU32, expected: u32, timeout: Option<Duration>) -> WaitAsync {
    WaitAsync { word, expected, timeout, state: State::New }
}

impl WaitAsync {
    /// In milliseconds, as JS counts; rounded up, because a timer drops the fraction.
    fn milliseconds(&self) -> Option<f64> {
        self.timeout.map(|timeout| timeout.as_nanos().div_ceil(1_000_000) as f64)
    }

    fn differs(&self) -> bool {
        // Acquire: the caller may read what was written before the change without another look; pairs with the notifier's Release.
        self.word.load(Ordering::Acquire) != self.expected
    }

    fn finish(&mut self, outcome: Wait) -> Poll<Wait> {
        if let State::Waiting { id, .. } = core::mem::replace(&mut self.state, State::Done) {
            registry::leave(id);
        }
        Poll::Ready(outcome)
    }
}

impl Future for WaitAsync {
    type Output = Wait;

    /// # Panics
    ///
    /// When polled again after it was ready.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Wait> {
        let first = matches!(self.state, State::New);
        if first {
            // Most waits that need not wait end here, without a call to JS.
            if self.differs() {
                return self.finish(Wait::Mismatch);
            }
            if self.timeout.is_some_and(|timeout| timeout.is_zero()) {
                return self.finish(Wait::TimedOut);
            }
            let (id, future) = registry::enter(self.milliseconds());
            self.state = State::Waiting { id, future, tick: FIRST_TICK };
        }
        let (word, expected, milliseconds) = (self.word, self.expected, self.milliseconds());
        let State::Waiting { id, future, tick } = &mut self.state else {
            panic!("`WaitAsync` was polled after it was ready");
        };
        if let Some(outcome) = future.outcome() {
            return self.finish(outcome);
        }
        match registry::arm(*id, word, expected, milliseconds) {
            Armed::Waiting => {}
            Armed::Mismatch => return self.finish(if first { Wait::Mismatch } else { Wait::Woken }),
            Armed::TimedOut => return self.finish(Wait::TimedOut),
            Armed::Unsupported => {
                future.start_tick(*id, *tick);
                *tick = (*tick * 2).min(LAST_TICK);
            }
        }
        future.set_waker(context.waker());
        if self.differs() {
            return self.finish(if first { Wait::Mismatch } else { Wait::Woken });
        }
        Poll::Pending
    }
}

impl Drop for WaitAsync {
    fn drop(&mut self) {
        if let State::Waiting { id, future, .. } = &self.state {
            registry::leave(*id);
            // It was chosen among those who wait, and nobody will know: the next one's turn.
            if future.was_notified() {
                notify(self.word, 1);
            }
        }
    }
}

impl fmt::Debug for WaitAsync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::New => "new",
            State::Waiting { .. } => "waiting",
            State::Done => "done",
        };
        f.debug_struct("WaitAsync").field("expected", &self.expected).field("state", &state).finish_non_exhaustive()
    }
}
