//! Values of every shape through both single-producer single-consumer rings, in every storage: none, 1 KiB, over-aligned; moved, peeked, in chunks.
#![cfg(not(loom))]
#![allow(missing_docs, reason = "tests")]

use std::fmt::Debug;
use std::mem::MaybeUninit;
use std::thread;

use weblane_ring::spsc::{self, stream};

#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(align(256))]
struct Aligned(u8);

fn aligned<T>(value: &T) -> bool {
    core::ptr::from_ref(value).addr().is_multiple_of(align_of::<T>())
}

/// Twice around the ring.
fn through_flags<T: Clone + PartialEq + Debug>(ends: (spsc::Producer<'_, T>, spsc::Consumer<'_, T>), values: [T; 3]) {
    let (mut producer, mut consumer) = ends;
    for _ in 0..producer.capacity() {
        assert_eq!(producer.push_iter(values.clone()), 3);
        for value in &values {
            assert!(consumer.peek().is_some_and(|peeked| aligned(peeked) && peeked == value));
            assert_eq!(consumer.pop().as_ref(), Some(value));
        }
    }
}

fn through_a_stream<T: Copy + PartialEq + Debug>(
    ends: (stream::Producer<'_, T>, stream::Consumer<'_, T>),
    values: [T; 3],
) {
    let (mut producer, mut consumer) = ends;
    for turn in 0..3 * producer.capacity() {
        assert_eq!(producer.push_slice(&values), Ok(()));
        if turn % 2 == 0 {
            let chunk = consumer.read_chunk(3).expect("three");
            let (first, second) = chunk.as_slices();
            assert!(first.iter().chain(second).eq(&values) && first.iter().chain(second).all(aligned));
            assert!(chunk.into_iter().eq(values));
        } else {
            let mut into = [values[2]; 3];
            assert_eq!(consumer.pop_slice(&mut into), Ok(()));
            assert_eq!(into, values);
        }
    }
}

fn everywhere<T: Copy + PartialEq + Debug + 'static>(values: [T; 3]) {
    through_flags(spsc::Ring::<T, 5>::new().split(), values);
    through_flags(spsc::channel(5), values);
    let mut storage = [const { spsc::Slot::<T>::new() }; 4];
    through_flags(spsc::BorrowedRing::new(&mut storage).expect("four slots").split(), values);
    through_a_stream(stream::Ring::<T, 4>::starting_at(u32::MAX - 1).split(), values);
    through_a_stream(stream::channel_starting_at(5, u32::MAX - 1), values);
    let mut storage = [const { MaybeUninit::<T>::uninit() }; 8];
    let mut ring = stream::BorrowedRing::starting_at(&mut storage, u32::MAX - 1).expect("eight slots");
    through_a_stream(ring.split(), values);
}

#[test]
fn values_of_every_shape_in_every_storage() {
    everywhere([(); 3]);
    everywhere([1_u8, 2, 3]);
    everywhere([1_u64, 2, 3]);
    everywhere([Some(1_u16), None, Some(3)]);
    everywhere([[1_u8; 1024], [2; 1024], [3; 1024]]);
    everywhere([1, 2, 3].map(Aligned));
}

#[test]
fn rings_live_in_statics() {
    static FLAGS: spsc::Ring<Aligned, 7> = spsc::Ring::new();
    static STREAM: stream::Ring<[u8; 1024], 8> = stream::Ring::new();
    for _ in 0..3 {
        let (mut producer, mut consumer) = FLAGS.ends().expect("nobody has them");
        thread::spawn(move || producer.push_iter([1, 2, 3].map(Aligned))).join().expect("no panic");
        assert_eq!([1, 2, 3].map(|_| consumer.pop()), [1, 2, 3].map(|value| Some(Aligned(value))));
        let (mut producer, mut consumer) = STREAM.ends().expect("nobody has them");
        thread::spawn(move || producer.push_slice(&[[7; 1024]; 5])).join().expect("no panic").expect("room");
        assert!(consumer.read_chunk(5).expect("five").into_iter().all(|value| value == [7; 1024]));
    }
}
