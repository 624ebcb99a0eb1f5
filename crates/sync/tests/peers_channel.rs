//! What the channels of `std`, crossbeam and flume promise by their own tests, asked of ours. Rewritten, not copied.
//!
//! Not promised here: `try_recv` right after a `send` by the same thread always finds something (crossbeam's "linearizable" with `try_recv`): another
//! thread's value may be next in turn and still on its way in. With `recv` it holds, below.
#![cfg(not(loom))]
#![allow(missing_docs, reason = "tests")]

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use weblane_sync::channel::{
    Receiver, RecvError, RecvTimeoutError, SendError, Sender, TryRecvError, bounded, unbounded,
};

fn kinds<T>() -> [(Sender<T>, Receiver<T>); 4] {
    [bounded(1), bounded(2), bounded(100), unbounded()]
}

/// std: a value of any kind goes through, to another thread and back, also another channel's end.
#[test]
fn a_channel_through_a_channel() {
    type Next = Box<dyn std::any::Any + Send>;
    for (mut sender, mut receiver) in kinds::<Next>() {
        for _ in 0..100 {
            let (next_sender, next_receiver) = bounded::<Next>(1);
            let carried: Next = Box::new(Some(next_receiver));
            let sends = thread::spawn(move || sender.send(carried).expect("open"));
            let mut carried = receiver.recv().expect("a channel");
            sends.join().expect("no panic");
            receiver = carried.downcast_mut::<Option<Receiver<Next>>>().and_then(Option::take).expect("a receiver");
            sender = next_sender;
        }
    }
}

/// std: whoever sleeps when the other side goes is told, by every clone.
#[test]
fn going_wakes_whoever_sleeps() {
    for (sender, receiver) in kinds::<u8>() {
        let sleepers: Vec<_> = (0..3)
            .map(|_| {
                let receiver = receiver.clone();
                thread::spawn(move || receiver.recv())
            })
            .collect();
        thread::sleep(Duration::from_millis(5));
        drop(sender);
        assert!(sleepers.into_iter().all(|sleeper| sleeper.join().expect("no panic") == Err(RecvError::Closed)));
    }
    let (sender, receiver) = bounded(1);
    sender.send(0).expect("open");
    let sleepers: Vec<_> = (1..4)
        .map(|value| {
            let sender = sender.clone();
            thread::spawn(move || sender.send(value) == Err(SendError::Closed(value)))
        })
        .collect();
    thread::sleep(Duration::from_millis(5));
    drop(receiver);
    assert!(sleepers.into_iter().all(|sleeper| sleeper.join().expect("no panic")));
}

/// std: iterators end with the channel; owned, borrowed, and those that do not wait.
#[test]
fn iterators_end() {
    let (sender, receiver) = unbounded();
    (0..3).for_each(|value| sender.send(value).expect("open"));
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(receiver.try_iter().next(), None);
    (3..6).for_each(|value| sender.send(value).expect("open"));
    assert_eq!((&receiver).into_iter().take(2).collect::<Vec<_>>(), [3, 4]);
    drop(sender);
    let mut rest = receiver.into_iter();
    assert_eq!((rest.next(), rest.next(), rest.next()), (Some(5), None, None));
}

/// std: a very long time-out is no overflow, a short one is kept.
#[test]
fn time_outs() {
    for (sender, receiver) in kinds() {
        let begun = Instant::now();
        assert_eq!(receiver.recv_timeout(Duration::from_millis(20)), Err(RecvTimeoutError::TimedOut));
        assert!(begun.elapsed() >= Duration::from_millis(20), "nobody else receives: the whole time");
        let sends = thread::spawn(move || {
            thread::sleep(Duration::from_millis(2));
            sender.send(1)
        });
        assert_eq!(receiver.recv_timeout(Duration::MAX), Ok(1));
        sends.join().expect("no panic").expect("open");
    }
}

/// crossbeam: `len` stays within the capacity whatever goes on, and is exact at rest.
#[test]
fn len_stays_within_the_capacity() {
    const VALUES: usize = 10_000;
    for (sender, receiver) in kinds() {
        let most = sender.capacity().unwrap_or(VALUES);
        let theirs = receiver.clone();
        let takes = thread::spawn(move || {
            for value in 0..VALUES {
                assert_eq!(theirs.recv(), Ok(value));
                assert!(theirs.len() <= most);
            }
        });
        for value in 0..VALUES {
            sender.send(value).expect("open");
            assert!(sender.len() <= most);
        }
        takes.join().expect("no panic");
        assert!(sender.is_empty() && receiver.is_empty());
    }
}

