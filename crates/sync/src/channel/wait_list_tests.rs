//! Models of the list by itself: waiters that are used again, given back, counted.

use core::sync::atomic::Ordering;
use core::task::Waker;
use std::task::Wake;

use loom::sync::Arc;
use loom::thread;

use super::{GONE, Place, WaitList};

extern crate std;

struct Nobody;

impl Wake for Nobody {
    fn wake(self: std::sync::Arc<Self>) {}
}

fn enter(list: &WaitList) -> Place {
    list.enter(Some(Waker::from(std::sync::Arc::new(Nobody))))
}

fn model(check: impl Fn(Arc<WaitList>) + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(2));
    builder.check(move || {
        crate::begin_model();
        check(Arc::new(WaitList::new()));
    });
}

/// Two enter at once, and there is a waiter to be used again: one of them has it.
#[test]
fn two_enter_with_one_spare() {
    model(|list| {
        let first = enter(&list);
        assert!(!list.leave(first));
        assert!(!list.spare.load(Ordering::Acquire).is_null(), "to be used again");
        let other = Arc::clone(&list);
        let other = thread::spawn(move || enter(&other));
        let mine = enter(&list);
        let theirs = other.join().expect("no panic");
        assert_ne!(mine.0, theirs.0);
        list.call_all();
        assert!(list.leave(mine) && list.leave(theirs));
    });
}

/// Those in the list who are gone; nobody else uses it.
fn gone(list: &WaitList) -> u32 {
    assert!(list.inbox.load(Ordering::Acquire).is_null(), "somebody has made a visit since");
    // SAFETY: nobody else uses the list, here and below, and it holds what is in its line.
    let (mut at, mut gone) = (list.line.with(|line| unsafe { (*line).first }), 0);
    while !at.is_null() {
        // SAFETY: as above.
        let waiter = unsafe { &*at };
        gone += u32::from(waiter.state.load(Ordering::Acquire) == GONE);
        // SAFETY: as above.
        at = waiter.next.with(|next| unsafe { *next });
    }
    gone
}

/// Two leave at once, alone or with one who stays. When all is quiet, those of them that are left in the list are counted, each once.
#[test]
fn two_leave_at_once_and_are_counted() {
    for stay in [false, true] {
        model(move |list| {
            let stays = stay.then(|| enter(&list));
            let [mine, theirs] = [(); 2].map(|()| enter(&list));
            let other = Arc::clone(&list);
            let other = thread::spawn(move || assert!(!other.leave(theirs)));
            assert!(!list.leave(mine));
            other.join().expect("no panic");
            assert_eq!(list.gone.load(Ordering::Acquire), gone(&list));
            list.call_one();
            assert!(stays.is_none_or(|stays| list.leave(stays)));
        });
    }
}

/// One leaves as somebody is called: he is found at the front, and is taken off the count of those who are gone, be it that he is not on it yet.
#[test]
fn one_leaves_as_another_is_called() {
    model(|list| {
        let [first, second] = [(); 2].map(|()| enter(&list));
        let other = Arc::clone(&list);
        let other = thread::spawn(move || other.call_one());
        let called = list.leave(first);
        other.join().expect("no panic");
        assert_eq!(list.gone.load(Ordering::Acquire), gone(&list));
        assert_ne!(list.leave(second), called, "one of them");
    });
}

/// One is called as he leaves: whoever lets go of his waiter last gives it back, with nothing in it.
#[test]
fn one_is_called_as_he_leaves() {
    model(|list| {
        let waker = std::sync::Arc::new(Nobody);
        let place = list.enter(Some(Waker::from(std::sync::Arc::clone(&waker))));
        let other = Arc::clone(&list);
        let other = thread::spawn(move || other.call_all());
        list.leave(place);
        other.join().expect("no panic");
        assert_eq!(std::sync::Arc::strong_count(&waker), 1);
        assert!(!list.spare.load(Ordering::Acquire).is_null(), "given back");
    });
}

/// Two waiters that were called are given back at once: one of them is freed, after the last touch of who had it. loom reports it if not.
#[test]
fn two_are_given_back_at_once() {
    model(|list| {
        let [mine, theirs] = [(); 2].map(|()| enter(&list));
        list.call_all();
        let other = Arc::clone(&list);
        let other = thread::spawn(move || assert!(other.leave(theirs)));
        assert!(list.leave(mine));
        other.join().expect("no panic");
    });
}
