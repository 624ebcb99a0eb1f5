#![doc = include_str!("../README.md")]
#![no_std]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(any(feature = "std", loom))]
extern crate std;

#[cfg(feature = "alloc")]
pub mod channel;

mod barrier;
mod condvar;
mod error;
mod futures;
mod lazy_lock;
mod mutex;
mod once;
mod once_lock;
mod owner;
mod parker;
mod primitive;
mod rwlock;
mod thread_word;
mod tiny;
mod wait_group;
mod waiters;
mod word;

pub use barrier::{Barrier, BarrierWaitResult};
pub use condvar::{Condvar, WaitError};
pub use error::{LockError, NotYet};
pub use lazy_lock::LazyLock;
pub use mutex::{Mutex, MutexGuard};
pub use once::Once;
pub use once_lock::OnceLock;
pub use owner::ThreadNumber;
pub use parker::{Parker, Unparker};
pub use rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use thread_word::{ThreadWord, Wake, WordState};
pub use wait_group::{Member, WaitGroup};
#[doc(hidden)]
pub use weblane_futex::MODEL;

/// Makes what this crate and the futex keep in an execution of a model, as [`weblane_futex::model::begin`] does, which says why.
#[cfg(loom)]
pub fn begin_model() {
    weblane_futex::model::begin();
    waiters::begin_model();
    owner::begin_model();
}

pub use weblane_futex::{MayNotBlock, can_block, set_can_block};
