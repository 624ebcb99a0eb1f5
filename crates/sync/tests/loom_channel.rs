//! Every interleaving of the channels: `RUSTFLAGS="--cfg loom" cargo test -p weblane-sync --release --test loom_channel`.
//!
//! A lost wake-up is a deadlock, which loom reports. So no model closes its channel while it is about wake-ups: closing wakes everybody.
#![cfg(loom)]
#![allow(missing_docs, reason = "tests")]

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc as RealArc, Mutex as RealMutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use loom::thread;
use weblane_futex::AtomicU32;
use weblane_sync::channel::{
    Closed, Receiver, RecvError, RecvTimeoutError, SendError, Sender, TryRecvError, TrySendError, bounded,
    bounded_starting_at, unbounded, unbounded_starting_at,
};

/// Every interleaving with up to `LOOM_MAX_PREEMPTIONS` preemptions, 2 unless set.
fn model(check: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(2));
    builder.check(move || {
        weblane_sync::begin_model();
        check();
    });
}

/// A waker that wakes a thread of the model.
struct Bell(AtomicU32);

impl Wake for Bell {
    fn wake(self: RealArc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
        weblane_futex::notify_all(&self.0);
    }
}

fn bell() -> RealArc<Bell> {
    RealArc::new(Bell(AtomicU32::new(0)))
}

fn poll<F: Future>(future: Pin<&mut F>, bell: &RealArc<Bell>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(&Waker::from(RealArc::clone(bell))))
}

/// Runs a future on this thread.
fn block_on<F: Future>(future: F) -> F::Output {
    let bell = bell();
    let mut future = pin!(future);
    loop {
        let seen = bell.0.load(Ordering::SeqCst);
        if let Poll::Ready(done) = poll(future.as_mut(), &bell) {
            return done;
        }
        weblane_futex::wait(&bell.0, seen, None).expect("may block");
    }
}

