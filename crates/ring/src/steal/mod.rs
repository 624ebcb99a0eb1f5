//! A work-stealing ring: one owner pushes and pops, others steal one or half.
//!
//! # Purpose
//!
//! The queue of one worker of a thread pool. The owner's operations are the ones that count, so a push without overflow is one
//! atomic store and reads nothing that others write. Thieves come one at a time: a thief that finds another at work leaves
//! ([`Steal::Busy`]), because a second one could only take what the first one leaves.
//!
//! # State
//!
//! | name | type | written by | means |
//! |---|---|---|---|
//! | `packed` | `AtomicU64` = pops:32, head:32 | owner and thief, by compare-and-swap | how many values the owner has popped at the young end; the oldest value |
//! | `pushes` | `AtomicU32` | owner | how many values were ever pushed |
//! | `thief` | `AtomicU32` | thieves | whether a thief is at work |
//! | `reclaimed` | plain cell | owner | all slots before this position are free, as far as the owner knows |
//!
//! All numbers wrap. `tail = pushes − pops` is the position after the youngest value; the ring holds `head..tail`. Position `p` is in
//! slot `p % N`. A value is written once and read once, by whoever has claimed its position.
//!
//! Why `pops` is beside `head` and not subtracted from `pushes`: a pop at the young end and a theft of the last value must not both
//! succeed, so both must be a compare-and-swap of one word. And a push needs no part in it.
//!
//! # Steps
//!
//! - *Push*: if `tail − reclaimed < N`, write the slot, then publish `pushes + 1`. Otherwise look what has become free: read `head`,
//!   **then** `thief`. If no thief is at work every slot before `head` has been read, so `reclaimed = head`; else nothing is known and
//!   the ring counts as full.
//! - *Pop* (old end): compare-and-swap `head + 1`; read the slot. *Pop* (young end): compare-and-swap `pops + 1`; read the slot.
//!   *Drain*: compare-and-swap `head + n`; read the slots.
//! - *Steal*: take `thief` (compare-and-swap, or leave). Read `packed`, **then** `pushes`; choose `n`; compare-and-swap `head + n`, or read again.
//!   **Then** copy the `n` values. Give `thief` back.
//!
//! Claim first and copy after, because values may have many words: a copy that is made before the claim may be torn, and there
//! is no way to copy many words atomically.
//!
//! # Argument
//!
//! 1. *No value is claimed twice.* Every claim is a compare-and-swap of `packed`, and claims from one and the same value of it. Could the
//!    word have come back to an old value meanwhile? `head` and `pops` only count up, and a thief keeps at most one old value for as long as
//!    it is stopped between its two accesses; the owner would have to pop 2^32 times at one end, and exactly so often.
//! 2. *What is claimed is there.* `pushes` is read after `packed` (Acquire), so it counts at least the pushes before that state, and the
//!    slots were written before they were published (Release). It may count later pushes too; if the owner has popped since, the
//!    compare-and-swap fails.
//! 3. *No slot is overwritten while it is read.* The owner writes a slot only when `tail − reclaimed < N`. `reclaimed` is a `head` that was
//!    read before `thief` was seen free. Whoever had moved `head` so far held `thief` from before his claim until after his copy, so
//!    "free" means that he has finished (his Release, our Acquire).
//! 4. *The owner never waits.* Its compare-and-swaps fail only when a thief has claimed, and there is one claim for each time that
//!    `thief` is taken.
//!
//! # Source
//!
//! The ring with `steal` and `real` heads is Go's and Tokio's (`tokio::runtime::scheduler::multi_thread::queue`) and `st3`'s, which packs
//! counts of pops beside the head for its LIFO worker. Different here: one thief word instead of a second head, so that claiming and
//! copying need no further claim; both ends for the owner in one ring; values of several words.

mod owner;
mod ring;
mod stealer;

pub use owner::Owner;
pub use ring::Ring;
pub use stealer::{Steal, Stealer};
