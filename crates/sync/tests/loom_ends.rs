//! Every interleaving of what two ends of a channel do at once to what they share: the counts of ends, and the blocks that come and go.
#![cfg(loom)]
#![allow(missing_docs, reason = "tests")]

use loom::thread;
use weblane_sync::channel::{Receiver, Sender, TryRecvError, bounded, unbounded};

/// Every interleaving with up to `LOOM_MAX_PREEMPTIONS` preemptions, 2 unless set.
fn model(check: impl Fn() + Sync + Send + 'static) {
    explore(0, check);
}

/// The same with so many more.
fn explore(more: usize, check: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(builder.preemption_bound.unwrap_or(2) + more);
    builder.max_branches = 20_000;
    builder.check(move || {
        weblane_sync::begin_model();
        check();
    });
}

/// Two clone at once. All but one of the ends go, and the channel stays open: each was counted.
#[test]
fn clones_are_counted() {
    model(|| {
        let (sender, receiver) = unbounded::<u32>();
        let second = sender.clone();
        let other = thread::spawn(move || (second.clone(), second));
        let third = sender.clone();
        drop((other.join().unwrap(), third));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    });
    model(|| {
        let (sender, receiver) = unbounded::<u32>();
        let second = receiver.clone();
        let other = thread::spawn(move || (second.clone(), second));
        let third = receiver.clone();
        drop((other.join().unwrap(), third));
        assert_eq!(sender.try_send(1), Ok(()));
    });
}

/// A block is given back while another one is taken. Each is in one place: used again, they keep what is put into them.
#[test]
fn a_block_comes_as_another_goes() {
    model(|| {
        let (sender, receiver) = unbounded::<u32>();
        // Blocks of two: two are free when their values have been taken and the next one's first, and one of these is used again.
        (0..4).for_each(|value| sender.try_send(value).unwrap());
        assert!(receiver.try_iter().eq(0..4));
        (4..8).for_each(|value| sender.try_send(value).unwrap());
        assert!([4, 5].map(|value| receiver.try_recv() == Ok(value)) == [true; 2]);
        let other = thread::spawn(move || {
            sender.try_send(8).unwrap();
            sender
        });
        assert_eq!(receiver.try_recv(), Ok(6));
        let sender = other.join().unwrap();
        // If a block is used twice, these write over what is in it.
        (9..14).for_each(|value| sender.try_send(value).unwrap());
        let got: Vec<u32> = receiver.try_iter().collect();
        assert!(got.iter().copied().eq(7..14), "{got:?}");
    });
}

/// Two senders come to the end of a block at once: one brings the next block, and the other one goes on in it.
#[test]
fn two_senders_at_the_end_of_a_block() {
    model(|| {
        let (sender, receiver) = unbounded::<u32>();
        (0..2).for_each(|value| sender.try_send(value).unwrap());
        let second = sender.clone();
        let other = thread::spawn(move || second.try_send(2).unwrap());
        sender.try_send(3).unwrap();
        other.join().unwrap();
        let mut got: Vec<u32> = receiver.try_iter().collect();
        got.sort_unstable();
        assert_eq!(got, [0, 1, 2, 3]);
        // And one after them, in order.
        sender.try_send(4).unwrap();
        assert_eq!(receiver.try_recv(), Ok(4));
    });
}

/// A sender comes to a block that is used again, and knows of it by the cursor alone: it writes after those who read there before. loom reports it if not.
#[test]
fn a_block_that_is_used_again_by_who_comes_late() {
    model(|| {
        let (sender, receiver) = unbounded::<u32>();
        let late = sender.clone();
        let late = thread::spawn(move || late.try_send(9).unwrap());
        let mut got = 0;
        for value in 0..5 {
            sender.try_send(value).unwrap();
            // What comes after a slot that is claimed and not filled yet is hidden until then.
            got += usize::from(receiver.try_recv().is_ok());
        }
        late.join().unwrap();
        assert_eq!(got + receiver.try_iter().count(), 6);
    });
}

/// A sender of 9 finds the first block full while `goes_on` sends and takes; all of `expected` comes out.
fn beside_a_late_sender(expected: &'static [u32], goes_on: fn(&Sender<u32>, &Receiver<u32>) -> Vec<u32>) {
    explore(1, move || {
        let (sender, receiver) = unbounded::<u32>();
        let late = sender.clone();
        (0..2).for_each(|value| sender.try_send(value).unwrap());
        let late = thread::spawn(move || late.try_send(9).unwrap());
        // It finds the block full, at no cost of a preemption.
        thread::yield_now();
        let mut got = goes_on(&sender, &receiver);
        late.join().unwrap();
        got.extend(receiver.try_iter());
        got.sort_unstable();
        assert_eq!(got, expected);
    });
}

