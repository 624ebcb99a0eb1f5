//! The many-to-many rings against a `VecDeque`, by property: any sequence of calls, single ones and many at once, on rings of several sizes that
//! begin next to the wraps, with values of no size, of much, of strict alignment, and such that count how often they are dropped. Also run with
//! `--cfg weblane_narrow`.
#![cfg(not(loom))]
#![allow(missing_docs, reason = "tests")]

use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt::Debug;
use std::rc::Rc;

use proptest::prelude::*;
use weblane_ring::{Storage, mpmc, mpmc::fast};

/// One call.
#[derive(Clone, Debug)]
enum Call {
    Push,
    Pop,
    PushVec(usize),
    PopMany(usize),
    /// Of the lock-free ring only; of the fast one, as many single ones.
    PushMany(usize),
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let call = prop_oneof![
        6 => Just(Call::Push),
        5 => Just(Call::Pop),
        1 => (0..12_usize).prop_map(Call::PushVec),
        2 => (0..12_usize).prop_map(Call::PopMany),
        1 => (0..12_usize).prop_map(Call::PushMany),
    ];
    prop::collection::vec(call, 0..200)
}

/// At zero, and next to each of the wraps (race 30).
fn starts() -> impl Strategy<Value = u32> {
    prop_oneof![
        Just(0),
        any::<u32>(),
        (0..20_u32).prop_map(|back| u32::MAX - back),
        (0..20_u32).prop_map(|back| i32::MAX as u32 - back),
        (0..20_u32).prop_map(|back| 0xffff - back),
        (0..20_u32).prop_map(|back| 0x7fff - back)
    ]
}

/// What both rings can do.
trait Queue<T> {
    fn push(&self, value: T) -> Result<(), T>;
    fn pop(&self) -> Option<T>;
    fn push_vec(&self, values: &mut Vec<T>) -> usize;
    fn push_many(&self, values: &mut dyn Iterator<Item = T>) -> Result<(), T>;
    fn pop_many(&self, most: usize, take: &mut dyn FnMut(T)) -> usize;
    fn figures(&self) -> (usize, bool, bool);
}

macro_rules! queue {
    ($module:ident, $push_many:expr) => {
        impl<T, S: Storage<$module::Slot<T>>> Queue<T> for $module::Queue<T, S> {
            fn push(&self, value: T) -> Result<(), T> {
                self.push(value)
            }
            fn pop(&self) -> Option<T> {
                self.pop()
            }
            fn push_vec(&self, values: &mut Vec<T>) -> usize {
                self.push_vec(values)
            }
            fn push_many(&self, values: &mut dyn Iterator<Item = T>) -> Result<(), T> {
                $push_many(self, values)
            }
            fn pop_many(&self, most: usize, take: &mut dyn FnMut(T)) -> usize {
                self.pop_many(most, take)
            }
            fn figures(&self) -> (usize, bool, bool) {
                (self.len(), self.is_empty(), self.is_full())
            }
        }
    };
}
queue!(mpmc, |queue: &Self, values| queue.push_many(values));
queue!(fast, |queue: &Self, values: &mut dyn Iterator<Item = T>| {
    for value in values {
        queue.push(value)?;
    }
    Ok(())
});

/// A value that can be told from others, as far as its size allows.
trait Value: Debug {
    fn of(number: u32) -> Self;
    fn is(&self, number: u32) -> bool;
}

impl Value for u32 {
    fn of(number: u32) -> Self {
        number
    }
    fn is(&self, number: u32) -> bool {
        *self == number
    }
}
impl Value for () {
    fn of(_: u32) -> Self {}
    fn is(&self, _: u32) -> bool {
        true
    }
}
impl Value for [u64; 100] {
    fn of(number: u32) -> Self {
        std::array::from_fn(|index| u64::from(number) << 32 | index as u64)
    }
    fn is(&self, number: u32) -> bool {
        *self == Self::of(number)
    }
}
/// Aligned more strictly than a line.
#[repr(align(256))]
#[derive(Debug)]
struct Aligned(u8);
impl Value for Aligned {
    fn of(number: u32) -> Self {
        Aligned(number as u8)
    }
    fn is(&self, number: u32) -> bool {
        self.0 == number as u8 && std::ptr::from_ref(self).addr().is_multiple_of(256)
    }
}

