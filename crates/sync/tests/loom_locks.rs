//! Every interleaving of `RwLock`, of threads that sleep.
#![cfg(loom)]
#![allow(missing_docs, reason = "tests")]

mod common;

use common::model;
use loom::sync::Arc;
use loom::thread;
use weblane_sync::RwLock;

/// Two writers and a reader: a writer is alone, and everybody gets his turn.
#[test]
fn two_writers_and_a_reader() {
    model(|| {
        let lock = Arc::new(RwLock::new((0, 0)));
        let threads = [1, 2].map(|by| {
            let lock = Arc::clone(&lock);
            thread::spawn(move || {
                let mut both = lock.write().unwrap();
                both.0 += by;
                both.1 += by;
            })
        });
        {
            let both = lock.read().unwrap();
            assert_eq!(both.0, both.1);
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(*lock.try_read().unwrap(), (3, 3));
    });
}

/// Two readers and a writer: the last reader to go wakes him, or he the readers that came after him.
#[test]
fn two_readers_and_a_writer() {
    model(|| {
        let lock = Arc::new(RwLock::new(0));
        let readers = [(); 2].map(|()| {
            let lock = Arc::clone(&lock);
            thread::spawn(move || assert_ne!(*lock.read().unwrap(), 1))
        });
        {
            let mut value = lock.write().unwrap();
            *value = 1;
            *value = 2;
        }
        readers.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(*lock.try_write().unwrap(), 2);
    });
}

/// A reader that is in when a writer and another reader come: the second waits behind the writer, and is woken by him.
#[test]
fn a_reader_behind_a_writer_behind_a_reader() {
    model(|| {
        let lock = Arc::new(RwLock::new(0));
        let first = lock.read().unwrap();
        let (one, two) = (Arc::clone(&lock), Arc::clone(&lock));
        let writer = thread::spawn(move || *one.write().unwrap() += 1);
        let reader = thread::spawn(move || *two.read().unwrap());
        assert_eq!(*first, 0);
        drop(first);
        assert!(reader.join().unwrap() <= 1);
        writer.join().unwrap();
        assert_eq!(*lock.try_read().unwrap(), 1);
    });
}

/// Race 42: a thread that only spins takes part, and owes nobody anything.
#[test]
fn race_42_one_that_spins_among_sleepers() {
    model(|| {
        let lock = Arc::new(RwLock::new(0));
        let other = Arc::clone(&lock);
        let writer = thread::spawn(move || *other.write().unwrap() += 1);
        if let Ok(mut value) = lock.write_spinning(1) {
            *value += 1;
        }
        if let Ok(value) = lock.read_spinning(1) {
            assert!(*value <= 2);
        }
        writer.join().unwrap();
        assert!(lock.try_write().is_some());
    });
}
