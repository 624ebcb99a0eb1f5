//! loom models of fork and join. A lost wake-up is a deadlock in all of them, which loom reports.

use core::sync::atomic::Ordering;

use loom::sync::Arc;
use loom::thread;
use weblane_futex::AtomicU32;

use super::model::{ModelHost, Pool, as_seat, model, model_of_two_workers, pool_that_forks, start, wait_for};
use crate::fork::branch::{Branch, Lost, lost_before_mark, run_taken};
use crate::fork::hot;
use crate::fork::join::join_in;
use crate::host::Host;
use crate::scheduler::Core;

/// Runs `task` as if worker `me` had taken it from a queue, without the loop around it.
fn as_worker<R>(core: &Core<ModelHost>, me: usize, task: impl FnOnce() -> R) -> R {
    as_seat(core, me, || {
        let _stay = hot::enter(&core.host().lane(me).window);
        task()
    })
}

fn join<RA, RB>(a: impl FnOnce() -> RA, b: impl FnOnce() -> RB) -> (RA, RB) {
    join_in::<ModelHost, _, _, _, _>(a, b)
}

/// A thief that looks once at the window of worker 0, and runs what it takes as worker `me`.
fn one_theft(pool: &Pool, me: usize) -> thread::JoinHandle<bool> {
    let pool = Arc::clone(pool);
    thread::spawn(move || {
        as_worker(&pool, me, || {
            let Some(branch) = pool.host().lane(0).window.steal(0, &pool.host().lane(me).window) else {
                return false;
            };
            // SAFETY: just taken, by the thread that is worker `me`.
            unsafe { run_taken(&*pool, me, branch) };
            true
        })
    })
}

fn count(counter: &AtomicU32) -> impl FnOnce() -> u32 {
    move || counter.fetch_add(1, Ordering::AcqRel)
}

#[inline(never)]
fn deeper(run: impl FnOnce()) {
    let space = core::hint::black_box([0_u64; 64]);
    run();
    core::hint::black_box(space);
}

/// The owner's pop and a thief's claim of the same branch: it runs once, on one of both, and the owner gets its result.
#[test]
fn join_claim_vs_thief() {
    model(|| {
        let pool = pool_that_forks(2);
        let counter = AtomicU32::new(0);
        let thief = one_theft(&pool, 1);
        let (a, b) = as_worker(&pool, 0, || join(|| 5, count(&counter)));
        assert_eq!((a, b), (5, 0));
        thief.join().unwrap();
        assert_eq!(counter.load(Ordering::Acquire), 1);
    });
}

/// The same with two branches and two thieves: each branch once, the older one first.
#[test]
fn join_claim_vs_two_thieves() {
    model_of_two_workers(|| {
        let pool = pool_that_forks(3);
        let (outer, inner) = (AtomicU32::new(0), AtomicU32::new(0));
        let thieves = [one_theft(&pool, 1), one_theft(&pool, 2)];
        as_worker(&pool, 0, || join(|| join(|| (), count(&inner)), count(&outer)));
        for thief in thieves {
            thief.join().unwrap();
        }
        assert_eq!((outer.load(Ordering::Acquire), inner.load(Ordering::Acquire)), (1, 1));
    });
}

/// The slot of a branch that was claimed and whose pointer the thief has not read yet is not used again (the receipt). The window of a model
/// has two slots, so the third branch wants the first one's.
#[test]
fn window_slot_is_used_again_after_its_receipt() {
    model(|| {
        let pool = pool_that_forks(2);
        let counters = [0; 3].map(AtomicU32::new);
        let thief = one_theft(&pool, 1);
        let [first, second, third] = &counters;
        as_worker(&pool, 0, || join(|| join(|| join(|| (), count(third)), count(second)), count(first)));
        thief.join().unwrap();
        assert_eq!(counters.map(|counter| counter.load(Ordering::Acquire)), [1, 1, 1]);
    });
}

/// A stale claim: the thief has read the counts, the branch goes and another comes in its place. It takes the new one, or nothing.
#[test]
fn window_counts_go_away_and_come_back() {
    model(|| {
        let pool = pool_that_forks(2);
        let counters = [0; 2].map(AtomicU32::new);
        let thief = one_theft(&pool, 1);
        as_worker(&pool, 0, || {
            // The thief begins, at no cost of a preemption.
            assert_eq!(join(thread::yield_now, count(&counters[0])).1, 0);
            // In another place in memory, so that the two are not mistaken for one another.
            deeper(|| assert_eq!(join(|| (), count(&counters[1])).1, 0));
        });
        thief.join().unwrap();
        assert_eq!(counters.map(|counter| counter.load(Ordering::Acquire)), [1, 1]);
    });
}

