//! The word on which a thread of a scheduler sleeps, with every reason to wake up in it.
//!
//! # State
//!
//! | bits | name | set by | cleared by |
//! |---|---|---|---|
//! | 0 | PARKED | the thread, before it sleeps | the thread |
//! | 1 | TOKEN | anybody who has work for it | the thread, when it has woken up |
//! | 2 | STOP | whoever closes its scheduler | the thread, when it has stopped |
//! | 8 to 31 | messages, signed | +1 by a sender after he posted | −1 by the thread after it handled one |
//!
//! *Reasons* to be awake: TOKEN, STOP, or a positive number of messages.
//!
//! # Steps
//!
//! - *Park*: set PARKED by one read-modify-write; then sleep while the value just read has no reason in it, each time on that value. At the
//!   end clear PARKED and TOKEN; STOP and messages stay, because they are for others to settle.
//! - *Give a reason*: one read-modify-write; if the word **had** PARKED and no reason, and has one now, notify. So of many reasons only
//!   the first costs a notification.
//!
//! # Why no wake-up is lost
//!
//! The reasons are in the very word that the sleep compares. A reason that comes before PARKED is in the value that setting it returns; one
//! that comes between PARKED and the sleep makes the sleep not begin (race 3), and its giver notifies in vain; one that comes
//! later notifies.
//!
//! A **count** of messages and not a flag: with a flag, two messages and one that was handled lose the second (race 5). Signed,
//! because a message may be handled before its sender has counted it: the count is −1 for a moment, which is no reason for
//! anything (race 6). The count holds 23 bits and a sign; the manager lets at most two million messages be under way.

use core::fmt;
use core::sync::atomic::Ordering;

use weblane_futex::MayNotBlock;

use crate::primitive::AtomicU32;

const PARKED: u32 = 1 << 0;
const TOKEN: u32 = 1 << 1;
const STOP: u32 = 1 << 2;
const MESSAGE: u32 = 1 << 8;

/// A thread's word as it was at some instant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct WordState(u32);

impl WordState {
    /// Whether the thread sleeps, or is about to.
    #[must_use]
    pub const fn parked(self) -> bool {
        self.0 & PARKED != 0
    }

    /// Whether somebody has called the thread since it last woke up.
    #[must_use]
    pub const fn token(self) -> bool {
        self.0 & TOKEN != 0
    }

    /// Whether the thread's scheduler is closed.
    #[must_use]
    pub const fn stop(self) -> bool {
        self.0 & STOP != 0
    }

    /// Messages posted and not yet handled. −1 for a moment when one was handled before it was counted.
    #[must_use]
    pub const fn messages(self) -> i32 {
        self.0 as i32 >> 8
    }

    /// Whether the thread has a reason to be awake.
    #[must_use]
    pub const fn has_reason(self) -> bool {
        self.token() || self.stop() || self.messages() > 0
    }
}

impl fmt::Debug for WordState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WordState")
            .field("parked", &self.parked())
            .field("token", &self.token())
            .field("stop", &self.stop())
            .field("messages", &self.messages())
            .finish()
    }
}

/// What giving a thread a reason did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// The thread was awake, or somebody else's reason had been first.
    NotNeeded,
    /// The thread slept and was woken.
    Notified,
    /// The word said that the thread was parked, and nobody slept there: it was about to sleep and will see the reason; or it is dead.
    NobodyWoken,
}

/// The word on which one thread sleeps.
///
/// Any thread may give a reason; only the thread itself parks. On a line of its own (128 bytes), so that threads do not
/// disturb one another.
///
/// # Examples
///
/// ```
/// use weblane_sync::ThreadWord;
///
/// static WORD: ThreadWord = ThreadWord::new();
/// let caller = std::thread::spawn(|| WORD.set_token());
/// WORD.park()?; // returns when it is called, or has been called already
/// caller.join().unwrap();
/// # Ok::<(), weblane_sync::MayNotBlock>(())
/// ```
#[repr(align(128))]
pub struct ThreadWord(AtomicU32);

impl ThreadWord {
    /// The word of a thread that is awake and has no messages.
    #[cfg(not(loom))]
    #[must_use]
    pub const fn new() -> ThreadWord {
        ThreadWord(AtomicU32::new(0))
    }

    /// The word of a thread that is awake and has no messages.
    #[cfg(loom)]
    #[must_use]
    pub fn new() -> ThreadWord {
        ThreadWord(AtomicU32::new(0))
    }

