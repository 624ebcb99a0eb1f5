//! Waiting, once for both sides: asleep for threads, by a waker for futures.
//!
//! What is tried again and again is a [`Side`]: sending a value, or receiving one. The rules, which the list's argument needs:
//!
//! 1. *Enter, look again, then wait.* The look is [`hopeful`](Side::hopeful), whose loads are SeqCst; it is the **last** thing before sleeping or
//!    returning "pending", also when an attempt after entering has failed.
//! 2. *Leave, then go on.* After success, first the place is left, then [`after`](Side::after) wakes whoever may do something now: one of the other
//!    side, and **one more of this side** if there is more to be had. The latter passes on a wake-up that came too late for the one who
//!    left; and it chains behind a claimed but unpublished slot: two values became visible at once when the first was published, and its
//!    sender has woken only one (races 10, 32).
//! 3. *Who goes without success passes on*: a future that is dropped after it was called wakes another one if there is something to be had.

use core::task::{Context, Poll};
use core::time::Duration;

use super::wait_list::{Place, WaitList};
use crate::primitive::spin;

/// Attempts before a thread sleeps: longer than another thread takes for a value, shorter than falling asleep.
const SPINS: u32 = if cfg!(loom) { 1 } else { 100 };

/// One who sends or receives.
pub(super) trait Side {
    /// What it is after.
    type Done;
    /// Where it waits.
    fn list(&self) -> &WaitList;
    /// Tries; `None` if it has to wait.
    fn attempt(&mut self) -> Option<Self::Done>;
    /// Whether another attempt might do more than wait. SeqCst loads.
    fn hopeful(&self) -> bool;
    /// Wakes who has to know of a success.
    fn after(&self);
}

/// Why a thread has waited in vain.
pub(super) enum InVain {
    MayNotBlock,
    TimedOut,
}

/// If one waits, and there is something to be had: calls him. After a SeqCst read-modify-write, of this thread or of the one who has called it.
#[inline]
pub(super) fn chain(list: &WaitList, hopeful: impl FnOnce() -> bool) {
    if list.anyone() && hopeful() {
        list.call_one();
    }
}

/// Tries at most so many times, without waiting.
#[inline]
pub(super) fn spinning<S: Side>(side: &mut S, turns: u32) -> Option<S::Done> {
    for turn in 0..=turns {
        if let Some(done) = side.attempt() {
            side.after();
            return Some(done);
        }
        if turn < turns {
            spin();
        }
    }
    None
}

/// Tries until it succeeds, asleep in between.
pub(super) fn block<S: Side>(side: &mut S, timeout: Option<Duration>) -> Result<S::Done, InVain> {
    if let Some(done) = spinning(side, SPINS) {
        return Ok(done);
    }
    if !weblane_futex::can_block() {
        return Err(InVain::MayNotBlock);
    }
    let mut left = timeout;
    loop {
        let place = side.list().enter(None);
        let mut done = None;
        while done.is_none() && side.hopeful() {
            done = side.attempt();
        }
        let mut slept = Ok(false);
        if done.is_none() {
            slept = place.sleep(left);
        }
        let called = side.list().leave(place);
        if let Some(done) = done.or_else(|| side.attempt()) {
            side.after();
            return Ok(done);
        }
        match slept {
            // Only if the hook has changed its mind meanwhile.
            Err(_) => return Err(InVain::MayNotBlock),
            Ok(true) if !called => return Err(InVain::TimedOut),
            // Called, and somebody was quicker. There is no clock here to ask what is left of the time: half of it.
            Ok(_) => left = left.map(|left| left / 2),
        }
        if left.is_some_and(|left| left.is_zero()) {
            return Err(InVain::TimedOut);
        }
    }
}

/// Tries; if it has to wait, `place` is where.
pub(super) fn poll<S: Side>(side: &mut S, place: &mut Option<Place>, context: &Context<'_>) -> Poll<S::Done> {
    loop {
        if let Some(done) = side.attempt() {
            if let Some(place) = place.take() {
                side.list().leave(place);
            }
            side.after();
            return Poll::Ready(done);
        }
        if !place.as_ref().is_some_and(|place| place.waits_for(context.waker())) {
            if let Some(place) = place.take() {
                side.list().leave(place);
            }
            *place = Some(side.list().enter(Some(context.waker().clone())));
        }
        if !side.hopeful() {
            return Poll::Pending;
        }
    }
}

/// A future that is dropped: a wake-up that it has had goes to somebody else.
pub(super) fn give_up(side: &impl Side, place: &mut Option<Place>) {
    if let Some(place) = place.take()
        && side.list().leave(place)
    {
        chain(side.list(), || side.hopeful());
    }
}