/// Which outcomes the executions of a model had.
#[derive(Clone, Default)]
struct Met(RealArc<RealMutex<std::collections::BTreeSet<&'static str>>>);

impl Met {
    fn note(&self, outcome: &'static str) {
        self.0.lock().unwrap().insert(outcome);
    }

    fn check(&self, expected: &[&'static str]) {
        let met = self.0.lock().unwrap();
        assert!(expected.iter().all(|outcome| met.contains(outcome)), "met {met:?}, expected {expected:?}");
    }
}

type Make<T> = fn() -> (Sender<T>, Receiver<T>);
/// One slot, next to the wrap of its positions; and blocks of two, next to the wrap of their lives.
const ONE: Make<u32> = || bounded_starting_at(1, u32::MAX);
const TWO: Make<u32> = || bounded(2);
const MANY: Make<u32> = || unbounded_starting_at(u32::MAX);

/// Races 1, 3 for channels: a value that comes while the receiver goes to sleep, and room that comes while the sender does. Wraps in both kinds.
#[test]
fn send_vs_recv_park() {
    for make in [ONE, MANY] {
        model(move || {
            let (sender, receiver) = make();
            let other = thread::spawn(move || {
                for value in 0..3 {
                    sender.send(value).unwrap();
                }
                sender
            });
            for value in 0..3 {
                assert_eq!(receiver.recv(), Ok(value));
            }
            other.join().unwrap();
        });
    }
}

/// The same with wakers on both sides.
#[test]
fn send_async_vs_recv_async() {
    for make in [ONE, MANY] {
        model(move || {
            let (sender, receiver) = make();
            let other = thread::spawn(move || {
                for value in 0..2 {
                    block_on(sender.send_async(value)).unwrap();
                }
                sender
            });
            for value in 0..2 {
                assert_eq!(block_on(receiver.recv_async()), Ok(value));
            }
            other.join().unwrap();
        });
    }
}

/// The last sender goes while the receiver goes to sleep: what was sent is received, and then he is told.
#[test]
fn close_vs_recv() {
    for make in [ONE, MANY] {
        model(move || {
            let (sender, receiver) = make();
            let other = thread::spawn(move || sender.try_send(5).unwrap());
            assert_eq!(receiver.recv(), Ok(5));
            assert_eq!(receiver.recv(), Err(RecvError::Closed));
            other.join().unwrap();
        });
        model(move || {
            let (sender, receiver) = make();
            let other = thread::spawn(move || drop(sender));
            assert_eq!(block_on(receiver.recv_async()), Err(Closed(())));
            other.join().unwrap();
        });
    }
}

/// "Closed" is said when everything was received and not before, by `try_recv` too; and a channel that is closed stays so.
#[test]
fn closed_is_the_last_answer() {
    for make in [TWO, MANY] {
        let met = Met::default();
        let log = met.clone();
        model(move || {
            let (sender, receiver) = make();
            let more = sender.clone();
            let others = [sender, more].map(|sender| thread::spawn(move || sender.try_send(1).unwrap()));
            let mut got = 0;
            for _ in 0..3 {
                match receiver.try_recv() {
                    Ok(value) => got += value,
                    Err(TryRecvError::Empty) => log.note("empty"),
                    Err(TryRecvError::Closed) => {
                        assert_eq!(got, 2, "all of it");
                        log.note("closed");
                    }
                }
            }
            others.into_iter().for_each(|other| other.join().unwrap());
            got += receiver.try_iter().sum::<u32>();
            assert_eq!(got, 2);
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
        });
        met.check(&["empty", "closed"]);
    }
}

/// The last receiver goes while a sender waits for room: he is told, and has his value back.
#[test]
fn close_vs_send_on_full() {
    model(|| {
        let (sender, receiver) = ONE();
        sender.try_send(1).unwrap();
        let other = thread::spawn(move || drop(receiver));
        assert_eq!(sender.send(2), Err(SendError::Closed(2)));
        other.join().unwrap();
    });
    let met = Met::default();
    let log = met.clone();
    model(move || {
        let (sender, receiver) = ONE();
        sender.try_send(1).unwrap();
        let other = thread::spawn(move || _ = receiver.try_recv());
        match block_on(sender.send_async(2)) {
            Ok(()) => log.note("sent"),
            Err(Closed(value)) => {
                assert_eq!(value, 2);
                log.note("closed");
            }
        }
        other.join().unwrap();
    });
    met.check(&["sent", "closed"]);
}

/// Waits until a bell has rung, and polls only then: who was not woken waits for ever.
fn once_woken<F: Future + Unpin>(future: &mut F, bell: &RealArc<Bell>) -> F::Output {
    let mut seen = 0;
    loop {
        weblane_futex::wait(&bell.0, seen, None).expect("may block");
        seen = bell.0.load(Ordering::SeqCst);
        if let Poll::Ready(done) = poll(Pin::new(future), bell) {
            return done;
        }
    }
}

/// A future that is dropped at any step of being woken: the other receiver gets the value.
#[test]
fn a_dropped_receiver_passes_its_wake_on() {
    for make in [ONE, MANY] {
        let met = Met::default();
        let log = met.clone();
        model(move || {
            let (sender, receiver) = make();
            let (mut first, mut stays) = (Box::pin(receiver.recv_async()), receiver.recv_async());
            let bells = [bell(), bell()];
            assert!(poll(first.as_mut(), &bells[0]).is_pending());
            assert!(poll(Pin::new(&mut stays), &bells[1]).is_pending());
            let sends = thread::spawn(move || {
                sender.try_send(7).unwrap();
                sender
            });
            // It has been the first in line from the beginning, and goes.
            drop(first);
            log.note(if bells[0].0.load(Ordering::Relaxed) == 1 { "woken" } else { "not woken" });
            assert_eq!(once_woken(&mut stays, &bells[1]), Ok(7));
            sends.join().unwrap();
        });
        met.check(&["woken", "not woken"]);
    }
}

/// The same for senders that wait for room.
#[test]
fn a_dropped_sender_passes_its_wake_on() {
    model(|| {
        let (sender, receiver) = ONE();
        sender.try_send(1).unwrap();
        let (mut first, mut stays) = (Box::pin(sender.send_async(2)), sender.send_async(3));
        let bells = [bell(), bell()];
        assert!(poll(first.as_mut(), &bells[0]).is_pending());
        assert!(poll(Pin::new(&mut stays), &bells[1]).is_pending());
        let receives = thread::spawn(move || {
            assert_eq!(receiver.try_recv(), Ok(1));
            receiver
        });
        drop(first);
        assert_eq!(once_woken(&mut stays, &bells[1]), Ok(()));
        let receiver = receives.join().unwrap();
        assert_eq!(receiver.try_recv(), Ok(3));
    });
}

/// A task of [`together`]: woken by itself, on a thread with others.
struct Task {
    woken: AtomicU32,
    any: RealArc<AtomicU32>,
}

impl Wake for Task {
    fn wake(self: RealArc<Self>) {
        self.woken.swap(1, Ordering::SeqCst);
        self.any.fetch_add(1, Ordering::SeqCst);
        weblane_futex::notify_all(&self.any);
    }
}

/// Runs futures on this thread, each polled only when it was woken: who waits for a lost wake-up waits for ever.
fn together<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let any = RealArc::new(AtomicU32::new(0));
    let task = |future| {
        let task = RealArc::new(Task { woken: AtomicU32::new(1), any: RealArc::clone(&any) });
        (Box::pin(future), task, None)
    };
    let mut tasks: Vec<_> = futures.into_iter().map(task).collect();
    loop {
        let seen = any.load(Ordering::SeqCst);
        for (future, task, output) in &mut tasks {
            if output.is_none() && task.woken.swap(0, Ordering::SeqCst) == 1 {
                let waker = Waker::from(RealArc::clone(task));
                if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                    *output = Some(done);
                }
            }
        }
        if tasks.iter().all(|(_, _, output)| output.is_some()) {
            return tasks.into_iter().filter_map(|(_, _, output)| output).collect();
        }
        weblane_futex::wait(&any, seen, None).expect("may block");
    }
}