/// Race 1 for branches: a branch that is exposed while the other worker goes to sleep. The first closure waits for the second, so
/// that nobody but the thief can help.
#[test]
fn lazy_join_promotion() {
    model(|| {
        let pool = pool_that_forks(2);
        let counter = Arc::new(AtomicU32::new(0));
        let worker = start(&pool, 1);
        as_worker(&pool, 0, || {
            let signal = || {
                counter.fetch_add(1, Ordering::Release);
                weblane_futex::notify_all(&counter);
            };
            join(|| wait_for(&counter, 1), signal)
        });
        pool.close(false);
        // The pool ends when every worker has come to its loop.
        assert_eq!(pool.run(0), crate::scheduler::Leave::Stop);
        worker.join().unwrap();
    });
}

/// Race 1 again, for a second branch beside the first: what the last searcher to find something leaves must wake somebody else, or
/// be seen by him.
#[test]
fn lazy_join_promotion_of_two() {
    model_of_two_workers(|| {
        let pool = pool_that_forks(2);
        let counter = Arc::new(AtomicU32::new(0));
        let worker = start(&pool, 1);
        as_worker(&pool, 0, || {
            let signal = || {
                counter.fetch_add(1, Ordering::Release);
                weblane_futex::notify_all(&counter);
            };
            join(|| join(|| wait_for(&counter, 2), signal), signal)
        });
        pool.close(false);
        // The pool ends when every worker has come to its loop.
        assert_eq!(pool.run(0), crate::scheduler::Leave::Stop);
        worker.join().unwrap();
    });
}

/// The owner waits for a branch that is running: the ring at its end is not lost, and the result is there.
#[test]
fn join_running() {
    model(|| {
        let pool = pool_that_forks(2);
        let thief = Arc::clone(&pool);
        // The branch is taken by hand, so that it is running for sure when the owner comes.
        let (stolen, taken) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let (at_thief, by_thief) = (Arc::clone(&stolen), Arc::clone(&taken));
        let thief = thread::spawn(move || {
            wait_for(&at_thief, 1);
            let branch = thief.host().lane(0).window.steal(0, &thief.host().lane(1).window).unwrap();
            by_thief.fetch_add(1, Ordering::Release);
            weblane_futex::notify_all(&by_thief);
            // SAFETY: just taken, by the thread that is worker 1.
            as_worker(&thief, 1, || unsafe { run_taken(&*thief, 1, branch) });
        });
        let (_, seven) = as_worker(&pool, 0, || {
            join(
                || {
                    stolen.fetch_add(1, Ordering::Release);
                    weblane_futex::notify_all(&stolen);
                    wait_for(&taken, 1);
                },
                || 7,
            )
        });
        assert_eq!(seven, 7);
        thief.join().unwrap();
    });
}

/// The owner sleeps for a branch in which the thief forks again and then waits for what he has forked: only the owner can run it. It
/// comes while the thief has claimed the branch and not said so, or later.
#[test]
fn join_running_helps_the_thief() {
    model(|| {
        let pool = pool_that_forks(2);
        let (taken, helped) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let signal = |counter: &AtomicU32| {
            counter.fetch_add(1, Ordering::Release);
            weblane_futex::notify_all(counter);
        };
        let inner = Arc::clone(&helped);
        let second = move || join(|| wait_for(&inner, 1), || signal(&inner));
        let core = Arc::clone(&pool);
        as_worker(&pool, 0, || {
            let window = &core.host().lane(0).window;
            let branch = Branch::new::<ModelHost>(0, second);
            // SAFETY: this thread is worker 0; the branch stays here until it is settled.
            assert!(unsafe { window.push(branch.as_pointer()) });
            let (thieves, by_thief) = (Arc::clone(&core), Arc::clone(&taken));
            let thief = thread::spawn(move || {
                let branch = thieves.host().lane(0).window.steal(0, &thieves.host().lane(1).window).unwrap();
                signal(&by_thief);
                // SAFETY: just taken, by the thread that is worker 1.
                as_worker(&thieves, 1, || unsafe { run_taken(&*thieves, 1, branch) });
            });
            wait_for(&taken, 1);
            // SAFETY: as above.
            assert!(!unsafe { window.pop() });
            crate::fork::join::wait_for(&*core, 0, branch.header());
            // SAFETY: as above; it was taken and is done.
            unsafe { window.settle() };
            thief.join().unwrap();
        });
    });
}