/// crossbeam: who sends and then receives gets something, however many do so.
#[test]
fn who_sends_can_receive() {
    for (sender, receiver) in [bounded(4), unbounded()] {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (sender, receiver) = (sender.clone(), receiver.clone());
                thread::spawn(move || {
                    for _ in 0..5000 {
                        sender.send(()).expect("open");
                        receiver.recv().expect("there are as many values as receives");
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    }
}

/// crossbeam: time-outs on both sides at once lose nothing and repeat nothing.
#[test]
fn time_outs_on_both_sides() {
    for (sender, receiver) in kinds() {
        let sends = thread::spawn(move || {
            for mut value in 0..200_u32 {
                if value % 50 == 0 {
                    thread::sleep(Duration::from_millis(3));
                }
                while let Err(error) = sender.send_timeout(value, Duration::from_millis(1)) {
                    value = error.into_inner();
                }
            }
        });
        let mut next = 0;
        loop {
            if next % 70 == 69 {
                thread::sleep(Duration::from_millis(3));
            }
            match receiver.recv_timeout(Duration::from_millis(1)) {
                Ok(value) => {
                    assert_eq!(value, next);
                    next += 1;
                }
                Err(RecvTimeoutError::TimedOut) => {}
                Err(error) => {
                    assert_eq!((error, next), (RecvTimeoutError::Closed, 200));
                    break;
                }
            }
        }
        sends.join().expect("no panic");
    }
}

struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// crossbeam: some values received, some left inside: each is dropped once.
#[test]
fn drops() {
    let mut random = 0x9e37_79b9_u32;
    for _ in 0..30 {
        for (sender, receiver) in kinds() {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (steps, extra) = (random >> 8 & 0x3ff, random >> 20 & 0x3f);
            let dropped = Arc::new(AtomicUsize::new(0));
            let (inner, takes) = (Arc::clone(&dropped), receiver.clone());
            let receives = thread::spawn(move || (0..steps).for_each(|_| drop(takes.recv().expect("open"))));
            (0..steps).for_each(|_| sender.send(Counted(Arc::clone(&inner))).map_err(drop).expect("open"));
            receives.join().expect("no panic");
            assert_eq!(dropped.load(Ordering::Relaxed), steps as usize);
            let extra = extra.min(sender.capacity().unwrap_or(usize::MAX) as u32);
            (0..extra).for_each(|_| sender.send(Counted(Arc::clone(&inner))).map_err(drop).expect("open"));
            assert_eq!(dropped.load(Ordering::Relaxed), steps as usize);
            drop((sender, receiver));
            assert_eq!(dropped.load(Ordering::Relaxed), (steps + extra) as usize);
        }
    }
}

/// A waker that unparks a thread and counts.
struct Unpark(thread::Thread, AtomicUsize);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current(), AtomicUsize::new(0))));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(done) => return done,
            Poll::Pending => thread::park(),
        }
    }
}

/// flume: a million values, async, in order, none lost.
#[test]
fn async_values_keep_their_order() {
    const VALUES: u64 = if cfg!(miri) { 100 } else { 200_000 };
    for (sender, receiver) in kinds() {
        let sends = thread::spawn(move || {
            block_on(async move {
                for value in 0..VALUES {
                    sender.send_async(value).await.expect("open");
                }
            });
        });
        block_on(async {
            for value in 0..VALUES {
                assert_eq!(receiver.recv_async().await, Ok(value));
            }
            assert!(receiver.recv_async().await.is_err());
        });
        sends.join().expect("no panic");
    }
}

/// flume: a receiver's future that was woken and is dropped does not swallow the wake-up of a thread that sleeps.
#[test]
fn a_dropped_future_wakes_a_thread() {
    for (sender, receiver) in kinds() {
        for round in 0..200 {
            let waker = Waker::from(Arc::new(Unpark(thread::current(), AtomicUsize::new(0))));
            let mut first = Box::pin(receiver.recv_async());
            assert!(first.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            let theirs = receiver.clone();
            let sleeps = thread::spawn(move || theirs.recv());
            if round % 2 == 0 {
                thread::sleep(Duration::from_micros(200));
            }
            sender.send(round).expect("open");
            drop(first);
            assert_eq!(sleeps.join().expect("no panic"), Ok(round));
        }
    }
}

/// flume: many async receivers on one channel, all fed and all told of the end.
#[test]
fn parallel_async_receivers() {
    for (sender, receiver) in kinds() {
        let receivers: Vec<_> = (0..4)
            .map(|_| {
                let receiver = receiver.clone();
                thread::spawn(move || {
                    block_on(async move {
                        let mut sum = 0_u64;
                        while let Ok(value) = receiver.recv_async().await {
                            sum += value;
                        }
                        sum
                    })
                })
            })
            .collect();
        drop(receiver);
        block_on(async move {
            for value in 0..20_000 {
                sender.send_async(value).await.expect("open");
            }
        });
        let sum: u64 = receivers.into_iter().map(|receiver| receiver.join().expect("no panic")).sum();
        assert_eq!(sum, 20_000 * 19_999 / 2);
    }
}
