#![doc = include_str!("../README.md")]
#![no_std]

#[cfg(feature = "alloc")]
extern crate alloc;

#[cfg(feature = "alloc")]
pub mod channel;
mod condvar;
mod mutex;
mod primitive;
mod thread_word;

pub use condvar::{Condvar, NotWaited};
pub use mutex::{Mutex, MutexGuard};
pub use thread_word::{ThreadWord, Wake, WordState};
pub use weblane_futex::{MayNotBlock, can_block, set_can_block};