/// Two receivers, two values by one sender: each gets one.
#[test]
fn two_receivers() {
    for make in [TWO, MANY] {
        model(move || {
            let (sender, receiver) = make();
            let sends = thread::spawn(move || {
                sender.try_send(1).unwrap();
                sender.try_send(2).unwrap();
                sender
            });
            let got = together([receiver.recv_async(), receiver.recv_async()]);
            assert_eq!(got.into_iter().map(Result::unwrap).sum::<u32>(), 3);
            sends.join().unwrap();
        });
    }
    // Threads, of which each can take the other's value.
    model(|| {
        let (sender, receiver) = TWO();
        let second = receiver.clone();
        let other = thread::spawn(move || second.recv().unwrap());
        sender.try_send(1).unwrap();
        sender.try_send(2).unwrap();
        assert_eq!(receiver.recv().unwrap() + other.join().unwrap(), 3);
    });
}

/// Races 10, 32: two senders, of which the first to claim may be the last to finish; two values then become visible by one publication, which
/// wakes one receiver. Both are received.
#[test]
fn race_32_two_senders_two_receivers() {
    for make in [TWO, MANY] {
        model(move || {
            let (sender, receiver) = make();
            let senders = [sender.clone(), sender].map(|sender| {
                thread::spawn(move || {
                    sender.try_send(1).unwrap();
                    sender
                })
            });
            assert_eq!(together([receiver.recv_async(), receiver.recv_async()]), [Ok(1), Ok(1)]);
            let _senders = senders.map(|sender| sender.join().unwrap());
        });
    }
}

/// The same for room: two receivers make room, two senders wait for it.
#[test]
fn race_32_two_receivers_make_room() {
    model(|| {
        let (sender, receiver) = TWO();
        sender.try_send(1).unwrap();
        sender.try_send(2).unwrap();
        let receivers = [receiver.clone(), receiver].map(|receiver| {
            thread::spawn(move || {
                receiver.try_recv().unwrap();
                receiver
            })
        });
        assert_eq!(together([sender.send_async(3), sender.send_async(4)]), [Ok(()), Ok(())]);
        let _receivers = receivers.map(|receiver| receiver.join().unwrap());
    });
}

/// Race 41 for channels: a time-out that comes together with the value loses neither the value nor a wake-up.
#[test]
fn race_41_time_out_vs_send() {
    for make in [ONE, MANY] {
        let met = Met::default();
        let log = met.clone();
        model(move || {
            let (sender, receiver) = make();
            let (stays, again, log) = (receiver.clone(), sender.clone(), log.clone());
            let timed = thread::spawn(move || {
                match receiver.recv_timeout(Duration::from_secs(1)) {
                    Ok(value) => {
                        log.note("received");
                        again.try_send(value).unwrap();
                    }
                    Err(RecvTimeoutError::TimedOut) => log.note("timed out"),
                    Err(other) => panic!("{other}"),
                }
                again
            });
            let mut future = Box::pin(stays.recv_async());
            let bell = bell();
            assert!(poll(future.as_mut(), &bell).is_pending());
            sender.try_send(7).unwrap();
            assert_eq!(once_woken(&mut future, &bell), Ok(7));
            timed.join().unwrap();
        });
        met.check(&["received", "timed out"]);
    }
}

/// A future polled by another waker, as when a task moves: the newer one is woken.
#[test]
fn a_waker_that_changes_vs_send() {
    model(|| {
        let (sender, receiver) = MANY();
        let mut future = pin!(receiver.recv_async());
        let sends = thread::spawn(move || {
            sender.try_send(7).unwrap();
            sender
        });
        if let Poll::Ready(value) = poll(future.as_mut(), &bell()) {
            assert_eq!(value, Ok(7));
        } else {
            assert_eq!(block_on(future), Ok(7));
        }
        sends.join().unwrap();
    });
}

