//! The shared queues by themselves. Under loom every interleaving of small cases, otherwise order, limits, and the end.

use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use super::{Injector, Priority};
use crate::task::Task;

#[cfg(not(loom))]
use core::sync::atomic::AtomicU32;
#[cfg(not(loom))]
use std::{sync::Arc, thread};

#[cfg(loom)]
use loom::{sync::Arc, thread};
#[cfg(loom)]
use weblane_futex::AtomicU32;

const NORMAL: Priority = Priority::Normal;

/// Tasks that count how often each of them ran.
fn flags(count: usize) -> (Arc<Vec<AtomicU32>>, impl Fn(usize) -> Task) {
    let flags: Arc<Vec<AtomicU32>> = Arc::new((0..count).map(|_| AtomicU32::new(0)).collect());
    let shared = Arc::clone(&flags);
    let task = move |index: usize| {
        let flags = Arc::clone(&shared);
        Task::new(move || {
            flags[index].fetch_add(1, Ordering::Relaxed);
        })
    };
    (flags, task)
}

fn ran(flags: &[AtomicU32]) -> Vec<u32> {
    flags.iter().map(|flag| flag.load(Ordering::Relaxed)).collect()
}

fn drain(injector: &Injector) {
    while !injector.is_empty(NORMAL) {
        injector.pop(NORMAL, 1, 8, Task::run);
    }
}

#[cfg(not(loom))]
mod native {
    use super::*;

    #[test]
    fn tasks_come_in_order_over_many_blocks_and_batches() {
        let injector = Injector::new();
        let order = Arc::new(std::sync::Mutex::new(Vec::new()));
        let task = |index: usize| {
            let order = Arc::clone(&order);
            Task::new(move || order.lock().expect("no panic").push(index))
        };
        let (mut pushed, mut turn) = (0, 0);
        while pushed < 10_000 {
            injector.push_many(NORMAL, 70, (pushed..pushed + 70).map(&task));
            pushed += 70;
            assert!(injector.push(NORMAL, task(pushed), false).is_ok());
            pushed += 1;
            turn += 1;
            injector.pop(NORMAL, 1, 1 + turn % 130, Task::run);
        }
        drain(&injector);
        let order = order.lock().expect("no panic");
        assert!(order.iter().copied().eq(0..pushed), "{} of {pushed} came, in another order", order.len());
    }

    #[test]
    fn a_batch_that_promised_too_much_leaves_no_hole_that_blocks() {
        let injector = Injector::new();
        let (flags, task) = flags(3);
        injector.push_many(NORMAL, 3, [task(0), task(1)].into_iter());
        assert!(injector.push(NORMAL, task(2), false).is_ok());
        drain(&injector);
        assert_eq!(ran(&flags), [1, 1, 1]);
        injector.close();
        assert!(injector.is_finished());
    }

    /// Race 25: more tasks than the table has room for; none is lost, none comes twice.
    #[test]
    fn race_25_what_does_not_fit_overflows_and_comes_back() {
        const TASKS: u32 = 600_000;
        let injector = Injector::new();
        let count = Arc::new(AtomicU32::new(0));
        for _ in 0..TASKS {
            let count = Arc::clone(&count);
            let task = Task::new(move || {
                count.fetch_add(1, Ordering::Relaxed);
            });
            assert!(injector.push(NORMAL, task, false).is_ok());
        }
        assert!(!injector.is_empty(NORMAL));
        injector.close();
        assert!(!injector.is_finished());
        drain(&injector);
        assert_eq!(count.load(Ordering::Relaxed), TASKS);
        assert!(injector.is_finished());
    }

    #[test]
    fn a_closed_queue_takes_tasks_from_inside_only() {
        let injector = Injector::new();
        let (flags, task) = flags(3);
        assert!(injector.push(NORMAL, task(0), false).is_ok());
        injector.close();
        assert!(injector.push(NORMAL, task(1), false).is_err());
        assert!(injector.push(NORMAL, task(2), true).is_ok());
        assert!(!injector.is_finished());
        drain(&injector);
        assert!(injector.is_finished());
        assert_eq!(ran(&flags), [1, 0, 1]);
    }

