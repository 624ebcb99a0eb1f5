//! The scheduler on native threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use std::vec::Vec;

use weblane_sync::ThreadWord;

use crate::host::{Host, RING};
use crate::native::NativeHost;
use crate::scheduler::{Core, Leave};
use crate::task::Task;
use crate::{JoinError, ThreadPool};

/// A pool without threads: the test is every worker.
fn bare(workers: usize) -> Core<NativeHost> {
    Core::new(NativeHost::new(workers))
}

fn wait_until(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(30), "{what} did not happen in half a minute");
        thread::yield_now();
    }
}

#[test]
fn a_closed_pool_runs_what_is_queued_and_stops() {
    let core = bare(1);
    let count = Arc::new(AtomicU32::new(0));
    for _ in 0..1000 {
        let count = Arc::clone(&count);
        core.submit(Task::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
        }));
    }
    core.close(false);
    assert_eq!(core.run(0), Leave::Stop);
    assert_eq!(count.load(Ordering::Relaxed), 1000);
}

/// Race 25: a task that spawns many times what a ring holds; the overflow goes to the injector and nothing is lost.
#[test]
fn race_25_overflow_loses_nothing() {
    let core = Arc::new(bare(1));
    let count = Arc::new(AtomicU32::new(0));
    let spawned = 10 * RING as u32;
    let outer = {
        let (core, count) = (Arc::clone(&core), Arc::clone(&count));
        move || {
            for _ in 0..spawned {
                let count = Arc::clone(&count);
                core.submit(Task::new(move || {
                    count.fetch_add(1, Ordering::Relaxed);
                }));
            }
        }
    };
    core.submit(Task::new(outer));
    core.close(false);
    assert_eq!(core.run(0), Leave::Stop);
    assert_eq!(count.load(Ordering::Relaxed), spawned);
}

/// Race 33: tasks that keep the worker's own ring full for ever do not starve the shared queue.
#[test]
fn race_33_the_shared_queue_is_not_starved() {
    fn respawn(core: &Arc<Core<NativeHost>>, stop: &Arc<AtomicU32>, turns: &Arc<AtomicU32>) -> Task {
        let (core, stop, turns) = (Arc::clone(core), Arc::clone(stop), Arc::clone(turns));
        Task::new(move || {
            turns.fetch_add(1, Ordering::Relaxed);
            if stop.load(Ordering::Relaxed) == 0 && turns.load(Ordering::Relaxed) < 1_000_000 {
                core.submit(respawn(&core, &stop, &turns));
            }
        })
    }
    let core = Arc::new(bare(1));
    let (stop, turns) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    core.submit(respawn(&core, &stop, &turns));
    let starter = {
        let (core, stop, turns) = (Arc::clone(&core), Arc::clone(&stop), Arc::clone(&turns));
        // Runs on the worker, after the first respawn: from then on the ring is never empty.
        move || {
            let (injector, stop) = (Arc::clone(&core), Arc::clone(&stop));
            let at = turns.load(Ordering::Relaxed);
            // From another thread, so that it goes to the injector.
            thread::spawn(move || {
                let closing = Arc::clone(&injector);
                injector.submit(Task::new(move || {
                    stop.swap(1, Ordering::Relaxed);
                    closing.close(false);
                }))
            })
            .join()
            .expect("no panic");
            turns.fetch_sub(at, Ordering::Relaxed);
        }
    };
    core.submit(Task::new(starter));
    assert_eq!(core.run(0), Leave::Stop);
    assert_eq!(stop.load(Ordering::Relaxed), 1);
    let turns = turns.load(Ordering::Relaxed);
    assert!(turns <= 200, "the shared task ran after {turns} turns of the ring");
}

/// Races 4, 5, 6 as far as the word goes: JS comes first, every message is handled once, and tasks still queued survive.
#[test]
fn messages_come_before_tasks() {
    let core = bare(1);
    let count = Arc::new(AtomicU32::new(0));
    for _ in 0..10 {
        let count = Arc::clone(&count);
        core.submit(Task::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
        }));
    }
    let word: &ThreadWord = core.host().word(0);
    word.message_posted();
    word.message_posted();
    assert_eq!(core.run(0), Leave::Messages);
    assert_eq!(count.load(Ordering::Relaxed), 0, "race 34: JS first");
    assert_eq!(word.message_done(), 1);
    assert_eq!(core.run(0), Leave::Messages, "race 5: two messages are two");
    assert_eq!(word.message_done(), 0);
    // Race 6: a message that is handled before it is counted.
    assert_eq!(word.message_done(), -1);
    word.message_posted();
    core.close(false);
    assert_eq!(core.run(0), Leave::Stop);
    assert_eq!(count.load(Ordering::Relaxed), 10);
}

