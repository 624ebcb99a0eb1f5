//! The word of everything here that one thread can have for itself: locks, and initialisation that runs once.
//!
//! | bits | name | means |
//! |---|---|---|
//! | 0 to 19 | number | while HELD: the holder's [thread number](crate::ThreadNumber), 0 if it has none; else how many readers there are |
//! | 24 | HELD | one thread has it for itself: a mutex locked, a lock write-locked, an initialisation running |
//! | 25 | ABANDONED | the holder died; stays until somebody recovers |
//! | 26 | DONE | initialised, for ever |
//! | 28 | FUTURES | futures wait, listed in [`waiters`](crate::waiters) under the word's address |
//! | 29 | SLEEPERS | threads may sleep on the word |
//! | 30 | WRITERS | a writer waits: its thread may sleep beside the word, or it is a future |
//!
//! One layout for all, so that whoever settles a dead thread's affairs need not know what kind of word he looks at. Where only one
//! kind of waiter exists there is one bit for it; a free word without waiters is 0, which makes the fast paths one exchange.

use core::fmt;

use crate::owner;

pub(crate) const ONE_READER: u32 = 1;
const NUMBER: u32 = 0x000f_ffff;
pub(crate) const HELD: u32 = 1 << 24;
pub(crate) const ABANDONED: u32 = 1 << 25;
pub(crate) const DONE: u32 = 1 << 26;
pub(crate) const FUTURES: u32 = 1 << 28;
pub(crate) const SLEEPERS: u32 = 1 << 29;
pub(crate) const WRITERS: u32 = 1 << 30;
/// All who wait.
pub(crate) const WAITERS: u32 = FUTURES | SLEEPERS | WRITERS;

/// What a word held at some instant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct State(pub(crate) u32);

impl State {
    /// Whether it has all of these bits.
    pub(crate) const fn has(self, bits: u32) -> bool {
        self.0 & bits == bits
    }

    /// Whether it has one of these bits.
    pub(crate) const fn any(self, bits: u32) -> bool {
        self.0 & bits != 0
    }

    pub(crate) const fn with(self, bits: u32) -> State {
        State(self.0 | bits)
    }

    pub(crate) const fn without(self, bits: u32) -> State {
        State(self.0 & !bits)
    }

    /// Only the bits for those who wait.
    pub(crate) const fn waiters(self) -> u32 {
        self.0 & WAITERS
    }

    /// Whether nobody has it, neither a thread for itself nor readers, and it is not abandoned.
    pub(crate) const fn is_free(self) -> bool {
        self.0 & (HELD | ABANDONED | DONE | NUMBER) == 0
    }

    /// How many readers there are; 0 while HELD.
    pub(crate) const fn readers(self) -> u32 {
        if self.has(HELD) { 0 } else { self.0 & NUMBER }
    }

    /// Whether one more reader would not fit.
    pub(crate) const fn is_full(self) -> bool {
        self.readers() == NUMBER
    }

    /// The number of the thread that has it for itself; 0 if none has, or one without a number.
    pub(crate) const fn owner(self) -> u32 {
        if self.has(HELD) { self.0 & NUMBER } else { 0 }
    }

    /// The bits by which this word is held, for taking them away again.
    pub(crate) const fn hold(self) -> u32 {
        self.0 & (HELD | NUMBER)
    }

    /// Whether its holder died, be it marked already or not.
    pub(crate) fn is_abandoned(self) -> bool {
        self.has(ABANDONED) || (self.owner() != 0 && owner::is_dead(self.owner()))
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("held", &self.has(HELD))
            .field("owner", &self.owner())
            .field("readers", &self.readers())
            .field("abandoned", &self.has(ABANDONED))
            .field("done", &self.has(DONE))
            .field("futures", &self.has(FUTURES))
            .field("sleepers", &self.has(SLEEPERS))
            .field("writers", &self.has(WRITERS))
            .finish()
    }
}
