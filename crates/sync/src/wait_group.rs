//! Waiting until a number of others have finished.
//!
//! One word: how many members there are, and who waits: SLEEPERS (bit 31), FUTURES (bit 30).
//!
//! *Join*: one more. *Leave*: one less; it was the last, and somebody may wait: notify all, wake all. *Wait*: while there are members, set one's bit,
//! and sleep on that very value or be listed under the table's lock.
//!
//! The bits stay when somebody has waited once; later ends then notify in vain. To clear them would be a second access to the word after the last
//! member has left it, when whoever waited may have freed it already (race 40); as it is, the word is a name only by then.

use core::fmt;
use core::ops::Deref;
use core::sync::atomic::Ordering;

use weblane_futex::MayNotBlock;

use crate::error::NotYet;
use crate::primitive::{AtomicU32, PATIENCE, SPINS, constructor, spin};
use crate::waiters::{self, Whom};

const SLEEPERS: u32 = 1 << 31;
pub(crate) const FUTURES: u32 = 1 << 30;
pub(crate) const MEMBERS: u32 = FUTURES - 1;

/// How many are still at work, and a place to wait until none is.
///
/// Add the members before their work is handed out; a group that has none yet lets everybody pass. A group may be used again when everybody who
/// waited has gone on.
///
/// A [`Member`] leaves when it is dropped. A thread that dies without unwinding (a worker that traps, or is terminated) drops nothing, so the
/// group waits for its members for ever. Where workers may die, let a thread that lives keep the member, and drop it when the work is done or its
/// worker is dead (the hooks of `weblane-workers` tell); or use what tells by itself, such as the handles of `weblane-pool`.
///
/// # Examples
///
/// ```
/// use weblane_sync::WaitGroup;
///
/// static GROUP: WaitGroup = WaitGroup::new();
/// for _ in 0..3 {
///     let member = GROUP.add();
///     std::thread::spawn(move || {
///         // the work
///         drop(member);
///     });
/// }
/// GROUP.wait()?;
/// assert_eq!(GROUP.members(), 0);
/// # Ok::<(), weblane_sync::MayNotBlock>(())
/// ```
pub struct WaitGroup {
    pub(crate) word: AtomicU32,
}

impl WaitGroup {
    constructor! {
        /// A group without members.
        #[must_use]
        pub fn new() -> WaitGroup {
            WaitGroup { word: AtomicU32::new(0) }
        }
    }

    /// One more member, until the returned value is dropped.
    ///
    /// # Panics
    ///
    /// If there are a billion already.
    pub fn add(&self) -> Member<&WaitGroup> {
        Member::of(self)
    }

    /// How many members there are. May be out of date at once.
    pub fn members(&self) -> usize {
        (self.word.load(Ordering::Relaxed) & MEMBERS) as usize
    }

    /// What the word is, if there are members.
    pub(crate) fn busy(&self) -> Option<u32> {
        // Acquire: pairs with the Release in `leave`; who passes sees what the members have done.
        let seen = self.word.load(Ordering::Acquire);
        (seen & MEMBERS != 0).then_some(seen)
    }

    fn join(&self) {
        // Relaxed: whoever hands out the work orders it.
        let before = self.word.fetch_add(1, Ordering::Relaxed);
        assert!(before & MEMBERS != MEMBERS, "too many members");
    }

    fn leave(&self) {
        // Release: pairs with the Acquire in `busy`.
        let before = self.word.fetch_sub(1, Ordering::Release);
        if before & MEMBERS != 1 {
            return;
        }
        if before & SLEEPERS != 0 {
            weblane_futex::notify_all(&self.word);
        }
        if before & FUTURES != 0 {
            waiters::wake(&self.word, Whom::All, |_| {});
        }
    }

    /// Whether there are no members: [`wait`](WaitGroup::wait) would return at once.
    pub fn try_wait(&self) -> bool {
        self.busy().is_none()
    }

    /// Waits until there are no members: asleep on threads that may block, else spinning for a bounded time.
    ///
    /// # Errors
    ///
    /// [`MayNotBlock`] on a thread that may not block, when there were members for all of that time (some hundred microseconds). Await
    /// [`wait_async`](WaitGroup::wait_async).
    pub fn wait(&self) -> Result<(), MayNotBlock> {
        if !weblane_futex::can_block() {
            return self.wait_spinning(PATIENCE).map_err(|NotYet| MayNotBlock);
        }
        if self.wait_spinning(SPINS).is_ok() {
            return Ok(());
        }
        while let Some(seen) = self.busy() {
            let expected = seen | SLEEPERS;
            // Relaxed: the mark carries nothing.
            if seen == expected
                || self.word.compare_exchange(seen, expected, Ordering::Relaxed, Ordering::Relaxed).is_ok()
            {
                let _ = weblane_futex::wait(&self.word, expected, None);
            }
        }
        Ok(())
    }

    /// Waits until there are no members, for at most `turns` turns of a spin. Never sleeps, on any thread.
    ///
    /// # Errors
    ///
    /// [`NotYet`] if there were members for all of them.
    pub fn wait_spinning(&self, turns: u32) -> Result<(), NotYet> {
        for _ in 0..turns {
            if self.try_wait() {
                return Ok(());
            }
            spin();
        }
        if self.try_wait() { Ok(()) } else { Err(NotYet) }
    }
}

impl Default for WaitGroup {
    fn default() -> Self {
        WaitGroup::new()
    }
}

impl fmt::Debug for WaitGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitGroup").field("members", &self.members()).finish()
    }
}

/// Membership in a [`WaitGroup`], until it is dropped. Cloning it makes another member.
///
/// The group is held as a reference or in anything else that leads to it, such as an `Arc`.
pub struct Member<G: Deref<Target = WaitGroup>> {
    group: G,
}

impl<G: Deref<Target = WaitGroup>> Member<G> {
    /// One more member of this group.
    ///
    /// # Panics
    ///
    /// If there are a billion already.
    pub fn of(group: G) -> Member<G> {
        group.join();
        Member { group }
    }
}

impl<G: Deref<Target = WaitGroup> + Clone> Clone for Member<G> {
    fn clone(&self) -> Self {
        Member::of(self.group.clone())
    }
}

impl<G: Deref<Target = WaitGroup>> Drop for Member<G> {
    fn drop(&mut self) {
        self.group.leave();
    }
}

impl<G: Deref<Target = WaitGroup>> fmt::Debug for Member<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Member")
    }
}