#[test]
fn mixed_stress_runs_every_task_once() {
    const OUTSIDE: u64 = 20_000;
    const INSIDE: u64 = 4;
    for threads in [1, 2, 4, 8] {
        let pool = ThreadPool::with_threads(threads).expect("threads");
        let seen: Arc<Vec<AtomicU32>> = Arc::new((0..OUTSIDE * (INSIDE + 1)).map(|_| AtomicU32::new(0)).collect());
        let submitters: Vec<_> = (0..2)
            .map(|half| {
                let (pool, seen) = (pool.clone(), Arc::clone(&seen));
                thread::spawn(move || {
                    for task in (half..OUTSIDE).step_by(2) {
                        let (inner, seen) = (pool.clone(), Arc::clone(&seen));
                        pool.spawn_detached(move || {
                            let base = task * (INSIDE + 1);
                            seen[base as usize].fetch_add(1, Ordering::Relaxed);
                            for child in 1..=INSIDE {
                                let seen = Arc::clone(&seen);
                                inner.spawn_detached(move || {
                                    seen[(base + child) as usize].fetch_add(1, Ordering::Relaxed);
                                });
                            }
                        });
                    }
                })
            })
            .collect();
        submitters.into_iter().for_each(|submitter| submitter.join().expect("no panic"));
        wait_until("running all tasks", || seen.iter().all(|times| times.load(Ordering::Relaxed) > 0));
        assert!(seen.iter().all(|times| times.load(Ordering::Relaxed) == 1));
    }
}

/// Race 1, directed (M1): one task at a time, submitted at the moment the worker goes to sleep after the one before.
#[test]
fn race_1_a_task_at_the_parking_edge_is_never_lost() {
    let pool = ThreadPool::with_threads(1).expect("threads");
    let done = Arc::new(AtomicU32::new(0));
    for round in 0..60_000_u32 {
        let inner = Arc::clone(&done);
        pool.spawn_detached(move || {
            inner.swap(round + 1, Ordering::Release);
        });
        let start = Instant::now();
        while done.load(Ordering::Acquire) != round + 1 {
            assert!(start.elapsed() < Duration::from_secs(30), "task {round} was lost");
            core::hint::spin_loop();
        }
        // A varying pause, so that the next push meets every step of the way to sleep.
        for _ in 0..round % 257 {
            core::hint::spin_loop();
        }
    }
}

/// Race 20: a task that waits for tasks in its own ring, deep enough that every worker waits.
#[test]
fn race_20_joining_ones_own_tasks_does_not_deadlock() {
    fn fib(pool: &ThreadPool, n: u64) -> u64 {
        if n < 2 {
            return n;
        }
        let inner = pool.clone();
        let mut left = pool.spawn(move || fib(&inner, n - 1));
        let right = fib(pool, n - 2);
        left.join().expect("no panic") + right
    }
    for threads in [1, 3] {
        let pool = ThreadPool::with_threads(threads).expect("threads");
        let inner = pool.clone();
        assert_eq!(pool.spawn(move || fib(&inner, 18)).join().expect("no panic"), 2584);
    }
}

/// Race 18: with unwinding the handle gets the panic, and the pool goes on.
#[test]
fn race_18_a_panic_reaches_its_handle_and_nobody_else() {
    let pool = ThreadPool::with_threads(2).expect("threads");
    let error = pool.spawn(|| -> u32 { panic!("number {}", 7) }).join().expect_err("it panicked");
    assert_eq!(error.panic_message(), Some("number 7"));
    pool.spawn_detached(|| panic!("nobody waits for this"));
    for i in 0..100_u64 {
        assert_eq!(pool.spawn(move || i).join().expect("no panic"), i);
    }
}

