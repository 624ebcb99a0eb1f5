//! What std's tests of its once cells assert, asserted of ours: `library/std/tests/sync` (once, once_lock, lazy_lock), rewritten for
//! these interfaces. Where std poisons, the property is ours instead.
#![cfg(not(loom))]
#![allow(missing_docs, reason = "tests")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;

use weblane_sync::{LazyLock, Once, OnceLock};

/// Counts how often it was dropped.
struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn panics(work: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(work)).is_err()
}

mod once {
    use super::*;

    #[test]
    fn smoke_once() {
        let once = Once::new();
        let mut times = 0;
        once.call_once(|| times += 1).unwrap();
        once.call_once(|| times += 1).unwrap();
        assert_eq!(times, 1);
        assert!(once.is_completed() && once.try_call_once(|| unreachable!()));
    }

    #[test]
    fn stampede_once() {
        static ONCE: Once = Once::new();
        static mut RUN: bool = false;
        let threads: Vec<_> = (0..10)
            .map(|_| {
                thread::spawn(|| {
                    for _ in 0..4 {
                        thread::yield_now();
                    }
                    // SAFETY: written by one thread, which the others wait for.
                    ONCE.call_once(|| unsafe {
                        assert!(!RUN);
                        RUN = true;
                    })
                    .unwrap();
                    // SAFETY: as above.
                    unsafe { assert!(RUN) };
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }

    /// std: poisoned for ever. Here: the next one tries.
    #[test]
    fn after_a_panic_the_next_one_tries() {
        let once = Once::new();
        assert!(panics(|| once.call_once(|| panic!("on purpose")).unwrap()));
        assert!(!once.is_completed());
        let mut called = false;
        once.call_once(|| called = true).unwrap();
        assert!(called && once.is_completed());
    }

    #[test]
    fn one_waits_while_another_panics_and_then_does_it() {
        let once = Once::new();
        thread::scope(|scope| {
            let (begun, has_begun) = channel();
            let (go, may_go) = channel::<()>();
            let once = &once;
            let first = scope.spawn(move || {
                panics(|| {
                    once.call_once(|| {
                        begun.send(()).unwrap();
                        may_go.recv().unwrap();
                        panic!("on purpose");
                    })
                    .unwrap();
                })
            });
            has_begun.recv().unwrap();
            assert!(!once.try_call_once(|| unreachable!()), "another one is at it");
            let second = scope.spawn(move || {
                let mut called = false;
                once.call_once(|| called = true).unwrap();
                called
            });
            go.send(()).unwrap();
            assert!(first.join().unwrap());
            assert!(second.join().unwrap());
        });
    }

    #[test]
    fn wait_for_another_to_complete() {
        for _ in 0..20 {
            let done = AtomicUsize::new(0);
            let once = Once::new();
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        once.wait().unwrap();
                        assert_eq!(done.load(Ordering::Relaxed), 1);
                    });
                }
                once.call_once(|| done.store(1, Ordering::Relaxed)).unwrap();
            });
        }
    }
}

mod once_lock {
    use super::*;

    #[test]
    fn sync_once_cell() {
        static CELL: OnceLock<i32> = OnceLock::new();
        assert!(CELL.get().is_none());
        thread::spawn(|| assert_eq!(CELL.get_or_init(|| 92), Ok(&92))).join().unwrap();
        assert_eq!(CELL.get_or_init(|| panic!("is there")), Ok(&92));
        assert_eq!(CELL.get(), Some(&92));
    }

    #[test]
    fn set_take_clone_and_eq() {
        let mut cell = OnceLock::new();
        assert_eq!(cell.set(1), Ok(()));
        assert_eq!(cell.set(2), Err(2));
        *cell.get_mut().unwrap() = 3;
        let copy = cell.clone();
        assert_eq!(copy, cell);
        assert_eq!(cell.take(), Some(3));
        assert_eq!((cell.take(), cell.get()), (None, None));
        assert_ne!(copy, cell);
        assert_eq!(format!("{copy:?} {cell:?}"), "OnceLock(3) OnceLock(<empty>)");
        assert_eq!(copy.into_inner(), Some(3));
        assert_eq!(OnceLock::from(5).get(), Some(&5));
    }

