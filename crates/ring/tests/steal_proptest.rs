//! The stealing ring against a `VecDeque`, on sequences of calls that proptest makes up and, when one fails, shrinks.
//!
//! Both numbers begin anywhere, above all next to their wrap (race 30). Values count their drops.
#![cfg(not(loom))]
#![allow(missing_docs, reason = "tests")]

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

use proptest::prelude::*;
use weblane_ring::steal::{Ring, Steal};

#[derive(Clone, Copy, Debug)]
enum Call {
    Push,
    Pop,
    PopLifo,
    Drain,
    Steal,
    StealHalf,
    /// Empties some of the ring that thefts go to.
    ThiefPops(usize),
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    prop::collection::vec(
        prop_oneof![
            8 => Just(Call::Push),
            2 => Just(Call::Pop),
            2 => Just(Call::PopLifo),
            1 => Just(Call::Drain),
            2 => Just(Call::Steal),
            1 => Just(Call::StealHalf),
            1 => (0..6usize).prop_map(Call::ThiefPops),
        ],
        0..120,
    )
}

fn positions() -> impl Strategy<Value = u32> {
    prop_oneof![(0..12u32).prop_map(|back| u32::MAX - back), Just(0), Just(i32::MAX as u32), any::<u32>()]
}

#[derive(Debug)]
struct Counted(u32, Rc<Cell<isize>>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.set(self.1.get() - 1);
    }
}

fn against_a_deque<const N: usize, const M: usize>(head: u32, pops: u32, calls: &[Call]) -> Result<(), TestCaseError> {
    let live = Rc::new(Cell::new(0));
    let (mut ring, mut other) = (Ring::<_, N>::starting_at(head, pops), Ring::<_, M>::starting_at(pops, head));
    let ((mut owner, stealer), (mut thief, _)) = (ring.split(), other.split());
    let (mut model, mut stolen) = (VecDeque::new(), VecDeque::new());
    for (value, call) in (0..).zip(calls) {
        let half = model.len() - model.len() / 2;
        match *call {
            Call::Push => {
                live.set(live.get() + 1);
                match owner.push(Counted(value, Rc::clone(&live))) {
                    Ok(()) => model.push_back(value),
                    Err(back) => prop_assert_eq!((back.0, model.len()), (value, N), "full only when full"),
                }
                prop_assert!(model.len() <= N);
            }
            Call::Pop => prop_assert_eq!(owner.pop().map(|value| value.0), model.pop_front()),
            Call::PopLifo => prop_assert_eq!(owner.pop_lifo().map(|value| value.0), model.pop_back()),
            Call::Drain => {
                let mut drained = Vec::new();
                prop_assert_eq!(owner.drain_half(|value| drained.push(value.0)), half);
                prop_assert!(drained.into_iter().eq(model.drain(..half)));
            }
            Call::Steal => match stealer.steal() {
                Steal::Success(value) => prop_assert_eq!(Some(value.0), model.pop_front()),
                Steal::Empty => prop_assert!(model.is_empty()),
                Steal::Busy => prop_assert!(false, "nobody else is here"),
            },
            Call::StealHalf => match stealer.steal_half_into(&mut thief) {
                Steal::Success((first, more)) => {
                    prop_assert_eq!(more + 1, half.min(M - stolen.len() + 1));
                    prop_assert_eq!(Some(first.0), model.pop_front());
                    stolen.extend(model.drain(..more));
                }
                Steal::Empty => prop_assert!(model.is_empty()),
                Steal::Busy => prop_assert!(false, "nobody else is here"),
            },
            Call::ThiefPops(count) => {
                for _ in 0..count {
                    prop_assert_eq!(thief.pop().map(|value| value.0), stolen.pop_front());
                }
            }
        }
        prop_assert_eq!((owner.len(), stealer.len(), thief.len()), (model.len(), model.len(), stolen.len()));
        prop_assert_eq!((owner.free(), owner.is_empty()), (N - model.len(), model.is_empty()));
        prop_assert_eq!(live.get(), (model.len() + stolen.len()) as isize);
    }
    drop((ring, other));
    prop_assert_eq!(live.get(), 0, "what was left is dropped, once");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn race_30_behaves_as_a_deque_from_anywhere(head in positions(), pops in positions(), calls in calls()) {
        against_a_deque::<1, 4>(head, pops, &calls)?;
        against_a_deque::<2, 1>(head, pops, &calls)?;
        against_a_deque::<4, 4>(head, pops, &calls)?;
        against_a_deque::<16, 2>(head, pops, &calls)?;
    }
}