/// Race 12 and the idle pool: nobody is woken when nothing happens.
#[test]
fn race_12_an_idle_pool_stays_asleep() {
    let pool = ThreadPool::with_threads(4).expect("threads");
    let sum: u64 = (0..100_u64).map(|i| pool.spawn(move || i)).map(|mut task| task.join().expect("no panic")).sum();
    assert_eq!(sum, 4950);
    let slept = |pool: &ThreadPool| pool.stats().iter().map(|worker| worker.slept).sum::<u64>();
    thread::sleep(Duration::from_millis(200));
    let before = slept(&pool);
    thread::sleep(Duration::from_millis(500));
    assert_eq!(slept(&pool), before);
}

#[test]
fn large_values_and_large_closures_arrive() {
    let pool = ThreadPool::with_threads(2).expect("threads");
    let input = [7_u64; 100];
    let mut task = pool.spawn(move || input.map(|x| x + 1));
    assert_eq!(task.join().expect("no panic"), [8; 100]);
}

#[test]
fn a_value_is_taken_once_and_dropped_once() {
    let pool = ThreadPool::with_threads(1).expect("threads");
    let value = Arc::new(());
    let task = || {
        let value = Arc::clone(&value);
        pool.spawn(move || value)
    };
    let mut taken = task();
    assert!(taken.join().is_ok());
    assert!(taken.try_join().is_some_and(|again| again.is_err()));
    drop(task());
    let unread = task();
    wait_until("the task", || unread.is_finished());
    drop(unread);
    wait_until("dropping the values", || Arc::strong_count(&value) == 1);
}