    #[test]
    fn drops_once_and_only_if_filled() {
        let count = Arc::new(AtomicUsize::new(0));
        let cell = OnceLock::new();
        assert!(cell.get_or_init(|| Dropped(Arc::clone(&count))).is_ok());
        assert_eq!(count.load(Ordering::SeqCst), 0);
        drop(cell);
        assert_eq!(count.load(Ordering::SeqCst), 1);
        drop(OnceLock::<Dropped>::new());
        let mut cell = OnceLock::from(Dropped(Arc::clone(&count)));
        drop(cell.take());
        drop(cell);
        assert_eq!(count.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn a_panic_leaves_it_empty() {
        let cell = OnceLock::new();
        assert!(panics(|| _ = cell.get_or_init(|| panic!("on purpose"))));
        assert!(cell.get().is_none());
        assert_eq!(cell.get_or_init(|| 7), Ok(&7));
    }

    #[test]
    fn reentrant_get_is_empty() {
        let cell = OnceLock::new();
        let value = cell.get_or_init(|| {
            assert!(cell.get().is_none() && cell.set(1).is_err() && cell.try_get_or_init(|| 1).is_none());
            String::from("x").len()
        });
        assert_eq!(value, Ok(&1));
    }

    #[test]
    fn many_threads_get_one_value() {
        const THREADS: usize = 8;
        for _ in 0..100 {
            let (cell, made) = (OnceLock::new(), AtomicUsize::new(0));
            thread::scope(|scope| {
                for thread in 0..THREADS {
                    let (cell, made) = (&cell, &made);
                    scope.spawn(move || {
                        let value = *cell
                            .get_or_init(|| {
                                made.fetch_add(1, Ordering::SeqCst);
                                thread
                            })
                            .unwrap();
                        assert_eq!(cell.wait(), Ok(&value));
                    });
                }
            });
            assert_eq!(made.into_inner(), 1);
        }
    }
}

mod lazy_lock {
    use super::*;

    #[test]
    fn sync_lazy_is_made_once() {
        let called = AtomicUsize::new(0);
        let lazy = LazyLock::new(|| {
            called.fetch_add(1, Ordering::SeqCst);
            92
        });
        assert_eq!((called.load(Ordering::SeqCst), LazyLock::get(&lazy)), (0, None));
        thread::scope(|scope| {
            scope.spawn(|| assert_eq!(*lazy - 30, 62));
        });
        assert_eq!((*lazy, LazyLock::force(&lazy)), (92, Ok(&92)));
        assert_eq!(called.load(Ordering::SeqCst), 1);
        assert_eq!(format!("{lazy:?}"), "LazyLock(92)");
    }

    #[test]
    fn static_sync_lazy() {
        static XS: LazyLock<Vec<i32>> = LazyLock::new(|| vec![1, 2, 3]);
        thread::spawn(|| assert_eq!(&*XS, &[1, 2, 3])).join().unwrap();
        assert_eq!(LazyLock::try_force(&XS), Some(&vec![1, 2, 3]));
        assert_eq!(LazyLock::<u32>::default().to_string(), "0");
    }

    #[test]
    fn a_maker_that_panicked_is_gone() {
        let lazy = LazyLock::new(|| -> u32 { panic!("on purpose") });
        for _ in 0..2 {
            assert!(panics(|| _ = LazyLock::force(&lazy)));
            assert_eq!(LazyLock::get(&lazy), None);
        }
    }

    #[test]
    fn what_was_not_made_is_not_dropped_and_its_maker_is() {
        let count = Arc::new(AtomicUsize::new(0));
        let dropped = Dropped(Arc::clone(&count));
        let lazy = LazyLock::new(move || dropped);
        drop(lazy);
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }
}