/// After a theft the owner's joins see that there is room: the hint is not lost while the owner sets it.
#[test]
fn window_hint_is_not_overlooked() {
    model(|| {
        let pool = pool_that_forks(2);
        let core = Arc::clone(&pool);
        let thief = one_theft(&pool, 1);
        as_worker(&pool, 0, || {
            let innermost = || {
                // It has run what it took, so it has left the hint.
                let _ = thief.join().unwrap();
                assert_eq!(hot::inline_only(), core.host().lane(0).window.is_full());
            };
            join(|| join(innermost, || ()), || ())
        });
    });
}

/// What belongs to the thief of a branch, and to the owner when it is done or lost: loom reports who comes too early.
struct Touched(loom::cell::UnsafeCell<u32>);
// SAFETY: as just said.
unsafe impl Sync for Touched {}
// SAFETY: a number.
unsafe impl Send for Touched {}

impl Touched {
    fn new() -> Arc<Touched> {
        Arc::new(Touched(loom::cell::UnsafeCell::new(0)))
    }

    fn by_thief(&self) {
        // SAFETY: it is the thief's.
        self.0.with_mut(|touched| unsafe { *touched = 1 });
    }

    fn by_owner(&self) {
        // SAFETY: it is the owner's.
        assert_eq!(self.0.with(|touched| unsafe { *touched }), 1);
    }
}

/// Race 16: a thief dies after its claim of a branch, before it has marked it; in one model before it has read the pointer, too. The owner learns that the branch is lost,
/// and can use its slot again.
fn a_thief_claims_and_dies(before_the_receipt: bool) {
    model(move || {
        let (pool, touched) = (pool_that_forks(2), Touched::new());
        let (thief, by_thief) = (Arc::clone(&pool), Arc::clone(&touched));
        let thief = thread::spawn(move || {
            let (victim, mine) = (&thief.host().lane(0).window, &thief.host().lane(1).window);
            let has_claimed =
                if before_the_receipt { victim.claim(0, mine).is_some() } else { victim.steal(0, mine).is_some() };
            if has_claimed {
                by_thief.by_thief();
            }
            has_claimed
        });
        let reaper = Arc::clone(&pool);
        let reaper = thread::spawn(move || {
            let claimed = thief.join().unwrap();
            reaper.bury(1);
            claimed
        });
        let lost = as_worker(&pool, 0, || {
            let window = &pool.host().lane(0).window;
            let branch = Branch::new::<ModelHost>(0, || ());
            // SAFETY: this thread is worker 0; the branch stays here until it is popped or settled.
            assert!(unsafe { window.push(branch.as_pointer()) });
            // SAFETY: as above.
            let lost = if unsafe { window.pop() } {
                // SAFETY: popped.
                let _ = unsafe { branch.into_closure() };
                false
            } else {
                crate::fork::join::wait_for(&*pool, 0, branch.header());
                // SAFETY: it was taken and is done.
                unsafe { window.settle() };
                touched.by_owner();
                branch.header().state().lost()
            };
            // The thief is dead: both slots are free.
            let claimed = reaper.join().unwrap();
            assert_eq!(lost, claimed);
            let again = [0; 2].map(|_| Branch::new::<ModelHost>(0, || ()));
            for branch in &again {
                // SAFETY: as above.
                assert!(unsafe { window.push(branch.as_pointer()) }, "a slot is lost");
            }
            for _ in &again {
                // SAFETY: as above.
                assert!(unsafe { window.pop() });
            }
            for branch in again {
                // SAFETY: popped.
                let _ = unsafe { branch.into_closure() };
            }
            lost
        });
        let _ = lost;
    });
}

#[test]
fn claimed_and_died() {
    a_thief_claims_and_dies(false);
}

#[test]
fn claimed_and_died_before_the_receipt() {
    a_thief_claims_and_dies(true);
}

