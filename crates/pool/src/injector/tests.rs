//! The shared queues by themselves. Under loom every interleaving of small cases, otherwise order, limits, and the end.

use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use super::queue::Queue;
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

/// What a task leaves. In models its maker and its runner use a cell, too, so that loom sees whether the queue has ordered the two.
struct Flag {
    ran: AtomicU32,
    #[cfg(loom)]
    made: loom::cell::UnsafeCell<u32>,
}

// SAFETY: a task is made before it is queued, and run once.
#[cfg(loom)]
unsafe impl Sync for Flag {}

/// Tasks that count how often each of them ran.
fn flags(count: usize) -> (Arc<Vec<Flag>>, impl Fn(usize) -> Task + Clone + Send + Sync + 'static) {
    let flag = |_| Flag {
        ran: AtomicU32::new(0),
        #[cfg(loom)]
        made: loom::cell::UnsafeCell::new(0),
    };
    let flags: Arc<Vec<Flag>> = Arc::new((0..count).map(flag).collect());
    let shared = Arc::clone(&flags);
    let task = move |index: usize| {
        let flags = Arc::clone(&shared);
        #[cfg(loom)]
        // SAFETY: nobody has the task yet.
        flags[index].made.with_mut(|made| unsafe { *made = 1 });
        Task::new(move || {
            #[cfg(loom)]
            // SAFETY: a task is run once, after it was made.
            flags[index].made.with_mut(|made| assert_eq!(unsafe { core::mem::take(&mut *made) }, 1));
            flags[index].ran.fetch_add(1, Ordering::Relaxed);
        })
    };
    (flags, task)
}

fn ran(flags: &[Flag]) -> Vec<u32> {
    flags.iter().map(|flag| flag.ran.load(Ordering::Relaxed)).collect()
}

fn drain(injector: &Injector) {
    while !injector.is_empty(NORMAL) {
        injector.pop(NORMAL, 1, 8, Task::run);
    }
}

