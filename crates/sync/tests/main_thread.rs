//! A thread that may not block, in a process of its own because the hook is process-wide.
#![cfg(not(loom))]
#![allow(missing_docs, reason = "tests")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use weblane_sync::{
    Barrier, Condvar, LazyLock, LockError, MayNotBlock, Mutex, NotYet, Once, OnceLock, Parker, RwLock, ThreadWord,
    WaitGroup, set_can_block,
};

/// A thread that may block, on which `work` is done, and that can be kept in the middle of it.
fn worker<R: Send + 'static>(work: impl FnOnce(Sender<()>, Receiver<()>) -> R + Send + 'static) -> Worker<R> {
    let (reached, is_reached) = channel();
    let (go, may_go) = channel();
    let thread = thread::Builder::new().name("worker".into()).spawn(move || work(reached, may_go)).expect("a thread");
    is_reached.recv().expect("it gets there");
    Worker { thread, go }
}

struct Worker<R> {
    thread: JoinHandle<R>,
    go: Sender<()>,
}

impl<R> Worker<R> {
    fn end(self) -> R {
        self.go.send(()).expect("it waits");
        self.thread.join().expect("no panic")
    }
}

fn only_workers_block() {
    set_can_block(|| thread::current().name() == Some("worker"));
}

#[test]
fn a_thread_that_may_not_block_never_waits() {
    only_workers_block();
    let shared = Arc::new((Mutex::new(0), Condvar::new()));
    *shared.0.lock().expect("free locks are for everybody") = 1;

    // Held by a worker for as long as we like: an error, in bounded time.
    let inner = Arc::clone(&shared);
    let worker = worker(move |reached, go| {
        let guard = inner.0.lock().expect("may block");
        reached.send(()).expect("the test waits");
        go.recv().expect("the test goes on");
        drop(guard);
        let guard = inner.1.wait_while(inner.0.lock().expect("may block"), |value| *value != 2).expect("may block");
        *guard
    });
    assert_eq!(shared.0.lock().err(), Some(LockError::MayNotBlock));
    assert_eq!(shared.0.lock_spinning(10).err(), Some(LockError::Held));
    assert!(shared.0.try_lock().is_none());
    worker.go.send(()).expect("the worker waits");

    // Race 42: released soon, it is ours without ever sleeping.
    let mut guard = loop {
        if let Ok(guard) = shared.0.lock() {
            break guard;
        }
    };

    // A condition gives the guard back, still locked.
    guard = shared.1.wait(guard).expect_err("may not block").into_guard().expect("still held");
    let refused = shared.1.wait_timeout(guard, Duration::from_secs(1)).expect_err("may not block");
    guard = refused.into_guard().expect("still held");
    let text = shared.1.wait_while(guard, |_| true).expect_err("may not block").to_string();
    assert!(text.contains("may not block"), "{text}");
    *shared.0.lock().expect("the error's guard is gone") = 2;
    shared.1.notify_all();
    assert_eq!(worker.thread.join().expect("no panic"), 2);

    let word = ThreadWord::new();
    assert_eq!(word.park(), Err(MayNotBlock));
    assert!(!word.load().parked());
}

#[test]
fn a_read_write_lock_refuses() {
    only_workers_block();
    let lock = Arc::new(RwLock::new(0));
    for writes in [true, false] {
        let inner = Arc::clone(&lock);
        let holder = worker(move |reached, go| {
            let guards = if writes { (inner.write().ok(), None) } else { (None, inner.read().ok()) };
            reached.send(()).expect("the test waits");
            go.recv().expect("the test goes on");
            drop(guards);
        });
        assert_eq!(lock.write().err(), Some(LockError::MayNotBlock));
        assert_eq!(lock.write_spinning(10).err(), Some(LockError::Held));
        assert_eq!(lock.read().err(), writes.then_some(LockError::MayNotBlock));
        assert_eq!(lock.read_spinning(10).err(), writes.then_some(LockError::Held));
        holder.end();
        assert!(lock.write().is_ok());
    }
}

#[test]
fn cells_refuse_while_another_thread_makes_the_value() {
    static LAZY: LazyLock<u32> = LazyLock::new(|| MAKE.lock().expect("free").take().expect("once")());
    static MAKE: Mutex<Option<Box<dyn FnOnce() -> u32 + Send>>> = Mutex::new(None);
    only_workers_block();
    let (reached, is_reached) = channel();
    let (go, may_go) = channel::<()>();
    *MAKE.lock().expect("free") = Some(Box::new(move || {
        reached.send(()).expect("the test waits");
        may_go.recv().expect("the test goes on");
        7
    }));
    let shared = Arc::new((OnceLock::new(), Once::new()));
    let inner = Arc::clone(&shared);
    let maker = thread::spawn(move || {
        inner.1.call_once(|| _ = inner.0.get_or_init(|| *LAZY)).expect("first");
    });
    is_reached.recv().expect("it gets there");

    assert_eq!((shared.1.call_once(|| ()), shared.1.call_once_spinning(10, || ())), (Err(MayNotBlock), Err(NotYet)));
    assert_eq!((shared.1.wait(), shared.1.wait_spinning(10)), (Err(LockError::MayNotBlock), Err(LockError::Held)));
    assert!(!shared.1.try_call_once(|| ()));
    assert_eq!((shared.0.get_or_init(|| 8), shared.0.get_or_init_spinning(10, || 8)), (Err(MayNotBlock), Err(NotYet)));
    assert_eq!((shared.0.wait(), shared.0.try_get_or_init(|| 8)), (Err(LockError::MayNotBlock), None));
    assert_eq!((LazyLock::force(&LAZY), LazyLock::force_spinning(&LAZY, 10)), (Err(MayNotBlock), Err(NotYet)));
    assert_eq!(shared.0.wait_spinning(10), Err(LockError::Held));
    assert_eq!(LazyLock::try_force(&LAZY), None);
    let payload = catch_unwind(AssertUnwindSafe(|| *LAZY)).expect_err("no error can be returned from there");
    let text = payload.downcast::<String>().expect("a text");
    assert!(text.contains("may not block") && text.contains("force_async"), "{text}");

    go.send(()).expect("it waits");
    maker.join().expect("no panic");
    assert_eq!((*LAZY, shared.0.get_or_init(|| 8), shared.1.wait()), (7, Ok(&7), Ok(())));
}

#[test]
fn barriers_parkers_and_groups_refuse_and_leave_no_trace() {
    only_workers_block();
    let (barrier, parker, group) = (Arc::new(Barrier::new(2)), Parker::new(), WaitGroup::new());
    assert_eq!(barrier.wait().err(), Some(MayNotBlock));
    assert_eq!((barrier.wait_spinning(10).err(), barrier.try_wait()), (Some(NotYet), None));
    let inner = Arc::clone(&barrier);
    let other = worker(move |reached, _| {
        reached.send(()).expect("the test waits");
        inner.wait().expect("may block").is_leader()
    });
    let leads = loop {
        if let Ok(result) = barrier.wait() {
            break result.is_leader();
        }
    };
    assert_ne!(other.thread.join().expect("no panic"), leads, "the refused arrivals did not count");

    assert_eq!((parker.park(), parker.park_timeout(Duration::ZERO)), (Err(MayNotBlock), Err(MayNotBlock)));
    parker.unpark();
    assert_eq!((parker.park(), parker.try_park()), (Ok(()), false));

    let member = group.add();
    assert_eq!((group.wait(), group.wait_spinning(10), group.try_wait()), (Err(MayNotBlock), Err(NotYet), false));
    drop(member);
    assert_eq!(group.wait(), Ok(()));
}
