//! A single-producer single-consumer ring: one thread pushes, another one pops, both wait-free.
//!
//! # Purpose
//!
//! The fastest way to hand messages from one thread to another, one by one: commands, events, log lines, frames by ownership. Values of any size move through
//! slots. For blocks of samples or bytes, which want to lie side by side, there is [`stream`].
//!
//! # State
//!
//! | name | type | written by | means |
//! |---|---|---|---|
//! | `Slot::flag` | `AtomicU32` | both in turn | EMPTY: the slot is the producer's; FULL: it holds a value and is the consumer's |
//! | `Producer::at`, `Consumer::at` | plain | its owner | the slot that comes next |
//! | `ends` | `AtomicU32` | both | which ends exist: one bit for each |
//!
//! There are no positions that both sides read. Each side knows where it is, and the slot there says whether it is its turn.
//!
//! # Steps
//!
//! - *Push*: if the slot at `at` is not EMPTY, the ring is full. Write the value, set FULL, go on to the next slot.
//! - *Pop*: if the slot at `at` is not FULL, the ring is empty. Read the value, set EMPTY, go on to the next slot.
//! - *An end goes*: it leaves its place for the next one of its kind and takes its bit out of `ends`. When both are gone, they can be made anew.
//!
//! # Argument
//!
//! 1. *Exclusion.* A slot is touched by the producer only between its Acquire of EMPTY and its Release of FULL, and by the consumer only between its Acquire of
//!    FULL and its Release of EMPTY. So whoever touches it has the slot to itself, and sees what the other one did.
//! 2. *Order.* Both go through the slots in the same order from the same slot, and neither skips one, so values come out as they went in, once.
//! 3. *Full and empty are exact.* The producer comes back to a slot one round later; it is FULL if and only if the value that was pushed `capacity` pushes ago
//!    has not been popped. Likewise for empty.
//! 4. *Wait-free*: no loop. *No numbers that wrap.*
//! 5. *The last values are not lost.* A producer that goes has set its flags before it takes its bit out (Release), so a consumer that has seen it gone
//!    (Acquire) sees everything in its next pop.
//! 6. *Leaks are harmless.* No code of the user's runs between a flag and its value, so at any moment the FULL slots are the ones that hold values.
//!
//! # Why flags and not positions
//!
//! With positions (Lamport's queue, and its variants that cache the other side's position) a value that is taken as soon as it comes costs two lines that travel
//! between the cores: the position and the slot. With a flag in the slot it costs one. Natively a store buffer hides a part of that; on wasm it cannot,
//! because the engines make every atomic store a full barrier. One producer and one consumer on one machine, nanoseconds for each value: positions 4.2
//! with plain stores and 33 with swaps, as on wasm; flags 2.8 and 8 to 14.
//!
//! # Source
//!
//! FastForward (Giacomoni, Moseley and Vachharajani, *FastForward for Efficient Pipeline Parallelism*, 2008).

mod consumer;
mod producer;
mod ring;
pub mod stream;

pub use crate::storage::CapacityError;
pub use consumer::Consumer;
pub use producer::Producer;
#[cfg(feature = "alloc")]
pub use ring::channel;
pub use ring::{BorrowedRing, Ring, Slot};
