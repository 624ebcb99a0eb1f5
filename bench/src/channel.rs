//! Channels: one or two senders as fast as they can, one receiver; and one thread alone.

use std::hint::black_box;
use std::sync::{Arc, Barrier};

use weblane_pool::ThreadPool;
use weblane_sync::channel;

use crate::{Clock, Contender, Row, side_by_side};

/// Values of every round.
const VALUES: u64 = 1 << 18;
/// Of the bounded channels.
const CAPACITY: usize = 1024;

/// What all contenders can do, waiting in their own ways.
trait Channel: 'static {
    type Sender: Send + Clone + 'static;
    type Receiver: Send + 'static;
    fn new() -> (Self::Sender, Self::Receiver);
    fn send(sender: &Self::Sender, value: u64);
    fn recv(receiver: &Self::Receiver) -> Option<u64>;
}

/// Nanoseconds for one value from one of so many senders to the calling thread.
fn from<C: Channel>(pool: &ThreadPool, clock: Clock, senders: u64) -> f64 {
    let (sender, receiver) = C::new();
    let barrier = Arc::new(Barrier::new(1 + senders as usize));
    for by in 0..senders {
        let (sender, barrier) = (sender.clone(), Arc::clone(&barrier));
        pool.spawn_detached(move || {
            barrier.wait();
            for value in (by * VALUES / senders)..((by + 1) * VALUES / senders) {
                C::send(&sender, value);
            }
        });
    }
    drop(sender);
    barrier.wait();
    let start = clock();
    let mut sum = 0;
    while let Some(value) = C::recv(&receiver) {
        sum += value;
    }
    let took = clock() - start;
    assert_eq!(sum, VALUES * (VALUES - 1) / 2, "each value came once");
    took * 1e6 / VALUES as f64
}

/// Nanoseconds for one send and one receive by one thread.
fn alone<C: Channel>(clock: Clock) -> f64 {
    let (sender, receiver) = C::new();
    let start = clock();
    for value in 0..VALUES {
        C::send(&sender, black_box(value));
        black_box(C::recv(&receiver));
    }
    (clock() - start) * 1e6 / VALUES as f64
}

macro_rules! channel {
    ($name:ident, $sender:ty, $receiver:ty, $make:expr) => {
        struct $name;

        impl Channel for $name {
            type Sender = $sender;
            type Receiver = $receiver;
            fn new() -> (Self::Sender, Self::Receiver) {
                $make
            }
            #[inline]
            fn send(sender: &Self::Sender, value: u64) {
                if sender.send(value).is_err() {
                    panic!("the receiver is there");
                }
            }
            #[inline]
            fn recv(receiver: &Self::Receiver) -> Option<u64> {
                receiver.recv().ok()
            }
        }
    };
}

channel!(Bounded, channel::Sender<u64>, channel::Receiver<u64>, channel::bounded(CAPACITY));
channel!(Unbounded, channel::Sender<u64>, channel::Receiver<u64>, channel::unbounded());
channel!(
    StdBounded,
    std::sync::mpsc::SyncSender<u64>,
    std::sync::mpsc::Receiver<u64>,
    std::sync::mpsc::sync_channel(CAPACITY)
);
channel!(StdUnbounded, std::sync::mpsc::Sender<u64>, std::sync::mpsc::Receiver<u64>, std::sync::mpsc::channel());
channel!(
    CrossbeamBounded,
    crossbeam_channel::Sender<u64>,
    crossbeam_channel::Receiver<u64>,
    crossbeam_channel::bounded(CAPACITY)
);
channel!(
    CrossbeamUnbounded,
    crossbeam_channel::Sender<u64>,
    crossbeam_channel::Receiver<u64>,
    crossbeam_channel::unbounded()
);
channel!(FlumeBounded, flume::Sender<u64>, flume::Receiver<u64>, flume::bounded(CAPACITY));
channel!(FlumeUnbounded, flume::Sender<u64>, flume::Receiver<u64>, flume::unbounded());

pub(crate) fn rows(pool: &ThreadPool, clock: Clock) -> Vec<Row> {
    fn bounded<'a>(run: impl Measure + 'a) -> Vec<Contender<'a>> {
        vec![
            ("weblane bounded", run.of::<Bounded>()),
            ("std sync_channel", run.of::<StdBounded>()),
            ("crossbeam bounded", run.of::<CrossbeamBounded>()),
            ("flume bounded", run.of::<FlumeBounded>()),
        ]
    }
    fn unbounded<'a>(run: impl Measure + 'a) -> Vec<Contender<'a>> {
        vec![
            ("weblane unbounded", run.of::<Unbounded>()),
            ("std channel", run.of::<StdUnbounded>()),
            ("crossbeam unbounded", run.of::<CrossbeamUnbounded>()),
            ("flume unbounded", run.of::<FlumeUnbounded>()),
        ]
    }
    let mut rows = side_by_side("channel_bounded_alone_ns", bounded(Alone(clock)));
    rows.extend(side_by_side("channel_bounded_1to1_ns", bounded(From(pool, clock, 1))));
    rows.extend(side_by_side("channel_bounded_2to1_ns", bounded(From(pool, clock, 2))));
    rows.extend(side_by_side("channel_unbounded_alone_ns", unbounded(Alone(clock))));
    rows.extend(side_by_side("channel_unbounded_1to1_ns", unbounded(From(pool, clock, 1))));
    rows.extend(side_by_side("channel_unbounded_2to1_ns", unbounded(From(pool, clock, 2))));
    rows
}

/// A measurement of any channel.
trait Measure: Copy {
    fn of<'a, C: Channel>(self) -> Box<dyn FnMut() -> f64 + 'a>
    where
        Self: 'a;
}

#[derive(Clone, Copy)]
struct Alone(Clock);

impl Measure for Alone {
    fn of<'a, C: Channel>(self) -> Box<dyn FnMut() -> f64 + 'a>
    where
        Self: 'a,
    {
        Box::new(move || alone::<C>(self.0))
    }
}

#[derive(Clone, Copy)]
struct From<'p>(&'p ThreadPool, Clock, u64);

impl Measure for From<'_> {
    fn of<'a, C: Channel>(self) -> Box<dyn FnMut() -> f64 + 'a>
    where
        Self: 'a,
    {
        Box::new(move || from::<C>(self.0, self.1, self.2))
    }
}