#[test]
fn tasks_outlive_the_last_handle_of_their_pool() {
    let pool = ThreadPool::with_threads(2).expect("threads");
    let count = Arc::new(AtomicU64::new(0));
    for _ in 0..1000 {
        let count = Arc::clone(&count);
        pool.spawn_detached(move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
    }
    drop(pool);
    wait_until("draining", || count.load(Ordering::Relaxed) == 1000);
}

#[test]
fn numbers_of_threads_out_of_bounds_are_refused() {
    for threads in [0, 33] {
        let error = ThreadPool::with_threads(threads).expect_err("refused");
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    }
}

/// Race 18, where panics abort: jobs of a dead thread are completed in its place, once, and nobody else's.
#[test]
fn race_18_the_jobs_of_a_dead_thread_are_trapped() {
    const DEAD: u32 = 65_000;
    let (queued, waiting) = crate::job::JobRef::new::<NativeHost, _, _>(|| std::boxed::Box::new(1));
    let (untouched, also_waiting) = crate::job::JobRef::new::<NativeHost, _, _>(|| 2);
    assert!(queued.header().claim(DEAD), "the dead thread has it");
    let (running, _handle) = crate::job::JobRef::new::<NativeHost, _, _>(|| 3);
    assert!(running.header().claim(DEAD - 1), "another has this one");
    // SAFETY: no thread has this number.
    let trapped = unsafe { crate::slab::trap_all(DEAD, "out of luck") };
    assert_eq!(trapped, 1);
    assert!(!running.header().state().done(), "another thread's job is not touched");
    let mut handle = crate::handle::Handle::<std::boxed::Box<i32>, NativeHost>::new(waiting);
    match handle.join(None) {
        Some(Err(JoinError::Trapped(words))) => assert_eq!(words, "out of luck"),
        other => panic!("{other:?}"),
    }
    let mut handle = crate::handle::Handle::<i32, NativeHost>::new(also_waiting);
    untouched.run_if_queued(0);
    assert_eq!(handle.join(None).expect("no time-out").expect("it ran"), 2);
    // The closure of the trapped job went with its thread; its queue's reference goes now.
    drop(queued);
}

/// Races 11, 14, M11: a worker dies between claiming a sleeper and calling it. Without the reaper's call to everybody the sleeper is listed
/// as a searcher for ever, and nobody wakes anybody.
#[test]
fn race_14_a_waker_that_died_freezes_nobody() {
    let core = Arc::new(bare(2));
    let worker = {
        let core = Arc::clone(&core);
        thread::spawn(move || core.run(0))
    };
    wait_until("worker 0 sleeps", || core.sleeping_worker() == Some(0) && core.host().word(0).load().parked());
    // Worker 1 claims it, and dies.
    core.claim_and_die();
    let ran = Arc::new(AtomicU32::new(0));
    let inner = Arc::clone(&ran);
    core.submit(Task::new(move || {
        inner.fetch_add(1, Ordering::Relaxed);
    }));
    core.bury(1);
    wait_until("the task has run", || ran.load(Ordering::Relaxed) == 1);
    core.close(false);
    assert_eq!(worker.join().expect("no panic"), Leave::Stop);
    core.left(0);
    assert!(core.ended().is_set());
}

/// Race 21: two tasks that wait for one another are told.
#[test]
fn race_21_a_circle_of_waiters_is_found() {
    use std::sync::Mutex;

    type Slot = Arc<Mutex<Option<crate::JoinHandle<bool>>>>;
    let pool = ThreadPool::with_threads(2).expect("two threads");
    let slots: [Slot; 2] = [Arc::default(), Arc::default()];
    let started = Arc::new(AtomicU32::new(0));
    let spawn = |other: &Slot| {
        let (other, started) = (Arc::clone(other), Arc::clone(&started));
        pool.spawn(move || {
            started.fetch_add(1, Ordering::Relaxed);
            wait_until("both run", || started.load(Ordering::Relaxed) == 2);
            let mut handle = loop {
                if let Some(handle) = other.lock().expect("no panic").take() {
                    break handle;
                }
                thread::yield_now();
            };
            matches!(handle.join(), Err(JoinError::Deadlock))
        })
    };
    let (first, second) = (spawn(&slots[1]), spawn(&slots[0]));
    *slots[0].lock().expect("no panic") = Some(first);
    *slots[1].lock().expect("no panic") = Some(second);
    // Both end, because one of them at least is told; the other gets that one's value.
    let end = pool.shutdown(crate::Shutdown::Drain);
    wait_until("the circle's end", || end.is_finished());
}

/// Races 28, 29: shutting down, with tasks that spawn tasks, from several threads that go on submitting: what was accepted runs, what was
/// refused says so, and the numbers add up.
#[test]
fn race_28_what_was_accepted_runs_and_the_rest_is_told() {
    for round in 0..50 {
        let pool = ThreadPool::with_threads(3).expect("three threads");
        let run = Arc::new(AtomicU64::new(0));
        let submitters: Vec<_> = (0..3)
            .map(|_| {
                let (pool, run) = (pool.clone(), Arc::clone(&run));
                thread::spawn(move || {
                    let mut accepted = 0_u64;
                    loop {
                        let (inner, children) = (pool.clone(), Arc::clone(&run));
                        let task = move || {
                            let run = Arc::clone(&children);
                            inner.spawn_detached(move || {
                                run.fetch_add(1, Ordering::Relaxed);
                            });
                            children.fetch_add(1, Ordering::Relaxed);
                        };
                        match pool.try_spawn_detached(crate::Priority::Normal, task) {
                            Ok(()) => accepted += 1,
                            Err(crate::Closed) => return accepted,
                        }
                    }
                })
            })
            .collect();
        thread::sleep(Duration::from_micros(50 * round));
        let end = pool.shutdown(crate::Shutdown::Drain);
        let accepted: u64 = submitters.into_iter().map(|thread| thread.join().expect("no panic")).sum();
        end.wait().expect("this thread may block");
        assert_eq!(run.load(Ordering::Relaxed), 2 * accepted, "round {round}");
        let metrics = pool.metrics();
        assert_eq!(metrics.workers.iter().map(|worker| worker.run).sum::<u64>(), 2 * accepted);
        assert!(matches!(pool.spawn(|| 1).join(), Err(JoinError::Closed)));
    }
}

#[test]
fn discarded_tasks_tell_their_handles_and_the_numbers_add_up() {
    let pool = ThreadPool::with_threads(2).expect("two threads");
    let (gate, started) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let blockers: Vec<_> = (0..2)
        .map(|_| {
            let (gate, started) = (Arc::clone(&gate), Arc::clone(&started));
            pool.spawn(move || {
                started.fetch_add(1, Ordering::Relaxed);
                wait_until("the gate opens", || gate.load(Ordering::Relaxed) == 1);
            })
        })
        .collect();
    wait_until("both run", || started.load(Ordering::Relaxed) == 2);
    let handles: Vec<_> = (0..500).map(|i| pool.spawn(move || i)).collect();
    let end = pool.shutdown(crate::Shutdown::Discard);
    gate.store(1, Ordering::Relaxed);
    end.wait().expect("this thread may block");
    assert!(blockers.into_iter().all(|mut blocker| blocker.join().is_ok()), "what runs is left to its end");
    let cancelled = handles
        .into_iter()
        .map(|mut handle| handle.join())
        .filter(|result| matches!(result, Err(JoinError::Cancelled)))
        .count();
    let discarded: u64 = pool.metrics().workers.iter().map(|worker| worker.discarded).sum();
    assert_eq!((cancelled, discarded), (500, 500));
}

#[test]
fn cancelling_drops_what_is_queued_and_tells_what_runs() {
    let pool = ThreadPool::with_threads(1).expect("one thread");
    let (gate, held) = (Arc::new(AtomicU32::new(0)), Arc::new(()));
    let inner = Arc::clone(&gate);
    let mut running = pool.spawn_cancellable(crate::Priority::Normal, move |token| {
        inner.store(1, Ordering::Relaxed);
        wait_until("it is cancelled", || token.is_cancelled());
        "early"
    });
    wait_until("it runs", || gate.load(Ordering::Relaxed) == 1);
    let captured = Arc::clone(&held);
    let mut queued = pool.spawn(move || Arc::strong_count(&captured));
    assert!(queued.cancel(), "it was queued");
    assert_eq!(Arc::strong_count(&held), 1, "its closure is dropped at once");
    assert!(matches!(queued.join(), Err(JoinError::Cancelled)));
    assert!(running.join_timeout(Duration::from_millis(5)).is_none());
    assert!(!running.cancel(), "it runs");
    assert_eq!(running.join().expect("it returned"), "early");
}

/// Race 54 and starvation: high ones first, background ones last, and neither level waits for ever.
#[test]
fn race_54_priorities_order_and_do_not_starve() {
    use crate::Priority;
    use std::sync::Mutex;

    let core = bare(1);
    let order = Arc::new(Mutex::new(Vec::new()));
    let submit = |priority, name: char| {
        let order = Arc::clone(&order);
        let task = Task::new(move || order.lock().expect("no panic").push(name));
        assert!(core.submit_at(priority, task).is_ok());
    };
    for _ in 0..5 {
        submit(Priority::Background, 'b');
        submit(Priority::Normal, 'n');
        submit(Priority::High, 'h');
    }
    // Enough of both that the rare turns come.
    for _ in 0..1500 {
        submit(Priority::High, 'h');
    }
    core.close(false);
    assert_eq!(core.run(0), Leave::Stop);
    let order = order.lock().expect("no panic");
    assert_eq!(order.len(), 1515);
    assert_eq!(order[0], 'h');
    let first = |name| order.iter().position(|other| *other == name).expect("it ran");
    assert_eq!(first('n'), 60, "every 61st turn a normal one comes first");
    assert_eq!(first('b'), 508, "every 509th turn a background one");
}

/// Race 16: a worker dies while it steals. The ring is open again after the reaper, and what is in it runs.
#[test]
fn race_16_a_worker_that_died_while_stealing_closes_no_ring() {
    let core = Arc::new(bare(2));
    let count = Arc::new(AtomicU32::new(0));
    let (inner, ran) = (Arc::clone(&core), Arc::clone(&count));
    let looks = Arc::new(AtomicU32::new(9));
    let seen = Arc::clone(&looks);
    core.submit(Task::new(move || {
        for _ in 0..10 {
            let ran = Arc::clone(&ran);
            inner.submit(Task::new(move || {
                ran.fetch_add(1, Ordering::Relaxed);
            }));
        }
        // Worker 1 takes its turn, and dies.
        let looks_empty = || inner.host().lane(0).ring.stealer().is_empty();
        inner.host().lane(0).ring.stealer_numbered(2).begin_turn_and_die();
        let before = looks_empty();
        inner.bury(1);
        // A panic in here would be caught.
        seen.store(u32::from(before) | u32::from(looks_empty()) << 1, Ordering::Relaxed);
    }));
    core.close(false);
    assert_eq!(core.run(0), Leave::Stop);
    assert_eq!(count.load(Ordering::Relaxed), 10);
    assert_eq!(looks.load(Ordering::Relaxed), 1, "it looked empty, and is seen again");
}

/// Race 19: a panic in the pool's own code ends the process, by a signal and not by the exit of a failed test.
#[test]
fn race_19_a_panic_in_the_pools_own_code_ends_the_process() {
    const CHILD: &str = "WEBLANE_TEST_PANIC_INSIDE";
    if std::env::var_os(CHILD).is_some() {
        crate::scheduler::unless_it_panics(|| panic!("on purpose"));
    }
    assert_eq!(crate::scheduler::unless_it_panics(|| 5), 5);
    let mut child = std::process::Command::new(std::env::current_exe().expect("this test"));
    let name = "race_19_a_panic_in_the_pools_own_code_ends_the_process";
    let output = child.args([name, "--nocapture"]).env(CHILD, "1").output().expect("a child");
    let said = std::string::String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && output.status.code() != Some(101), "{:?}: {said}", output.status);
    assert!(said.contains("on purpose") && said.contains("a bug of the pool"), "{said}");
}

