//! Values of every shape through the stealing ring, at both ends and through thieves: none, 1 KiB, over-aligned, with a destructor.
#![cfg(not(loom))]
#![allow(missing_docs, reason = "tests")]

use std::fmt::Debug;
use std::sync::Arc;

use weblane_ring::steal::{Ring, Steal};

#[derive(Clone, Debug, PartialEq)]
#[repr(align(256))]
struct Aligned(u8);

fn through<T: Clone + PartialEq + Debug>(values: [T; 4]) {
    let (mut ring, mut other) = (Ring::<T, 4>::starting_at(u32::MAX - 1, u32::MAX), Ring::<T, 2>::new());
    let ((mut owner, stealer), (mut thief, _)) = (ring.split(), other.split());
    for _ in 0..5 {
        let [first, second, third, fourth] = values.clone();
        values.clone().into_iter().for_each(|value| assert_eq!(owner.push(value), Ok(())));
        assert_eq!(owner.push(first.clone()), Err(first.clone()));
        assert_eq!(stealer.steal_half_into(&mut thief), Steal::Success((first, 1)));
        assert_eq!(thief.pop(), Some(second));
        assert_eq!(owner.pop_lifo(), Some(fourth));
        assert_eq!(stealer.steal(), Steal::Success(third));
        assert_eq!((owner.pop(), owner.pop_lifo(), stealer.steal()), (None, None, Steal::Empty));
        let mut drained = Vec::new();
        values.clone().into_iter().for_each(|value| assert_eq!(owner.push(value), Ok(())));
        while owner.drain_half(|value| drained.push(value)) > 0 {}
        assert_eq!(drained, values);
    }
}

#[test]
fn values_of_every_shape() {
    through([(); 4]);
    through([1_u8, 2, 3, 4]);
    through([[1_u8; 1024], [2; 1024], [3; 1024], [4; 1024]]);
    through([1, 2, 3, 4].map(Aligned));
    let shared = [1, 2, 3, 4].map(Arc::new);
    through(shared.clone());
    assert!(shared.iter().all(|value| Arc::strong_count(value) == 1), "each clone was dropped once");
}
