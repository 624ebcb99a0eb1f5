//! The two words of the protocol: who is idle, and each thread's word.

use core::fmt;

/// Who sleeps and who searches: one word, changed by one read-modify-write at a time.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Idle {
    /// A mask: the low half of the real word.
    pub sleepers: u8,
    /// A mask: the high half.
    pub searchers: u8,
}

impl Idle {
    /// Nobody sleeps, nobody searches.
    pub const NOBODY: Idle = Idle { sleepers: 0, searchers: 0 };

    /// Whether this worker is listed as asleep.
    pub fn sleeps(self, worker: usize) -> bool {
        self.sleepers & bit(worker) != 0
    }

    /// Whether this worker is listed as a searcher.
    pub fn searches(self, worker: usize) -> bool {
        self.searchers & bit(worker) != 0
    }
}

impl fmt::Debug for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sleepers {:03b} searchers {:03b}", self.sleepers, self.searchers)
    }
}

/// A worker's bit in a mask.
pub fn bit(worker: usize) -> u8 {
    1 << worker
}

/// The lowest worker in a mask.
pub fn lowest(mask: u8) -> usize {
    mask.trailing_zeros() as usize
}

/// All workers in a mask.
pub fn each(mask: u8) -> impl Iterator<Item = usize> {
    (0..8).filter(move |worker| mask & bit(*worker) != 0)
}

/// A thread's word: what it sleeps on, and every reason not to.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Word {
    /// PARKED, TOKEN and STOP.
    pub flags: u8,
    /// Messages that were posted and counted, and are not finished. Signed: a message may be handled before it is counted.
    pub js: i8,
}

impl Word {
    /// No bit set.
    pub const CLEAR: Word = Word { flags: 0, js: 0 };
    /// The thread sleeps, or is about to.
    pub const PARKED: u8 = 1;
    /// Somebody has work for the thread.
    pub const TOKEN: u8 = 2;
    /// The pool is over.
    pub const STOP: u8 = 4;

    /// Whether the thread sleeps, or is about to.
    pub fn parked(self) -> bool {
        self.flags & Word::PARKED != 0
    }

    /// Whether the thread must not sleep.
    pub fn has_reason(self) -> bool {
        self.flags & (Word::TOKEN | Word::STOP) != 0 || self.js > 0
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (flag, name) in [(Word::PARKED, "PARKED "), (Word::TOKEN, "TOKEN "), (Word::STOP, "STOP ")] {
            if self.flags & flag != 0 {
                f.write_str(name)?;
            }
        }
        write!(f, "js {}", self.js)
    }
}
