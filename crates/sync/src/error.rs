//! Why a lock was not taken.

use core::fmt;

use weblane_futex::MayNotBlock;

/// Why a lock was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockError {
    /// This thread may not block, and the lock stayed held for longer than it may spin.
    MayNotBlock,
    /// The lock stayed held for all the turns that the caller wanted to spin.
    Held,
    /// The thread that held the lock has died. What the lock guards may be half changed; `recover` takes it over.
    Abandoned,
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockError::MayNotBlock => write!(f, "the lock is held, and {MayNotBlock}"),
            LockError::Held => f.write_str("the lock stayed held for as long as the caller wanted to spin"),
            LockError::Abandoned => f.write_str(
                "the thread that held the lock has died, and may have left the value half changed; `recover` takes it over",
            ),
        }
    }
}

impl core::error::Error for LockError {}

impl From<MayNotBlock> for LockError {
    fn from(_: MayNotBlock) -> LockError {
        LockError::MayNotBlock
    }
}

/// The caller spun for as many turns as it wanted to, and what it spins for has not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotYet;

impl fmt::Display for NotYet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it has not come in as many turns as the caller wanted to spin")
    }
}

impl core::error::Error for NotYet {}