/// Race 16: a worker dies with jobs that it has taken from the shared queue, one on its stack, the others in its ring. All of them are run, each once, and their handles say so; the
/// detached one that was on its stack is lost, and nothing else.
#[test]
fn race_16_what_a_dead_worker_carried_is_run_by_another() {
    let core = bare(2);
    let ran = Arc::new(AtomicU32::new(0));
    let (mut handles, mut carried) = (Vec::new(), Vec::new());
    let carry = || crate::worker::Worker::new(&core, 0).pop_injector(crate::Priority::Normal).expect("a task");
    for _ in 0..4 {
        let ran = Arc::clone(&ran);
        let (queued, waiting) = crate::job::JobRef::of_pool::<NativeHost, _, _>(core.tag(), move || {
            ran.fetch_add(1, Ordering::Relaxed);
        });
        let queued = crate::job::QueuedJob::<NativeHost>::new(queued);
        core.submit(Task::new(move || queued.run()));
        handles.push(crate::handle::Handle::<(), NativeHost>::new(waiting));
    }
    carried.push(carry());
    assert!(!core.host().lane(0).ring.stealer().is_empty(), "some are in its ring");
    let detached = Arc::clone(&ran);
    core.submit(Task::new(move || {
        detached.fetch_add(100, Ordering::Relaxed);
    }));
    while core.host().lane(1).ring.stealer().is_empty() && !core.injector.all_empty() {
        carried.push(carry());
    }
    // It dies here. What the reaper does:
    for job in crate::slab::unclaimed(core.tag()) {
        let queued = crate::job::QueuedJob::<NativeHost>::new(job);
        core.queue_again(Task::new(move || queued.run()));
    }
    core.bury(0);
    assert!(core.host().lane(0).ring.stealer().is_empty(), "its ring was emptied");
    core.close(false);
    assert_eq!(core.run(1), Leave::Stop);
    for mut handle in handles {
        assert!(matches!(handle.try_join(), Some(Ok(()))));
    }
    let ran = ran.load(Ordering::Relaxed);
    assert!(ran % 100 == 4, "{ran}");
    carried.into_iter().for_each(core::mem::forget);
}

/// The same from another side: only jobs of that pool, that nobody has claimed and somebody waits for, are queued again.
#[test]
fn jobs_of_others_are_not_queued_again() {
    let (core, other) = (bare(1), bare(1));
    assert_ne!(core.tag(), other.tag());
    let job = |core: &Core<NativeHost>| crate::job::JobRef::of_pool::<NativeHost, _, _>(core.tag(), || ());
    let (mine, claimed, others) = (job(&core), job(&core), job(&other));
    assert!(claimed.0.header().claim(7));
    assert_eq!(crate::slab::unclaimed(core.tag()).count(), 1);
    drop((mine, others));
    assert_eq!(crate::slab::unclaimed(core.tag()).count(), 0);
    // SAFETY: just claimed.
    unsafe { claimed.0.header().run() };
    assert_eq!(crate::slab::unclaimed(core.tag()).count(), 0);
}