thread_local! {
    /// How many `Counted` there are.
    static ALIVE: Cell<isize> = const { Cell::new(0) };
}
/// A value that is dropped once.
#[derive(Debug)]
struct Counted(u32, Rc<()>);
impl Value for Counted {
    fn of(number: u32) -> Self {
        ALIVE.set(ALIVE.get() + 1);
        Counted(number, Rc::new(()))
    }
    fn is(&self, number: u32) -> bool {
        self.0 == number && Rc::strong_count(&self.1) == 1
    }
}
impl Drop for Counted {
    fn drop(&mut self) {
        ALIVE.set(ALIVE.get() - 1);
    }
}

fn behaves<T: Value>(queue: &dyn Queue<T>, capacity: usize, calls: &[Call]) {
    let mut model = VecDeque::new();
    let mut number = 0..;
    let mut next = move || number.next().expect("numbers enough");
    for call in calls {
        let room = capacity - model.len();
        match call {
            Call::Push => {
                let number = next();
                match queue.push(T::of(number)) {
                    Ok(()) => model.push_back(number),
                    Err(back) => assert!(back.is(number) && room == 0, "full only when full"),
                }
                assert!(model.len() <= capacity);
            }
            Call::Pop => match (queue.pop(), model.pop_front()) {
                (Some(value), Some(number)) => assert!(value.is(number), "{value:?} is not {number}"),
                (None, None) => (),
                other => panic!("{other:?}"),
            },
            Call::PushVec(count) => {
                let numbers: Vec<u32> = (0..*count).map(|_| next()).collect();
                let mut values: Vec<T> = numbers.iter().map(|number| T::of(*number)).collect();
                assert_eq!(queue.push_vec(&mut values), room.min(*count));
                let (pushed, left) = numbers.split_at(room.min(*count));
                assert!(values.len() == left.len() && values.iter().zip(left).all(|(value, number)| value.is(*number)));
                model.extend(pushed);
            }
            Call::PushMany(count) => {
                let numbers: Vec<u32> = (0..*count).map(|_| next()).collect();
                let mut values = numbers.iter().map(|number| T::of(*number));
                match queue.push_many(&mut values) {
                    Ok(()) => assert!(*count <= room && values.len() == 0),
                    Err(back) => assert!(back.is(numbers[room]) && values.len() == count - room - 1),
                }
                model.extend(&numbers[..room.min(*count)]);
            }
            Call::PopMany(most) => {
                let expected = model.len().min(*most);
                let popped = queue.pop_many(*most, &mut |value| {
                    let number = model.pop_front().expect("not more than there are");
                    assert!(value.is(number), "{value:?} is not {number}");
                });
                assert_eq!(popped, expected);
            }
        }
        let len = model.len();
        assert_eq!(queue.figures(), (len, len == 0, len == capacity));
    }
}

/// Both rings of five sizes, one after the other.
fn both<T: Value>(start: u32, calls: &[Call]) {
    macro_rules! sizes {
        ($($size:literal)*) => { $(
            behaves::<T>(&mpmc::Ring::<T, $size>::starting_at(start), $size, calls);
            behaves::<T>(&fast::Ring::<T, $size>::starting_at(start), $size, calls);
        )* };
    }
    sizes!(1 2 4 8 32);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn race_30_numbers(start in starts(), calls in calls()) {
        both::<u32>(start, &calls);
    }

    #[test]
    fn values_of_no_size(start in starts(), calls in calls()) {
        both::<()>(start, &calls);
    }

    #[test]
    fn large_values(start in starts(), calls in calls()) {
        both::<[u64; 100]>(start, &calls);
    }

    #[test]
    fn values_of_strict_alignment(start in starts(), calls in calls()) {
        both::<Aligned>(start, &calls);
    }

    #[test]
    fn values_are_dropped_once(start in starts(), calls in calls()) {
        both::<Counted>(start, &calls);
        prop_assert_eq!(ALIVE.get(), 0);
    }
}
