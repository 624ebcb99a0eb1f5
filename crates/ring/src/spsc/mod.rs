//! A single-producer single-consumer ring: one thread pushes, another one pops, both wait-free.
//!
//! # Purpose
//!
//! The fastest way to hand messages from one thread to another, one by one: commands, events, log lines, frames by ownership. Values of any size move through
//! slots. For blocks of samples or bytes, which want to lie side by side, there is [`stream`].
//!
//! # Two protocols
//!
//! Who may touch a slot is said in one of two ways, chosen by the target; both are exact, wait-free, and the same to the caller.
//!
//! - *Positions* (`positions.rs`, natively): each side publishes how far it is, and keeps the other one's position as last seen. A push and a pop store to lines that the other core
//!   reads, but neither waits for that: the store buffer does.
//! - *Flags* (`flags.rs`, on wasm and without 64-bit atomics): a flag in each slot says whether it is full. Where every atomic store is a full barrier, as the engines make it on
//!   wasm, each line that travels is waited for, and this one has half as many: the flag lies beside the value.
//!
//! Nanoseconds for each value, one producer and one consumer as fast as they can (`cargo xtask bench spsc`): natively positions 2.4 and flags 8; in engines positions 70 and flags 17 to
//! 27. The models check both: the positions under the memory model of native code, the flags under that and under the one of wasm (`--cfg weblane_narrow`, `weblane_sc`).
//!
//! # State
//!
//! Beside the slots: `Places`, where both sides are or have stopped (see the protocols), and `ends`, which ends exist: one bit for each.
//!
//! # Steps
//!
//! *Push* and *pop*: see the protocols. *An end goes*: it says where it stopped, and takes its bit out of `ends`. When both are gone, they can be made anew.
//!
//! # Argument
//!
//! 1. *Wait-free*: no loop, but for the bounded one of `patience.rs`.
//! 2. *The last values are not lost.* A producer that goes has published its values before it takes its bit out (Release), so a consumer that has seen it gone
//!    (Acquire) sees everything in its next pop.
//! 3. *Leaks are harmless*: values and what says that they are there never part, see the protocols. A ring whose end was leaked starts anew when it is split again.

mod consumer;
mod patience;
mod producer;
// Models with `weblane_sc` (what wasm has) and with `weblane_narrow` check the flags, all others the positions.
#[cfg_attr(any(target_arch = "wasm32", not(target_has_atomic = "64"), weblane_sc, weblane_narrow), path = "flags.rs")]
#[cfg_attr(
    not(any(target_arch = "wasm32", not(target_has_atomic = "64"), weblane_sc, weblane_narrow)),
    path = "positions.rs"
)]
mod protocol;
mod ring;
pub mod stream;

pub use crate::storage::CapacityError;
pub use consumer::Consumer;
pub use producer::Producer;
pub use protocol::Slot;
#[cfg(feature = "alloc")]
pub use ring::channel;
pub use ring::{BorrowedRing, Ring};