    /// The word as it is now.
    #[must_use]
    pub fn load(&self) -> WordState {
        // Acquire: pairs with the Release of whoever gave a reason.
        WordState(self.0.load(Ordering::Acquire))
    }

    /// Sleeps until there is a reason not to. Returns how often the thread came back from a sleep: 0 if there was a reason at once.
    ///
    /// To be called by the thread itself only.
    ///
    /// # Errors
    ///
    /// [`MayNotBlock`] where the thread may not block. The word is as it was.
    pub fn park(&self) -> Result<u32, MayNotBlock> {
        if !weblane_futex::can_block() {
            return Err(MayNotBlock);
        }
        // Release: who sees PARKED sees what came before it. What was done before a reason that is there already is acquired at the end.
        let mut seen = WordState(self.0.fetch_or(PARKED, Ordering::Release) | PARKED);
        let mut slept = 0;
        while !seen.has_reason() {
            // Whatever it returns, the word decides.
            if weblane_futex::wait(&self.0, seen.0, None).is_ok() {
                slept += 1;
            }
            seen = self.load();
        }
        // Acquire: this thread must see why each reason was given, also a token that came beside another one and is cleared here; pairs with the Release of
        // whoever gave it. All changes of the word are read-modify-writes, so each is in a release sequence that ends here.
        self.0.fetch_and(!(PARKED | TOKEN), Ordering::Acquire);
        Ok(slept)
    }

    /// Calls the thread: there is work.
    pub fn set_token(&self) -> Wake {
        // Release: pairs with the Acquire in `park`. Acquire: who calls a parked thread sees what it did before it parked.
        let before = WordState(self.0.fetch_or(TOKEN, Ordering::AcqRel));
        self.notify_if_first(before)
    }

    /// Calls the thread and notifies it whatever the word says: after the death of somebody who may have given a reason and not got to the
    /// notification.
    pub fn call_anyway(&self) {
        // Release: pairs with the Acquire in `park`.
        self.0.fetch_or(TOKEN, Ordering::Release);
        weblane_futex::notify_all(&self.0);
    }

    /// Tells the thread that its scheduler is closed. It stays told until [`clear_stop`](ThreadWord::clear_stop).
    pub fn set_stop(&self) -> Wake {
        // Release: pairs with the Acquire in `park` and `load`. Acquire: as in `set_token`.
        let before = WordState(self.0.fetch_or(STOP, Ordering::AcqRel));
        self.notify_if_first(before)
    }

    /// Counts one message, **after** it was posted.
    pub fn message_posted(&self) -> Wake {
        // Release: pairs with the Acquire in `park`, `load` and `message_done`. Acquire: as in `set_token`.
        let before = WordState(self.0.fetch_add(MESSAGE, Ordering::AcqRel));
        if WordState(before.0.wrapping_add(MESSAGE)).has_reason() {
            self.notify_if_first(before)
        } else {
            Wake::NotNeeded
        }
    }

    /// The thread has stopped, and may serve another scheduler.
    pub fn clear_stop(&self) {
        // Release: pairs with the Acquire in `load` of whoever waits for the thread to be free again.
        self.0.fetch_and(!STOP, Ordering::Release);
    }

    /// The thread has handled one message. Returns how many are left; −1 if this one was not counted yet.
    pub fn message_done(&self) -> i32 {
        // Acquire: pairs with the Release in `message_posted`, of the messages that are left; Release, with the Acquire in `load` of whoever sees that
        // this one is handled.
        WordState(self.0.fetch_sub(MESSAGE, Ordering::AcqRel)).messages() - 1
    }

    /// Corrects the count of messages by what somebody has left in it who died between posting and counting. By the thread itself only, so
    /// nobody needs to be woken.
    pub fn correct_messages(&self, by: i32) {
        // Relaxed: the thread's own books; what others did before they counted is acquired as ever, for this continues their release sequences.
        self.0.fetch_add((by as u32) << 8, Ordering::Relaxed);
    }

    /// Notifies if the reason just given is the first one for a thread that was parked.
    fn notify_if_first(&self, before: WordState) -> Wake {
        if !before.parked() || before.has_reason() {
            Wake::NotNeeded
        } else if weblane_futex::notify_one(&self.0) {
            Wake::Notified
        } else {
            Wake::NobodyWoken
        }
    }
}

impl Default for ThreadWord {
    fn default() -> Self {
        ThreadWord::new()
    }
}

impl fmt::Debug for ThreadWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.load(), f)
    }
}
