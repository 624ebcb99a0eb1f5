//! Races 26 and 27: in the steady state submitting a small closure allocates nothing, detached or with a handle, from outside or from inside. (On the web
//! the allocator is a spin lock, and the page's main thread would wait for whoever is preempted in it.)
#![cfg(not(loom))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use weblane_pool::{Priority, ThreadPool};

/// Counts what is asked of the system's allocator.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: everything is passed on.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs `submit`, which gets so many tasks going, until they have run; returns how many allocations that took.
fn allocations(count: &AtomicU64, tasks: u64, submit: impl FnOnce()) -> u64 {
    let (before, start) = (ALLOCATIONS.load(Ordering::SeqCst), count.load(Ordering::SeqCst));
    submit();
    while count.load(Ordering::SeqCst) < start + tasks {
        std::thread::yield_now();
    }
    ALLOCATIONS.load(Ordering::SeqCst) - before
}

// One test: the counter is everybody's.
#[test]
fn race_27_small_closures_are_not_allocated_in_the_steady_state() {
    const TASKS: u64 = 1_000;
    let pool = ThreadPool::with_threads(2).expect("two threads");
    let count = Arc::new(AtomicU64::new(0));
    // 48 bytes: what fits into a slot.
    let task = || {
        // Beside the pointer, whose size is the target's.
        let (count, words) = (Arc::clone(&count), [1_u32; (48 - size_of::<usize>()) / 4]);
        let task = move || {
            count.fetch_add(u64::from(words[0]), Ordering::SeqCst);
        };
        assert_eq!(size_of_val(&task), 48);
        task
    };
    let detached = |priority| {
        for _ in 0..TASKS {
            pool.try_spawn_detached(priority, task()).expect("open");
        }
    };
    let with_handles = || {
        for _ in 0..TASKS {
            drop(pool.spawn(task()));
        }
    };
    let inner = pool.clone();
    let inside = || {
        let (count, inner) = (Arc::clone(&count), inner.clone());
        pool.spawn_detached(move || {
            for _ in 0..TASKS {
                let count = Arc::clone(&count);
                inner.spawn_detached(move || {
                    count.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
    };
    // Once for blocks and headers; the harness may allocate too, so the best of several rounds counts.
    let least = |submit: &dyn Fn()| (0..20).map(|_| allocations(&count, TASKS, submit)).min();
    assert_eq!(least(&|| detached(Priority::Normal)), Some(0));
    assert_eq!(least(&|| detached(Priority::High)), Some(0));
    assert_eq!(least(&|| detached(Priority::Background)), Some(0));
    assert_eq!(least(&with_handles), Some(0));
    assert_eq!(least(&inside), Some(0));
    // That the counter counts.
    let large = [0_u64; 50];
    let boxed = allocations(&count, 1, || {
        let count = Arc::clone(&count);
        pool.spawn_detached(move || {
            count.fetch_add(1 + large[1], Ordering::SeqCst);
        });
    });
    assert!(boxed >= 1);
}
