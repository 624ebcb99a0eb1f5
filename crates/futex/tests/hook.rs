//! The hook, in a process of its own because it is process-wide.
#![cfg(not(any(loom, shuttle)))]
#![allow(missing_docs, reason = "tests")]

use std::thread;
use std::time::Duration;

use weblane_futex::{AtomicU32, MayNotBlock, Wait, can_block, set_can_block, wait};

#[test]
fn a_thread_that_may_not_block_gets_an_error() {
    assert!(can_block(), "natively everybody may, unless told otherwise");
    set_can_block(|| thread::current().name() == Some("sleeper"));
    let word = AtomicU32::new(0);
    // With a time-out only so that a wait that does sleep ends.
    assert_eq!(wait(&word, 0, Some(Duration::from_secs(1))), Err(MayNotBlock));
    assert_eq!(wait(&word, 1, None), Err(MayNotBlock), "also where it would not have slept");
    let other = thread::Builder::new().name("sleeper".into()).spawn(move || wait(&word, 1, None));
    assert_eq!(other.expect("a thread").join().expect("no panic"), Ok(Wait::Mismatch));
    let text = MayNotBlock.to_string();
    assert!(text.contains("main thread") && text.contains("await"), "{text}");
}
