//! The memory of an unbounded channel's blocks, in every interleaving: those that were emptied are used again.
#![cfg(loom)]
#![allow(missing_docs, reason = "tests")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use loom::thread;
use weblane_sync::channel::unbounded;

/// A value that gives its blocks an alignment which nothing else has.
#[derive(Debug, PartialEq)]
#[repr(align(256))]
struct Value(u32);

static MADE: AtomicUsize = AtomicUsize::new(0);

/// Counts the allocations of blocks.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: the system's allocator does it all.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() == align_of::<Value>() {
            MADE.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: the caller's word.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's word.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Race 27: two receivers empty a block at once, and it is there for the next values, whoever was done with it last.
#[test]
fn race_27_two_empty_a_block_at_once() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(builder.preemption_bound.unwrap_or(2));
    builder.max_branches = 20_000;
    builder.check(|| {
        weblane_sync::begin_model();
        let before = MADE.load(Ordering::Relaxed);
        let (sender, receiver) = unbounded::<Value>();
        let send = |value| sender.try_send(Value(value)).unwrap();
        // Blocks of two.
        (0..4).for_each(send);
        let other = receiver.clone();
        let other = thread::spawn(move || other.try_recv().unwrap().0);
        let mut got = vec![receiver.try_recv().unwrap().0, receiver.try_recv().unwrap().0];
        got.push(other.join().unwrap());
        // One value is left, in the second block; with these there are three blocks in use.
        (4..8).for_each(send);
        assert_eq!(MADE.load(Ordering::Relaxed) - before, 2, "one block, then two more; the first one is used again");
        got.extend(receiver.try_iter().map(|value| value.0));
        got.sort_unstable();
        assert!(got.iter().copied().eq(0..8), "{got:?}");
    });
}