/// Entering, being called and leaving, by two at once: the list has one keeper, and each request is settled.
#[test]
fn two_wakers_at_once() {
    model(|| {
        let (sender, receiver) = MANY();
        let bells = [bell(), bell()];
        let mut futures = [(); 2].map(|()| Box::pin(receiver.recv_async()));
        for (future, bell) in futures.iter_mut().zip(&bells) {
            assert!(poll(future.as_mut(), bell).is_pending());
        }
        let senders = [sender.clone(), sender].map(|sender| {
            thread::spawn(move || {
                sender.try_send(1).unwrap();
                sender
            })
        });
        let _senders = senders.map(|sender| sender.join().unwrap());
        assert_eq!(bells.map(|bell| bell.0.load(Ordering::Relaxed)), [1, 1], "each value wakes one");
        for future in &mut futures {
            assert_eq!(poll(future.as_mut(), &bell()), Poll::Ready(Ok(1)));
        }
    });
}

/// A value of which there is one.
struct Counted(RealArc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The receiver goes while values are under way: each is dropped once.
#[test]
fn dropped_once() {
    let makes: [Make<Counted>; 2] = [|| bounded(2), || unbounded()];
    for make in makes {
        model(move || {
            let dropped = RealArc::new(AtomicUsize::new(0));
            let (sender, receiver) = make();
            let counts = [(); 3].map(|()| Counted(RealArc::clone(&dropped)));
            let other = thread::spawn(move || {
                for value in counts {
                    match sender.try_send(value) {
                        Ok(()) => {}
                        Err(TrySendError::Full(value) | TrySendError::Closed(value)) => drop(value),
                    }
                }
            });
            drop(receiver.try_recv());
            drop(receiver);
            other.join().unwrap();
            assert_eq!(dropped.load(Ordering::Relaxed), 3);
        });
    }
}

/// Senders and receivers across the ends of blocks: who finds a block full brings the next one; blocks are used again.
#[test]
fn blocks_change_hands() {
    model(|| {
        let (sender, receiver) = MANY();
        sender.try_send(0).unwrap();
        let others = [1, 2].map(|value| {
            let sender = sender.clone();
            thread::spawn(move || sender.try_send(value).unwrap())
        });
        let mut got: Vec<_> = receiver.try_iter().collect();
        others.into_iter().for_each(|other| other.join().unwrap());
        got.extend(receiver.try_iter());
        assert_eq!(got[0], 0);
        got.sort_unstable();
        assert_eq!(got, [0, 1, 2]);
        assert_eq!(receiver.len(), 0);
    });
    model(|| {
        let (sender, receiver) = MANY();
        (0..2).for_each(|value| sender.try_send(value).unwrap());
        let second = receiver.clone();
        let takes = thread::spawn(move || second.try_recv().ok());
        let sends = thread::spawn(move || {
            (2..4).for_each(|value| sender.try_send(value).unwrap());
            sender
        });
        let mut got: Vec<_> = receiver.try_recv().into_iter().collect();
        got.extend(takes.join().unwrap());
        let _sender = sends.join().unwrap();
        got.extend(receiver.try_iter());
        got.sort_unstable();
        assert_eq!(got, [0, 1, 2, 3]);
    });
    // A block is used again by two threads only, in more steps.
    model(|| {
        let (sender, receiver) = MANY();
        let sends = thread::spawn(move || {
            (0..5).for_each(|value| sender.try_send(value).unwrap());
            sender
        });
        let mut got: Vec<_> = (0..4).filter_map(|_| receiver.try_recv().ok()).collect();
        let _sender = sends.join().unwrap();
        got.extend(receiver.try_iter());
        assert_eq!(got, [0, 1, 2, 3, 4]);
    });
}

/// A block comes again while a slow receiver is still to read his value in it: it is not used again before he is done. If he said so before he reads,
/// the value that comes into his slot would race with his reading, which loom's cells tell.
#[test]
fn a_block_waits_for_a_slow_receiver() {
    let met = Met::default();
    let log = met.clone();
    model(move || {
        let (sender, receiver) = MANY();
        // A full block, and another one after it, so that `head` can leave the first.
        (0..3).for_each(|value| sender.try_send(value).unwrap());
        let second = receiver.clone();
        let other = thread::spawn(move || {
            // Whoever takes the value in the second block has moved `head` there.
            let got: Vec<_> = (0..2).filter_map(|_| second.try_recv().ok()).collect();
            // The second block's other slot, and the first one of a third block: that is the first block, if all are done with it.
            (3..5).for_each(|value| sender.try_send(value).unwrap());
            (sender, second, got)
        });
        // The slow one: it has claimed its value, and the other thread does all of the above.
        let mine = receiver.try_recv().unwrap();
        let (_sender, _second, mut got) = other.join().unwrap();
        log.note(if mine == 0 && got == [1, 2] { "all others done" } else { "otherwise" });
        got.push(mine);
        got.extend(receiver.try_iter());
        got.sort_unstable();
        assert_eq!(got, [0, 1, 2, 3, 4]);
    });
    met.check(&["all others done", "otherwise"]);
}
