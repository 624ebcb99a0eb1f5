//! The two single-producer single-consumer rings against a `VecDeque`, on sequences of calls that proptest makes up and, when one fails, shrinks.
//!
//! Every storage, every capacity from 1 to 9, and positions that begin anywhere, above all next to the wrap (race 30). Values count their drops.
#![cfg(not(loom))]
#![allow(missing_docs, reason = "tests")]

use std::cell::Cell;
use std::collections::VecDeque;
use std::mem::MaybeUninit;
use std::rc::Rc;

use proptest::prelude::*;
use weblane_ring::spsc::{self, stream};

/// One call. Counts are taken modulo a little more than the capacity.
#[derive(Clone, Copy, Debug)]
enum Call {
    Push,
    PushIter(usize),
    WriteChunk(usize, usize),
    Pop,
    Peek,
    ReadChunk(usize, usize),
    /// As `ReadChunk`, but by `next` and then the rest of the iterator is dropped.
    TakeSome(usize, usize),
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let pair = || (0..12usize, 0..12usize);
    prop::collection::vec(
        prop_oneof![
            3 => Just(Call::Push),
            2 => (0..12usize).prop_map(Call::PushIter),
            2 => pair().prop_map(|(count, used)| Call::WriteChunk(count, used)),
            4 => Just(Call::Pop),
            1 => Just(Call::Peek),
            2 => pair().prop_map(|(count, used)| Call::ReadChunk(count, used)),
            1 => pair().prop_map(|(count, used)| Call::TakeSome(count, used)),
        ],
        0..80,
    )
}

/// Next to the wrap, or anywhere.
fn positions() -> impl Strategy<Value = u32> {
    prop_oneof![(0..12u32).prop_map(|back| u32::MAX - back), Just(0), Just(i32::MAX as u32), any::<u32>()]
}

/// A value that counts those of its kind that live.
#[derive(Debug)]
struct Counted(u32, Rc<Cell<isize>>);

impl Counted {
    fn new(value: u32, live: &Rc<Cell<isize>>) -> Counted {
        live.set(live.get() + 1);
        Counted(value, Rc::clone(live))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.set(self.1.get() - 1);
    }
}

fn on_a_stream(
    (mut producer, mut consumer): (stream::Producer<'_, Counted>, stream::Consumer<'_, Counted>),
    calls: &[Call],
    live: &Rc<Cell<isize>>,
) -> Result<(), TestCaseError> {
    let capacity = producer.capacity();
    let (mut model, mut next) = (VecDeque::new(), 0);
    for call in calls {
        let (len, room) = (model.len(), capacity - model.len());
        match *call {
            Call::Push => match producer.push(Counted::new(next, live)) {
                Ok(()) => {
                    prop_assert!(room > 0);
                    model.push_back(next);
                }
                Err(back) => prop_assert_eq!((back.0, room), (next, 0)),
            },
            Call::PushIter(count) => {
                let pushed = producer.push_iter((next..next + count as u32).map(|value| Counted::new(value, live)));
                prop_assert_eq!(pushed, count.min(room));
                model.extend(next..next + pushed as u32);
            }
            Call::WriteChunk(count, used) => match producer.write_chunk(count % (capacity + 2)) {
                Ok(chunk) => {
                    let used = used.min(chunk.len());
                    prop_assert!(chunk.len() <= room);
                    let values = (next..next + used as u32).map(|value| Counted::new(value, live));
                    prop_assert_eq!(chunk.fill(values), used);
                    model.extend(next..next + used as u32);
                }
                Err(few) => prop_assert_eq!((few.asked, few.available), (count % (capacity + 2), room)),
            },
            Call::Pop => prop_assert_eq!(consumer.pop().map(|value| value.0), model.pop_front()),
            Call::Peek => prop_assert_eq!(consumer.peek().map(|value| value.0), model.front().copied()),
            Call::ReadChunk(count, used) => match consumer.read_chunk(count % (capacity + 2)) {
                Ok(chunk) => {
                    let used = used.min(chunk.len());
                    let (first, second) = chunk.as_slices();
                    prop_assert!(first.iter().chain(second).map(|value| &value.0).eq(model.iter().take(chunk.len())));
                    chunk.commit(used);
                    model.drain(..used);
                }
                Err(few) => prop_assert_eq!((few.asked, few.available), (count % (capacity + 2), len)),
            },
            Call::TakeSome(count, used) => {
                if let Ok(chunk) = consumer.read_chunk(count.min(len)) {
                    let mut taken = chunk.into_iter();
                    for _ in 0..used.min(taken.len()) {
                        prop_assert_eq!(taken.next().map(|value| value.0), model.pop_front());
                    }
                }
            }
        }
        next += 12;
        prop_assert_eq!((consumer.available(), producer.free()), (model.len(), capacity - model.len()));
        prop_assert_eq!((consumer.is_empty(), producer.is_full()), (model.is_empty(), model.len() == capacity));
        prop_assert_eq!(live.get(), model.len() as isize);
    }
    Ok(())
}