    #[test]
    fn what_is_left_is_dropped_with_the_queue() {
        let value = Arc::new(());
        let injector = Injector::new();
        for priority in Priority::ALL {
            for _ in 0..300 {
                let value = Arc::clone(&value);
                assert!(injector.push(priority, Task::new(move || drop(value)), false).is_ok());
            }
        }
        drop(injector);
        assert_eq!(Arc::strong_count(&value), 1);
    }

    /// Races 15, 31, 32: four producers and four consumers; blocks are used again and again, each task runs once, while a reaper skips
    /// whatever is claimed and not yet there.
    #[test]
    fn race_15_race_31_stress_with_a_reaper() {
        const EACH: usize = 40_000;
        let injector = Arc::new(Injector::new());
        let (flags, task) = flags(4 * EACH);
        let task = Arc::new(task);
        let left = Arc::new(AtomicU32::new(4 * EACH as u32));
        let mut threads = Vec::new();
        for producer in 0..4 {
            let (queue, task) = (Arc::clone(&injector), Arc::clone(&task));
            threads.push(thread::spawn(move || {
                for index in 0..EACH {
                    assert!(queue.push(NORMAL, task(producer * EACH + index), false).is_ok());
                    if index % 1000 == 999 {
                        queue.skip_claimed();
                    }
                }
            }));
            let (injector, left) = (Arc::clone(&injector), Arc::clone(&left));
            threads.push(thread::spawn(move || {
                while left.load(Ordering::Relaxed) != 0 {
                    injector.pop(NORMAL, 4, 1 + producer, |task| {
                        task.run();
                        left.fetch_sub(1, Ordering::Relaxed);
                    });
                }
            }));
        }
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(ran(&flags).iter().all(|times| *times == 1));
        injector.close();
        // Skipped places may be left at the end.
        drain(&injector);
        assert!(injector.is_finished());
    }
}

#[cfg(loom)]
mod model {
    use super::*;

    fn explore(fewer: usize, check: impl Fn() + Sync + Send + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(builder.preemption_bound.unwrap_or(2) - fewer);
        builder.max_branches = 20_000;
        builder.check(check);
    }

    /// Race 32: two producers, over the end of a block (two cells in models); everything comes out once.
    #[test]
    fn two_producers_over_a_block() {
        explore(0, || {
            let injector = Arc::new(Injector::new());
            let (flags, task) = flags(3);
            assert!(injector.push(NORMAL, task(2), false).is_ok());
            let producer = {
                let (injector, task) = (Arc::clone(&injector), task(0));
                thread::spawn(move || injector.push(NORMAL, task, false).is_ok())
            };
            assert!(injector.push(NORMAL, task(1), false).is_ok());
            injector.pop(NORMAL, 1, 2, Task::run);
            assert!(producer.join().unwrap());
            drain(&injector);
            assert_eq!(ran(&flags), [1, 1, 1]);
        });
    }

    /// Race 31: two consumers and a producer that needs the block which they have just emptied.
    #[test]
    fn two_consumers_and_a_block_that_comes_again() {
        explore(1, || {
            let injector = Arc::new(Injector::new());
            let (flags, task) = flags(5);
            for index in 0..3 {
                assert!(injector.push(NORMAL, task(index), false).is_ok());
            }
            let consumer = {
                let injector = Arc::clone(&injector);
                thread::spawn(move || injector.pop(NORMAL, 1, 2, Task::run))
            };
            injector.pop(NORMAL, 2, 1, Task::run);
            assert!(injector.push(NORMAL, task(3), false).is_ok());
            assert!(injector.push(NORMAL, task(4), false).is_ok());
            consumer.join().unwrap();
            drain(&injector);
            assert_eq!(ran(&flags), [1; 5]);
        });
    }

