//! Targets with nothing to sleep on: a short spin, and back to the caller's loop as if woken.

use core::hint;
use core::sync::atomic::Ordering;
use core::time::Duration;

use crate::{AtomicU32, Wait};

pub(crate) const CAN_SLEEP: bool = true;

const TURNS: u32 = 1000;

pub(crate) fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> Wait {
    // Relaxed: the caller looks at the word again with the ordering that he needs.
    if word.load(Ordering::Relaxed) != expected {
        return Wait::Mismatch;
    }
    for _ in 0..TURNS {
        hint::spin_loop();
        if word.load(Ordering::Relaxed) != expected {
            return Wait::Woken;
        }
    }
    if timeout.is_some() { Wait::TimedOut } else { Wait::Woken }
}

pub(crate) fn notify(_word: &AtomicU32, _count: u32) -> u32 {
    0
}

#[cfg(all(test, not(any(loom, shuttle)), feature = "std"))]
mod tests {
    use core::sync::atomic::Ordering;
    use core::time::Duration;
    use std::{sync::Arc, thread};

    use super::{CAN_SLEEP, notify, wait};
    use crate::{AtomicU32, Wait};

    #[test]
    fn a_spin_says_what_it_saw() {
        let word = AtomicU32::new(0);
        assert_eq!(wait(&word, 1, None), Wait::Mismatch);
        assert_eq!(wait(&word, 0, None), Wait::Woken, "back to the caller's loop");
        assert_eq!(wait(&word, 0, Some(Duration::from_secs(1000))), Wait::TimedOut);
        assert_eq!((notify(&word, 1), CAN_SLEEP), (0, true));
    }

    /// A change in the middle of it ends it as a wake-up, time-out or not.
    #[test]
    fn a_spin_sees_the_change() {
        let shared = Arc::new((AtomicU32::new(0), AtomicU32::new(0)));
        let other = Arc::clone(&shared);
        let changer = thread::spawn(move || {
            while other.1.load(Ordering::Relaxed) == 0 {
                other.0.fetch_xor(1, Ordering::Relaxed);
            }
        });
        let seen = (0..1_000_000).any(|_| {
            // Where there is one processor, the other thread must have it now and then.
            thread::yield_now();
            wait(&shared.0, 0, Some(Duration::ZERO)) == Wait::Woken
        });
        shared.1.store(1, Ordering::Relaxed);
        changer.join().expect("no panic");
        assert!(seen);
    }
}