/// Race 16: a thief dies while it runs a branch. Its owner learns that the branch is lost, after all that the thief has done with it.
#[test]
fn race_16_died_while_it_ran() {
    model(|| {
        let pool = pool_that_forks(2);
        let touched = Touched::new();
        let (died, buried) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let signal = |counter: &AtomicU32| {
            counter.fetch_add(1, Ordering::Release);
            weblane_futex::notify_all(counter);
        };
        as_worker(&pool, 0, || {
            let window = &pool.host().lane(0).window;
            let by_thief = (Arc::clone(&touched), Arc::clone(&died), Arc::clone(&buried));
            let branch = Branch::new::<ModelHost>(0, move || {
                let (touched, died, buried) = by_thief;
                touched.by_thief();
                // It is dead from here on; what follows when it is buried touches nothing that the owner does.
                signal(&died);
                wait_for(&buried, 1);
            });
            // SAFETY: this thread is worker 0; the branch stays here until it is settled.
            assert!(unsafe { window.push(branch.as_pointer()) });
            let taken = window.steal(0, &pool.host().lane(1).window).unwrap().expose_provenance();
            let core = Arc::clone(&pool);
            let thief = thread::spawn(move || {
                // SAFETY: taken just before, for the thread that is worker 1.
                as_worker(&core, 1, || unsafe { run_taken(&*core, 1, core::ptr::with_exposed_provenance(taken)) });
            });
            let core = Arc::clone(&pool);
            let reaper = thread::spawn(move || {
                wait_for(&died, 1);
                core.bury(1);
                signal(&buried);
            });
            // SAFETY: as above.
            assert!(!unsafe { window.pop() });
            crate::fork::join::wait_for(&*pool, 0, branch.header());
            assert!(branch.header().state().lost());
            touched.by_owner();
            reaper.join().unwrap();
            // The branch must stay until the thread has ended, which a dead one does not touch.
            thief.join().unwrap();
            // SAFETY: as above; it was taken and is done.
            unsafe { window.settle() };
        });
    });
}

/// The same branch wanted by a worker that died before it got it, and taken by one that lives: it is not lost.
#[test]
fn wanted_by_the_dead_claimed_by_the_living() {
    model(|| {
        let pool = pool_that_forks(3);
        pool.host().lane(2).window.want_and_die(0, 0);
        pool.bury(2);
        let counter = AtomicU32::new(0);
        let thief = one_theft(&pool, 1);
        let (_, b) = as_worker(&pool, 0, || join(|| (), count(&counter)));
        assert_eq!(b, 0);
        thief.join().unwrap();
        assert_eq!(counter.load(Ordering::Acquire), 1);
    });
}

/// The same, with the owner's look between the living thief's claim and his mark: he strikes out what he wanted while the owner looks, and the branch is his all the same.
#[test]
fn marked_while_the_owner_looks_for_the_dead() {
    model(|| {
        let pool = pool_that_forks(3);
        pool.host().lane(2).window.want_and_die(0, 0);
        pool.bury(2);
        let counter = AtomicU32::new(0);
        as_worker(&pool, 0, || {
            let window = &pool.host().lane(0).window;
            let branch = Branch::new::<ModelHost>(0, count(&counter));
            // SAFETY: this thread is worker 0; the branch stays here until it is popped or settled.
            assert!(unsafe { window.push(branch.as_pointer()) });
            let thief = one_theft(&pool, 1);
            // The thief begins, at no cost of a preemption.
            thread::yield_now();
            // SAFETY: as above.
            if unsafe { window.pop() } {
                // SAFETY: popped.
                drop(unsafe { branch.into_closure() });
            } else {
                let header = branch.header();
                let state = header.announce_sleeper();
                if state.thief().is_none() && !state.done() {
                    let _ = lost_before_mark(&*pool, 0, header);
                }
                crate::fork::join::wait_for(&*pool, 0, header);
                assert!(!header.state().lost(), "its thief lives");
                // SAFETY: it was taken and is done.
                unsafe { window.settle() };
            }
            thief.join().unwrap();
        });
    });
}

/// What a thief wanted and has had does not count for the next branch with the same number, whose thief dies.
#[test]
fn claimed_by_the_dead_after_the_living() {
    model(|| {
        let pool = pool_that_forks(3);
        as_worker(&pool, 0, || {
            let window = &pool.host().lane(0).window;
            let first = Branch::new::<ModelHost>(0, || ());
            // SAFETY: this thread is worker 0; the branches stay here until they are settled.
            assert!(unsafe { window.push(first.as_pointer()) });
            assert!(one_theft(&pool, 1).join().unwrap());
            // SAFETY: it was taken and is done.
            unsafe { window.settle() };
            let second = Branch::new::<ModelHost>(0, || ());
            // SAFETY: as above.
            assert!(unsafe { window.push(second.as_pointer()) });
            assert_eq!(window.claim(0, &pool.host().lane(2).window), Some(0));
            pool.bury(2);
            assert!(matches!(lost_before_mark(&*pool, 0, second.header()), Some(Lost::Yes)));
            assert!(second.header().state().lost());
            // SAFETY: as above.
            unsafe { window.settle() };
        });
    });
}
