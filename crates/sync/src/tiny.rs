//! The lock around the two tables of this crate: waiting futures, and sleepers to call when a thread dies.
//!
//! It spins, on every thread, and so is only ever held for a few instructions on pointers: never across code of the user (a waker is cloned
//! before and woken or dropped after), across an allocation, or across a sleep. There is no panic and no trap in what it encloses, so a worker
//! that dies by itself does not die in here; one that is *terminated* from outside in the middle of it takes the table along, for
//! which reason nobody should terminate a worker that is not known to be stuck elsewhere.
//!
//! The bound on the main thread's spinning is the holder's few instructions, and if the system has just taken its processor away, one turn of the
//! system's scheduler.
//!
//! Under loom it is loom's mutex, which explores as much with fewer states; this lock has a model of its own, below.

#[cfg(not(loom))]
pub(crate) use spinning::Tiny;

#[cfg(loom)]
pub(crate) struct Tiny<T>(loom::sync::Mutex<T>);

#[cfg(loom)]
impl<T> Tiny<T> {
    pub(crate) fn new(value: T) -> Tiny<T> {
        Tiny(loom::sync::Mutex::new(value))
    }

    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        work(&mut self.0.lock().expect("a model does not poison"))
    }
}

#[cfg(any(not(loom), test))]
pub(crate) mod spinning {
    use core::sync::atomic::Ordering;

    use crate::primitive::{AtomicU32, UnsafeCell, constructor, spin};

    const FREE: u32 = 0;
    const HELD: u32 = 1;

    pub(crate) struct Tiny<T> {
        word: AtomicU32,
        value: UnsafeCell<T>,
    }

    // SAFETY: the lock gives the value to one thread at a time.
    unsafe impl<T: Send> Sync for Tiny<T> {}

    impl<T> Tiny<T> {
        constructor! {
            pub(crate) fn new(value: T) -> Tiny<T> {
                Tiny { word: AtomicU32::new(FREE), value: UnsafeCell::new(value) }
            }
        }

        pub(crate) fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
            // Acquire: pairs with the Release at the end.
            while self.word.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed).is_err() {
                // Relaxed: only a hint.
                while self.word.load(Ordering::Relaxed) != FREE {
                    // Endless, so that models must be told to let the other one go on.
                    #[cfg(loom)]
                    loom::thread::yield_now();
                    spin();
                }
            }
            let result = {
                let value = self.value.get_mut();
                // SAFETY: this thread has the lock, and the reference ends before it is given up.
                work(unsafe { value.deref() })
            };
            // Release: pairs with the Acquire of whoever comes next. A swap, for a store costs eight times as much in Firefox.
            self.word.swap(FREE, Ordering::Release);
            result
        }
    }
}

#[cfg(all(test, loom))]
mod tests {
    use loom::sync::Arc;
    use loom::thread;

    use super::spinning::Tiny;

    /// The real lock, which models elsewhere replace by loom's.
    #[test]
    fn excludes_and_orders() {
        loom::model(|| {
            let tiny = Arc::new(Tiny::new(1));
            let other = Arc::clone(&tiny);
            let thread = thread::spawn(move || other.with(|value| *value += 2));
            tiny.with(|value| *value += 4);
            thread.join().unwrap();
            assert_eq!(tiny.with(|value| *value), 7);
        });
    }
}