/// Every block whose positions have been consumed is free, and no other. When nobody is here.
fn assert_no_block_is_lost(injector: &Injector) {
    let used: usize = injector.queues.iter().map(Queue::blocks_in_use).sum();
    let (free, made) = injector.blocks.count();
    assert_eq!(free + used, made, "blocks that are free, in use, and made");
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

    /// Race 31 between levels: a block that one queue has emptied goes to another, whose positions have the same numbers. What is left in its cells is no task of that one.
    #[test]
    fn race_31_a_block_that_goes_from_one_level_to_another() {
        let injector = Injector::new();
        // Blocks are given out again in the reverse order: with an odd number of them, a level gets its middle one from the same place of another.
        for blocks in 1..=9 {
            let each = blocks * crate::injector::blocks::BLOCK;
            let (flags, task) = flags(3 * each);
            for (level, priority) in [NORMAL, Priority::High, Priority::Background].into_iter().enumerate() {
                for index in 0..each {
                    assert!(injector.push(priority, task(level * each + index), false).is_ok());
                    assert_eq!(injector.len(priority), index + 1, "one place for one task");
                }
                while !injector.is_empty(priority) {
                    injector.pop(priority, 1, 8, Task::run);
                }
            }
            assert!(ran(&flags).iter().all(|times| *times == 1), "{:?}", ran(&flags));
        }
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
        assert_no_block_is_lost(&injector);
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
        assert!(injector.push(NORMAL, task(1), false).is_err());
        assert!(injector.is_finished(), "what is refused leaves no place to be passed");
        assert_eq!(ran(&flags), [1, 0, 1]);
    }

    /// Race 15: a producer that died between its claim and its publication hides what is behind it, until the reaper comes.
    #[test]
    fn race_15_a_dead_producer_hides_nothing_after_the_reaper() {
        let injector = Injector::new();
        let (flags, task) = flags(2);
        assert!(injector.push(NORMAL, task(0), false).is_ok());
        injector.claim_and_die();
        assert!(injector.push(NORMAL, task(1), false).is_ok());
        drain(&injector);
        assert_eq!(ran(&flags), [1, 0]);
        injector.skip_claimed();
        drain(&injector);
        assert_eq!(ran(&flags), [1, 1]);
        injector.close();
        assert!(injector.is_finished());
    }

    /// Race 54: the second look covers every level.
    #[test]
    fn race_54_no_level_is_left_out() {
        for priority in Priority::ALL {
            let injector = Injector::new();
            let (_, task) = flags(1);
            assert!(injector.all_empty());
            assert!(injector.push(priority, task(0), false).is_ok());
            assert!(!injector.all_empty(), "{priority:?}");
        }
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
        let left = Arc::new(AtomicU32::new(4 * EACH as u32));
        let mut threads = Vec::new();
        for producer in 0..4 {
            let (queue, task) = (Arc::clone(&injector), task.clone());
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
        assert_no_block_is_lost(&injector);
    }
}

#[cfg(loom)]
mod model {
    use super::super::blocks::Blocks;
    use super::super::overflow::Overflow;
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
                let (injector, task) = (Arc::clone(&injector), task.clone());
                thread::spawn(move || injector.push(NORMAL, task(0), false).is_ok())
            };
            assert!(injector.push(NORMAL, task(1), false).is_ok());
            injector.pop(NORMAL, 1, 2, Task::run);
            assert!(producer.join().unwrap());
            drain(&injector);
            assert_eq!(ran(&flags), [1, 1, 1]);
            assert_no_block_is_lost(&injector);
        });
    }

    /// The same when one of them pushes a batch: what it has claimed is its own.
    #[test]
    fn a_batch_and_a_push() {
        explore(0, || {
            let injector = Arc::new(Injector::new());
            let (flags, task) = flags(3);
            let producer = {
                let (injector, task) = (Arc::clone(&injector), task.clone());
                thread::spawn(move || injector.push_many(NORMAL, 2, (0..2).map(task)))
            };
            assert!(injector.push(NORMAL, task(2), false).is_ok());
            producer.join().unwrap();
            drain(&injector);
            assert_eq!(ran(&flags), [1, 1, 1]);
            assert_no_block_is_lost(&injector);
        });
    }

    /// Two threads that need a block make two.
    #[test]
    fn blocks_are_made_by_two() {
        explore(0, || {
            let blocks = Arc::new(Blocks::new());
            let other = {
                let blocks = Arc::clone(&blocks);
                thread::spawn(move || blocks.take())
            };
            let mine = blocks.take();
            assert_ne!(mine, other.join().unwrap());
            assert_eq!(blocks.count(), (0, 2));
        });
    }

    /// Race 31: two consumers and a producer that needs the block which they have just emptied.
    #[test]
    fn two_consumers_and_a_block_that_comes_again() {
        explore(0, || {
            let injector = Arc::new(Injector::new());
            let (flags, task) = flags(6);
            for index in 0..3 {
                assert!(injector.push(NORMAL, task(index), false).is_ok());
            }
            let consumer = {
                let injector = Arc::clone(&injector);
                thread::spawn(move || injector.pop(NORMAL, 1, 2, Task::run))
            };
            injector.pop(NORMAL, 2, 1, Task::run);
            // Up to the second cell of the first block, which the other may have read.
            for index in 3..6 {
                assert!(injector.push(NORMAL, task(index), false).is_ok());
            }
            consumer.join().unwrap();
            drain(&injector);
            assert_eq!(ran(&flags), [1; 6]);
            assert_no_block_is_lost(&injector);
        });
    }

    /// A thread that takes the first two of three tasks, one by one, and pushes two more; so the first block is free, and comes again with later positions. Here
    /// this happens beside `meanwhile`, at each of its steps. The third task is there all the time.
    fn beside_a_block_that_comes_again(
        meanwhile: impl Fn(&Arc<Injector>, &dyn Fn(usize) -> Task) + Sync + Send + 'static,
    ) {
        explore(0, move || {
            let injector = Arc::new(Injector::new());
            let (flags, task) = flags(6);
            for index in 0..3 {
                assert!(injector.push(NORMAL, task(index), false).is_ok());
            }
            let other = {
                let (injector, task) = (Arc::clone(&injector), task.clone());
                thread::spawn(move || {
                    injector.pop(NORMAL, 100, 1, Task::run);
                    injector.pop(NORMAL, 100, 1, Task::run);
                    assert!(injector.push(NORMAL, task(3), false).is_ok());
                    assert!(injector.push(NORMAL, task(4), false).is_ok());
                })
            };
            meanwhile(&injector, &task);
            other.join().unwrap();
            drain(&injector);
            assert_eq!(ran(&flags)[..5], [1; 5]);
            assert_no_block_is_lost(&injector);
        });
    }

    /// A queue says that it is empty only if it was: what was there before the question, and that nobody takes, is seen.
    #[test]
    fn empty_is_said_only_when_it_is_so() {
        beside_a_block_that_comes_again(|injector, _| {
            assert!(!injector.is_empty(NORMAL), "the third is there all the time");
        });
    }

    /// Who takes gets something, if something is there all the time.
    #[test]
    fn who_takes_gets_what_is_there() {
        beside_a_block_that_comes_again(|injector, _| {
            let mut got = 0;
            injector.pop(NORMAL, 100, 1, |task| {
                got += 1;
                task.run();
            });
            assert_eq!(got, 1);
        });
    }

    /// Race 15: the reaper does not take a cell of a later position for one that nobody has filled.
    #[test]
    fn race_15_reaper_vs_a_block_that_comes_again() {
        beside_a_block_that_comes_again(|injector, _| injector.skip_claimed());
    }

    /// Race 31: a producer that finds in the table what another has put there is ordered after the block's former consumers.
    #[test]
    fn race_31_producer_vs_a_block_that_comes_again() {
        beside_a_block_that_comes_again(|injector, task| {
            assert!(injector.push(NORMAL, task(5), false).is_ok());
        });
    }

    /// Races 15 and 31: a producer that is stopped after its claim, while the reaper skips it and others go once around the table. It finds its place
    /// there taken by later positions, leaves them alone, and gets its task back to push it again.
    #[test]
    fn race_15_a_producer_that_sleeps_through_the_table() {
        explore(0, || {
            let injector = Injector::new();
            let (flags, task) = flags(11);
            let position = injector.claim_and_die();
            injector.skip_claimed();
            for first in [1, 3, 5, 7] {
                injector.push_many(NORMAL, 2, (first..first + 2).map(&task));
                injector.pop(NORMAL, 1, 2, Task::run);
            }
            injector.push_many(NORMAL, 2, (9..11).map(&task));
            let back = injector.queue(NORMAL).fill_late(&injector.blocks, position, task(0));
            let back = back.expect_err("its place is another's");
            assert!(injector.push(NORMAL, back, false).is_ok());
            drain(&injector);
            assert_eq!(ran(&flags), [1; 11]);
        });
    }

    /// A place without a task counts like any other when its block is given back.
    #[test]
    fn a_batch_that_promised_too_much_gives_its_blocks_back() {
        explore(0, || {
            let injector = Injector::new();
            let (flags, task) = flags(3);
            injector.push_many(NORMAL, 3, [task(0), task(1)].into_iter());
            assert!(injector.push(NORMAL, task(2), false).is_ok());
            drain(&injector);
            assert_eq!(ran(&flags), [1, 1, 1]);
            assert_no_block_is_lost(&injector);
        });
    }

    /// Race 28: a push against closing. What was accepted is inside when the queue says whether it is finished.
    #[test]
    fn close_vs_push() {
        explore(0, || {
            let injector = Arc::new(Injector::new());
            let (flags, task) = flags(1);
            let producer = {
                let (injector, task) = (Arc::clone(&injector), task.clone());
                thread::spawn(move || injector.push(NORMAL, task(0), false).is_ok())
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

    /// Race 28 when the table is full: the list that takes the overflow closes as one. `before` tasks are inside already.
    fn close_vs_overflow_of(before: usize) {
        explore(0, move || {
            let injector = Arc::new(Injector::new());
            let (flags, task) = flags(before + 1);
            for index in 0..before {
                assert!(injector.push(NORMAL, task(index), false).is_ok());
            }
            let producer = {
                let (injector, task) = (Arc::clone(&injector), task.clone());
                thread::spawn(move || injector.push(NORMAL, task(before), false).is_ok())
            };
            injector.close();
            drain(&injector);
            let finished = injector.is_finished();
            let accepted = producer.join().unwrap();
            if finished {
                assert_eq!(ran(&flags)[before], u32::from(accepted), "it was finished, and accepted a task afterwards");
            }
            drain(&injector);
            assert!(injector.is_finished());
            assert!(ran(&flags)[..before].iter().all(|times| *times == 1));
            assert_eq!(ran(&flags)[before], u32::from(accepted));
        });
    }

    #[test]
    fn close_vs_overflow() {
        close_vs_overflow_of(4);
    }

    /// Its top changes when it is closed, and when it is emptied.
    #[test]
    fn close_vs_overflow_with_one_inside() {
        close_vs_overflow_of(5);
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
                let (injector, task) = (Arc::clone(&injector), task.clone());
                thread::spawn(move || injector.push(NORMAL, task(4), false).is_ok())
            };
            assert!(injector.push(NORMAL, task(5), false).is_ok());
            injector.pop(NORMAL, 1, 8, Task::run);
            assert!(producer.join().unwrap());
            drain(&injector);
            assert_eq!(ran(&flags), [1; 6]);
        });
    }

    /// Race 25: the list by itself. What comes in while somebody takes is not forgotten, and two that take do not meet.
    #[test]
    fn race_25_overflow_push_vs_take_vs_take() {
        explore(0, || {
            let list = Arc::new(Overflow::new());
            let (flags, task) = flags(3);
            for index in 0..2 {
                assert!(list.push(task(index), false).is_ok());
            }
            let producer = {
                let (list, task) = (Arc::clone(&list), task.clone());
                thread::spawn(move || {
                    assert!(list.push(task(2), false).is_ok());
                    list.take(1, Task::run);
                })
            };
            // Twice, so that the second time what comes in is all there is.
            list.take(3, Task::run);
            list.take(3, Task::run);
            producer.join().unwrap();
            while !list.is_empty() {
                list.take(1, Task::run);
            }
            assert_eq!(ran(&flags), [1; 3]);
        });
    }

    /// Race 25: who takes one of several from the list is told that others must learn of the rest: while it took, the list counted as empty.
    #[test]
    fn race_25_who_leaves_something_says_so() {
        explore(1, || {
            let injector = Injector::new();
            let (flags, task) = flags(6);
            for index in 0..6 {
                assert!(injector.push(NORMAL, task(index), false).is_ok());
            }
            for _ in 0..2 {
                assert!(!injector.pop(NORMAL, 1, 2, Task::run));
            }
            assert!(injector.pop(NORMAL, 1, 1, Task::run), "one is left");
            assert!(!injector.pop(NORMAL, 1, 1, Task::run), "nothing is left");
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
                let (injector, task) = (Arc::clone(&injector), task.clone());
                thread::spawn(move || injector.push(NORMAL, task(0), false).is_ok())
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
