//! A stream from one thread to another: values lie side by side, so that whole slices are written and read in place.
//!
//! # Purpose
//!
//! Samples, bytes, pixels: what comes in blocks. One publication for each block, however large. For messages that come one by one, the ring of the
//! [module above](super) is the faster one: on wasm, where a number on a line of its own is dear, it has a flag beside each value.
//!
//! # State
//!
//! | name | type | written by | means |
//! |---|---|---|---|
//! | `tail` | `AtomicU32` | producer | how many values were ever pushed |
//! | `head` | `AtomicU32` | consumer | how many were ever popped |
//! | `ends` | `AtomicU32` | both | which ends exist: one bit for each |
//! | `Producer::tail`, `Consumer::head` | plain | its owner | a copy of one's own number, which nobody else changes |
//! | `Producer::head`, `Consumer::tail` | plain | its owner | the other side's number as last seen |
//!
//! The numbers wrap. The ring holds `head..tail`; the value of position `p` is in slot `p % slots`. `head` and `tail` are on lines of their own.
//!
//! # Steps
//!
//! - *Push*: if `tail − head` (as last seen) is the capacity, read `head` again; if it still is, the ring is full. Write the slot, then publish
//!   `tail + 1`.
//! - *Pop*: if `head` is `tail` (as last seen), read `tail` again (natively with the patience of `patience.rs`); if it still is, the ring is empty. Read the
//!   slot, then publish `head + 1`.
//! - *Chunks* are the same with more than one slot, and one publication at the end. Their slots are at most two runs that lie side by side (up to the ring's end, and
//!   from its beginning), and are written and read run by run: no position wraps in the loop. What was written or read is counted on the way and published by a
//!   guard, so that a panic in the caller's code neither loses a value nor gives one twice.
//! - *An end goes*: take its bit out of `ends`. When both are gone, they can be made anew. A bit that is left when the ring itself goes says that its end
//!   was leaked; a leaked consumer may have taken values without saying so, so they are not dropped again but leaked with it.
//!
//! # Argument
//!
//! 1. *What is popped is there.* The consumer reads only below a `tail` that it has read (Acquire), and the slots below it were written before it was
//!    published (Release).
//! 2. *No slot is overwritten while it is read.* The producer writes at `tail` only when `tail − head` is less than the capacity for a `head` that it has
//!    read (Acquire); the slots below it were read before it was published (Release). An old `head` only makes the ring look fuller, and then it is read
//!    again.
//! 3. *Wait-free*: no loop. *Full and empty are true* at the moment when the other side's number was read.
//! 4. *The last values are not lost.* A producer that goes publishes before it takes its bit out (Release), so a consumer that has seen it gone
//!    (Acquire) sees everything in its next pop.
//!
//! # Source
//!
//! Lamport's queue (*Specifying Concurrent Program Modules*, 1983) with the cached positions of Lee, Bu and Chandranmenon's MCRingBuffer (2010).

mod chunk;
mod consumer;
mod link;
mod producer;
mod ring;

pub use super::CapacityError;
pub use chunk::{ReadChunk, Taken, TooFew, WriteChunk};
pub use consumer::Consumer;
pub use producer::Producer;
#[cfg(not(loom))]
pub use ring::BorrowedRing;
pub use ring::Ring;
#[cfg(feature = "alloc")]
pub use ring::{channel, channel_starting_at};