/// A sender finds a block full; until it comes to the next one, that is full too and there is another, used again. Each gets a slot of its own, after its last reader.
#[test]
fn a_block_that_is_used_again_by_who_comes_later_still() {
    beside_a_late_sender(&[0, 1, 2, 3, 4, 9], |sender, receiver| {
        sender.try_send(2).unwrap();
        let got = (0..3).filter_map(|_| receiver.try_recv().ok()).collect();
        (3..5).for_each(|value| sender.try_send(value).unwrap());
        got
    });
}

/// The length is one that the channel had, also if both cursors go once around while it is looked at.
#[test]
fn a_length_that_it_had() {
    model(|| {
        let (sender, receiver) = bounded::<u32>(2);
        let (to, from) = (sender.clone(), receiver.clone());
        let other = thread::spawn(move || {
            for value in 0..2 {
                to.try_send(value).unwrap();
                assert_eq!(from.try_recv(), Ok(value));
            }
        });
        assert!(receiver.len() <= 1);
        other.join().unwrap();
        assert_eq!(sender.len(), 0);
    });
}

/// A receiver comes when the others are in a block that was made after he was there, and knows of it by the cursor alone.
#[test]
fn a_new_block_for_a_receiver_who_comes_late() {
    model(|| {
        let (sender, receiver) = unbounded::<u32>();
        let late = receiver.clone();
        let late = thread::spawn(move || late.try_recv().ok());
        let mut got = Vec::new();
        for value in 0..3 {
            sender.try_send(value).unwrap();
            got.extend(receiver.try_recv());
        }
        sender.try_send(3).unwrap();
        got.extend(late.join().unwrap());
        got.extend(receiver.try_iter());
        got.sort_unstable();
        assert_eq!(got, [0, 1, 2, 3]);
    });
}

/// Two receivers empty a block, which a third thread uses again: whoever was done with it last has seen that the other one had read. loom reports it if not.
///
/// The sender is a thread of its own, for the fences that models have at the end of each call order more than the code does.
#[test]
fn a_block_is_used_again_after_both_have_read() {
    model(|| {
        let (sender, receiver) = unbounded::<u32>();
        (0..4).for_each(|value| sender.try_send(value).unwrap());
        let other = receiver.clone();
        let other = thread::spawn(move || [(); 2].map(|()| other.try_recv().unwrap()));
        // In the first block again, if that is free by now.
        let sends = thread::spawn(move || sender.try_send(4).unwrap());
        let mut got = vec![receiver.try_recv().unwrap()];
        got.extend(other.join().unwrap());
        sends.join().unwrap();
        got.extend(receiver.try_iter());
        got.sort_unstable();
        assert_eq!(got, [0, 1, 2, 3, 4]);
    });
}

/// The length is one that the channel had, also if the block that is looked at is emptied and used again meanwhile.
#[test]
fn a_length_as_a_block_is_used_again() {
    model(|| {
        let (sender, receiver) = unbounded::<u32>();
        let from = receiver.clone();
        let other = thread::spawn(move || {
            (0..2).for_each(|value| sender.try_send(value).unwrap());
            assert!(from.try_iter().eq(0..2));
            // The second block, and, when the first one is free, that one.
            sender.try_send(2).unwrap();
            assert_eq!(from.try_recv(), Ok(2));
            (3..5).for_each(|value| sender.try_send(value).unwrap());
            (sender, from)
        });
        let length = receiver.len();
        assert!(length <= 2, "{length}");
        let _ = other.join().unwrap();
        assert_eq!(receiver.len(), 2);
    });
}

/// The last receiver goes as a sender sends: what it has claimed stays counted.
#[test]
fn a_length_after_the_last_receiver() {
    fn check(make: fn() -> (Sender<u32>, Receiver<u32>)) {
        model(move || {
            let (sender, receiver) = make();
            let goes = thread::spawn(move || drop(receiver));
            let sent = sender.try_send(1).is_ok();
            goes.join().unwrap();
            assert!(sender.len() <= usize::from(sent), "{}", sender.len());
        });
    }
    check(unbounded);
    check(|| bounded(3));
}

/// Two senders find the channel closed at once: nothing is in it, whatever they had claimed for a moment.
#[test]
fn a_length_that_two_senders_have_taken_back() {
    model(|| {
        let (sender, receiver) = unbounded::<u32>();
        drop(receiver);
        let second = sender.clone();
        let other = thread::spawn(move || assert!(second.try_send(1).is_err()));
        assert!(sender.try_send(2).is_err());
        other.join().unwrap();
        assert_eq!(sender.len(), 0);
    });
}

/// A sender finds a block full, and the next ones too by the time it looks at them; it knows of their memory by the cursor alone.
#[test]
fn new_blocks_for_a_sender_who_comes_late() {
    beside_a_late_sender(&[0, 1, 2, 3, 4, 5, 9], |sender, _| {
        (2..6).for_each(|value| sender.try_send(value).unwrap());
        Vec::new()
    });
}
