//! loom models of single words that two threads change at once: no change is lost. (What hangs on them stands in the other models.)

use core::sync::atomic::Ordering;

use loom::sync::Arc;
use loom::thread;
use weblane_futex::AtomicU32;

use super::model::{ModelHost, model, pool, pool_that_forks};
use crate::fork::window::Window;
use crate::held::Held;
use crate::host::Host;
use crate::injector::{Injector, Priority};
use crate::scheduler::Core;
use crate::task::Task;

type Pool = Core<ModelHost>;

/// Runs `one` on a thread and `other` here, on the same thing.
fn at_once<T, A, B>(shared: &Arc<T>, one: impl FnOnce(&T) -> A + Send + 'static, other: impl FnOnce(&T) -> B) -> (A, B)
where
    T: Send + Sync + 'static,
    A: Send + 'static,
{
    let there = Arc::clone(shared);
    let thread = thread::spawn(move || one(&there));
    let here = other(shared);
    (thread.join().unwrap(), here)
}

/// Races 28 and 29: two close a pool at once. What both asked for holds, and the workers are told once: after that a word may be another pool's.
#[test]
fn race_28_closed_by_two() {
    model(|| {
        let pool = pool(1);
        pool.idle.announce_sleep(0, false);
        let close_and_leave = |pool: &Pool| {
            pool.close(false);
            let word = pool.host().word(0);
            let stopped = word.load().stop();
            if stopped {
                // As the next pool does.
                word.clear_stop();
            }
            stopped
        };
        let (left, ()) = at_once(&pool, close_and_leave, |pool| pool.close(true));
        assert!(pool.discards() && pool.is_closed() && pool.stopped());
        assert!(!(left && pool.host().word(0).load().stop()), "told twice");
    });
}

/// Race 29: the last two workers leave at once; the end is told.
#[test]
fn race_29_two_leave_at_once() {
    model(|| {
        let pool = pool(2);
        at_once(&pool, |pool: &Pool| pool.left(0), |pool| pool.left(1));
        assert!(pool.ended().is_set());
    });
}

/// Race 46: who rests is listed, and who does not is not, whatever the others do to their bits.
#[test]
fn race_46_two_change_who_rests() {
    model(|| {
        let held = Arc::new(Held::new());
        at_once(&held, |held| held.announce(0), |held| held.announce(1));
        assert_eq!(held.load(), 0b11);
        at_once(&held, |held| held.end(0), |held| held.announce(2));
        assert_eq!(held.load(), 0b110);
        let (claimed, ()) = at_once(&held, Held::claim, |held| held.announce(3));
        assert_eq!((claimed, held.load()), (Some(1), 0b1100));
    });
}

/// Race 1 for branches: helpers that announce themselves at once are both called, and one that goes away takes no other's place with it.
#[test]
fn helpers_come_and_go_at_once() {
    model(|| {
        let pool = pool_that_forks(1);
        fn window(pool: &Pool) -> &Window {
            &pool.host().lane(0).window
        }
        let add = |worker| move |pool: &Pool| window(pool).add_helper(worker);
        at_once(&pool, add(1), add(2));
        at_once(&pool, add(3), |pool| window(pool).remove_helper(1));
        let ((), called) = at_once(&pool, add(4), |pool| window(pool).call_helper());
        assert_eq!(called, Some(2));
        assert_eq!([(); 3].map(|()| window(&pool).call_helper()), [Some(3), Some(4), None]);
    });
}

/// Races 1 and 16 for branches: two ring a worker at once that waits for what both have done. A ring that is lost is a deadlock, which loom reports.
#[test]
fn two_ring_at_once() {
    model(|| {
        let pool = pool_that_forks(1);
        let done = Arc::new([AtomicU32::new(0), AtomicU32::new(0)]);
        let ringers = [0, 1].map(|which| {
            let (pool, done) = (Arc::clone(&pool), Arc::clone(&done));
            thread::spawn(move || {
                done[which].fetch_add(1, Ordering::Relaxed);
                pool.host().lane(0).window.ring();
            })
        });
        let window = &pool.host().lane(0).window;
        loop {
            let rings = window.rings();
            if done.iter().all(|done| done.load(Ordering::Relaxed) == 1) {
                break;
            }
            window.sleep(rings, None);
        }
        ringers.into_iter().for_each(|ringer| ringer.join().unwrap());
    });
}

/// Race 54: two levels are used for the first time at once; none is left out.
#[test]
fn race_54_two_levels_are_used_at_once() {
    model(|| {
        let injector = Arc::new(Injector::new());
        let push =
            |priority| move |injector: &Injector| assert!(injector.push(priority, Task::new(|| ()), false).is_ok());
        at_once(&injector, push(Priority::High), push(Priority::Background));
        let used = injector.in_use();
        assert!(used.has(Priority::High) && used.has(Priority::Background));
    });
}