fn on_flags(
    (mut producer, mut consumer): (spsc::Producer<'_, Counted>, spsc::Consumer<'_, Counted>),
    calls: &[Call],
    live: &Rc<Cell<isize>>,
) -> Result<(), TestCaseError> {
    let capacity = producer.capacity();
    let (mut model, mut next) = (VecDeque::new(), 0);
    for call in calls {
        let room = capacity - model.len();
        match *call {
            Call::Push => match producer.push(Counted::new(next, live)) {
                Ok(()) => {
                    prop_assert!(room > 0);
                    model.push_back(next);
                }
                Err(back) => prop_assert_eq!((back.0, room), (next, 0)),
            },
            Call::PushIter(count) | Call::WriteChunk(count, _) => {
                let pushed = producer.push_iter((next..next + count as u32).map(|value| Counted::new(value, live)));
                prop_assert_eq!(pushed, count.min(room));
                model.extend(next..next + pushed as u32);
            }
            Call::Peek => prop_assert_eq!(consumer.peek().map(|value| value.0), model.front().copied()),
            Call::Pop => prop_assert_eq!(consumer.pop().map(|value| value.0), model.pop_front()),
            Call::ReadChunk(count, _) | Call::TakeSome(count, _) => {
                for _ in 0..count {
                    prop_assert_eq!(consumer.pop().map(|value| value.0), model.pop_front());
                }
            }
        }
        next += 12;
        prop_assert_eq!((consumer.is_empty(), producer.is_full()), (model.is_empty(), model.len() == capacity));
        prop_assert_eq!(live.get(), model.len() as isize);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn race_30_stream_behaves_as_a_deque(capacity in 1..10usize, start in positions(), calls in calls()) {
        let live = Rc::new(Cell::new(0));
        on_a_stream(stream::channel_starting_at(capacity, start), &calls, &live)?;
        prop_assert_eq!(live.get(), 0, "what was left is dropped, once");
        on_a_stream(stream::Ring::<_, 1>::starting_at(start).split(), &calls, &live)?;
        on_a_stream(stream::Ring::<_, 4>::starting_at(start).split(), &calls, &live)?;
        prop_assert_eq!(live.get(), 0);
        let mut storage: [MaybeUninit<Counted>; 8] = [const { MaybeUninit::uninit() }; 8];
        let mut ring = stream::BorrowedRing::starting_at(&mut storage, start).expect("a power of two");
        on_a_stream(ring.split(), &calls, &live)?;
        drop(ring);
        prop_assert_eq!(live.get(), 0);
    }

    #[test]
    fn flags_behave_as_a_deque(capacity in 1..10usize, calls in calls()) {
        let live = Rc::new(Cell::new(0));
        on_flags(spsc::channel(capacity), &calls, &live)?;
        on_flags(spsc::Ring::<_, 1>::new().split(), &calls, &live)?;
        on_flags(spsc::Ring::<_, 3>::new().split(), &calls, &live)?;
        prop_assert_eq!(live.get(), 0, "what was left is dropped, once");
        let mut storage: Vec<spsc::Slot<Counted>> = (0..capacity).map(|_| spsc::Slot::new()).collect();
        on_flags(spsc::BorrowedRing::new(&mut storage).expect("some slots").split(), &calls, &live)?;
        drop(storage);
        prop_assert_eq!(live.get(), 0);
    }

    /// Slices of every length at every position, also longer than what is copied word by word.
    #[test]
    fn race_30_slices_arrive_whole(
        capacity in 1..300usize,
        start in positions(),
        lens in prop::collection::vec((0..300usize, 0..300usize), 1..12),
    ) {
        let (mut producer, mut consumer) = stream::channel_starting_at::<u64>(capacity, start);
        let (mut model, mut next) = (VecDeque::new(), 0);
        for (push, pop) in lens {
            let values: Vec<u64> = (next..next + push as u64).collect();
            next += push as u64;
            let pushed = producer.push_partial_slice(&values);
            prop_assert_eq!(pushed, push.min(capacity - model.len()));
            model.extend(&values[..pushed]);
            let mut into = vec![u64::MAX; pop];
            let popped = consumer.pop_partial_slice(&mut into);
            prop_assert_eq!(popped, pop.min(model.len()));
            prop_assert!(into[..popped].iter().copied().eq(model.drain(..popped)));
            prop_assert!(into[popped..].iter().all(|untouched| *untouched == u64::MAX));
        }
    }
}