    /// A queue says that it is empty only if it was: what was there before the question, and that nobody takes, is seen.
    #[test]
    fn empty_is_said_only_when_it_is_so() {
        explore(0, || {
            let injector = Arc::new(Injector::new());
            let (flags, task) = flags(3);
            for index in 0..3 {
                assert!(injector.push(NORMAL, task(index), false).is_ok());
            }
            let consumer = {
                let injector = Arc::clone(&injector);
                thread::spawn(move || {
                    // Two of the three, one by one: the block is freed between the question's two looks.
                    injector.pop(NORMAL, 100, 1, Task::run);
                    injector.pop(NORMAL, 100, 1, Task::run);
                })
            };
            assert!(!injector.is_empty(NORMAL), "the third is there all the time");
            consumer.join().unwrap();
            drain(&injector);
            assert_eq!(ran(&flags), [1; 3]);
        });
    }

    /// Race 28: a push against closing. What was accepted is inside when the queue says whether it is finished.
    #[test]
    fn close_vs_push() {
        explore(0, || {
            let injector = Arc::new(Injector::new());
            let (flags, task) = flags(1);
            let producer = {
                let (injector, task) = (Arc::clone(&injector), task(0));
                thread::spawn(move || injector.push(NORMAL, task, false).is_ok())
            };
            injector.close();
            let finished = injector.is_finished();
            let accepted = producer.join().unwrap();
            assert!(!(finished && accepted), "it was finished, and accepted a task afterwards");
            drain(&injector);
            assert!(injector.is_finished());
            assert_eq!(ran(&flags), [u32::from(accepted)]);
        });
    }

    /// Race 28 when the table is full: the list that takes the overflow closes as one.
    #[test]
    fn close_vs_overflow() {
        explore(1, || {
            let injector = Arc::new(Injector::new());
            let (flags, task) = flags(5);
            for index in 0..4 {
                assert!(injector.push(NORMAL, task(index), false).is_ok());
            }
            let producer = {
                let (injector, task) = (Arc::clone(&injector), task(4));
                thread::spawn(move || injector.push(NORMAL, task, false).is_ok())
            };
            injector.close();
            drain(&injector);
            let finished = injector.is_finished();
            let accepted = producer.join().unwrap();
            if finished {
                assert_eq!(ran(&flags)[4], u32::from(accepted), "it was finished, and accepted a task afterwards");
            }
            drain(&injector);
            assert!(injector.is_finished());
            assert_eq!(ran(&flags), [1, 1, 1, 1, u32::from(accepted)]);
        });
    }

    /// Race 25: two producers push beyond the table's room, a consumer takes.
    #[test]
    fn overflow_by_two() {
        explore(1, || {
            let injector = Arc::new(Injector::new());
            let (flags, task) = flags(6);
            for index in 0..4 {
                assert!(injector.push(NORMAL, task(index), false).is_ok());
            }
            let producer = {
                let (injector, task) = (Arc::clone(&injector), task(4));
                thread::spawn(move || injector.push(NORMAL, task, false).is_ok())
            };
            assert!(injector.push(NORMAL, task(5), false).is_ok());
            injector.pop(NORMAL, 1, 8, Task::run);
            assert!(producer.join().unwrap());
            drain(&injector);
            assert_eq!(ran(&flags), [1; 6]);
        });
    }

    /// Race 15: the reaper skips what a live producer has claimed; the producer pushes again.
    #[test]
    fn reaper_vs_push() {
        explore(0, || {
            let injector = Arc::new(Injector::new());
            let (flags, task) = flags(2);
            let producer = {
                let (injector, task) = (Arc::clone(&injector), task(0));
                thread::spawn(move || injector.push(NORMAL, task, false).is_ok())
            };
            injector.skip_claimed();
            assert!(injector.push(NORMAL, task(1), false).is_ok());
            drain(&injector);
            assert!(producer.join().unwrap());
            drain(&injector);
            assert_eq!(ran(&flags), [1, 1]);
        });
    }
}
