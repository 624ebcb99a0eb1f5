//! Who holds what, and what becomes of it when he dies.
//!
//! On the web a thread can die without unwinding: a worker traps, or is terminated. What it had locked stays locked. So that others learn it,
//! threads have **numbers**, a lock's word holds the number of who has it, and whoever learns that a thread is dead says so once:
//!
//! 1. The manager *claims* a number, and its new thread *adopts* it. From then on every lock that the thread takes bears the number, which costs
//!    nothing: the word is written anyway.
//! 2. The thread ends in order: the manager *retires* the number, and it may be claimed again.
//! 3. The thread dies: the manager *abandons* the number. It is never used again, so that a word that bears it says for ever that
//!    its holder is dead. There are 1023 numbers; threads beyond that have none, and their deaths go unnoticed.
//!
//! # Who waits learns it
//!
//! A thread that sleeps on a word must be woken. It can, because before it sleeps it writes down in a table (a static one: no allocation)
//! on which word. *To sleep*: under the table's lock, look whether the word's holder is dead; if not, write it down; then sleep, and
//! afterwards cross it out. *To abandon*: under the same lock, mark the number dead; cross out what the dead thread itself slept on; for
//! each that is left mark the word if the dead thread holds it, and notify.
//!
//! Either the sleeper was first: then it is in the table, and the mark changes the word that it is about to sleep on, or the
//! notification wakes it. Or the other was first: then the sleeper sees the dead number. The words in the table are alive, for those
//! who sleep on them borrow them.
//!
//! Everybody in the table is notified, whoever holds his word: the dead thread may have been woken to take a lock, and died before it
//! did. For the same reason all futures are woken. They look, and wait again.
//!
//! Threads that have no number, and those for whom the table is full, wake up once a second to look for themselves; all this
//! only once a first number was claimed.

use core::num::NonZeroU32;
use core::ptr;
use core::sync::atomic::Ordering;
use core::time::Duration;

use weblane_futex::growth;

use crate::primitive::AtomicU32;
use crate::tiny::Tiny;
use crate::waiters;
use crate::word::{ABANDONED, State};

/// Numbers for each word of the tables.
const BITS: u32 = 32;
const WORDS: usize = if cfg!(loom) { 1 } else { 32 };
/// Threads that can be written down as asleep.
const ROOM: usize = if cfg!(loom) {
    3
} else if cfg!(target_os = "none") {
    4
} else {
    64
};
/// How long a thread sleeps that is not written down.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The number of a thread, by which its locks are known: see [`abandon`](ThreadNumber::abandon).
///
/// For who starts threads and can tell that one has died, such as `weblane-workers`. Nobody else needs it.
///
/// # Examples
///
/// A worker that dies while it holds a lock:
///
/// ```
/// # if weblane_sync::MODEL { return }
/// # #[cfg(feature = "std")] {
/// use weblane_sync::{LockError, Mutex, ThreadNumber};
///
/// static TOTAL: Mutex<u32> = Mutex::new(1);
/// let number = ThreadNumber::claim().expect("one of the first thousand threads");
/// let worker = std::thread::spawn(move || {
///     number.adopt();
///     // What a trap does: the guard is never dropped.
///     std::mem::forget(TOTAL.lock());
/// });
/// worker.join().unwrap();
/// number.abandon();
///
/// assert_eq!(TOTAL.lock().err(), Some(LockError::Abandoned));
/// *TOTAL.recover().expect("abandoned") = 0; // whatever makes the value good again
/// assert_eq!(*TOTAL.lock().unwrap(), 0);
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ThreadNumber(NonZeroU32);

/// `core`'s also in models, which are about locks; but for the model of the numbers themselves.
#[cfg(not(all(loom, test)))]
type Used = core::sync::atomic::AtomicU32;
#[cfg(all(loom, test))]
type Used = AtomicU32;

/// What is known about threads.
struct Threads {
    /// Not a model's: claiming numbers is no part of what models are about.
    used: [Used; WORDS],
    dead: [AtomicU32; WORDS],
    asleep: Tiny<[Asleep; ROOM]>,
}

/// A thread that sleeps, or is about to; free if it has no number.
#[derive(Clone, Copy)]
struct Asleep {
    number: u32,
    /// The word whose holder it waits for.
    word: *const AtomicU32,
    /// The word on which it sleeps: the same, or a count beside it.
    on: *const AtomicU32,
}

// SAFETY: the pointers are only followed under the table's lock, while those who borrow what they point to wait.
unsafe impl Send for Asleep {}

const NOBODY: Asleep = Asleep { number: 0, word: ptr::null(), on: ptr::null() };

#[cfg(not(loom))]
static THREADS: Threads = Threads {
    // Bit 0 is number 0, which is nobody's.
    used: [const { core::sync::atomic::AtomicU32::new(0) }; WORDS],
    dead: [const { AtomicU32::new(0) }; WORDS],
    asleep: Tiny::new([NOBODY; ROOM]),
};

#[cfg(loom)]
loom::lazy_static! {
    static ref THREADS: Threads = Threads {
        used: core::array::from_fn(|_| Used::new(0)),
        dead: core::array::from_fn(|_| AtomicU32::new(0)),
        asleep: Tiny::new([NOBODY; ROOM]),
    };
}

#[cfg(loom)]
pub(crate) fn begin_model() {
    let _made = &*THREADS;
}

#[cfg(all(feature = "std", not(loom)))]
std::thread_local!(static CURRENT: core::cell::Cell<u32> = const { core::cell::Cell::new(0) });
#[cfg(loom)]
loom::thread_local!(static CURRENT: core::cell::Cell<u32> = core::cell::Cell::new(0));

/// The calling thread's number, 0 if it has none.
#[inline]
pub(crate) fn current() -> u32 {
    #[cfg(loom)]
    return CURRENT.with(core::cell::Cell::get);
    #[cfg(all(feature = "std", not(loom)))]
    return CURRENT.get();
    #[cfg(not(any(feature = "std", loom)))]
    return 0;
}

/// Whether the thread with this number was abandoned.
pub(crate) fn is_dead(number: u32) -> bool {
    let (word, bit) = place(number);
    // Acquire: pairs with the Release in `abandon`; who sees that a thread is dead sees what it has done.
    word < WORDS && THREADS.dead[word].load(Ordering::Acquire) & bit != 0
}

fn place(number: u32) -> (usize, u32) {
    ((number / BITS) as usize, 1 << (number % BITS))
}

/// Sleeps on `on` while it holds `expected`, and while the thread that holds `word` is alive. May return for no reason.
pub(crate) fn sleep(word: &AtomicU32, on: &AtomicU32, expected: u32) {
    // Relaxed: the first claim comes before the thread it is for, and so before any lock that this could be about. Bit 0 says that there was one.
    if THREADS.used[0].load(Ordering::Relaxed) == 0 {
        let _ = weblane_futex::wait(on, expected, None);
        return;
    }
    let number = current();
    let entry = THREADS.asleep.with(|table| {
        // Relaxed: only the number counts here, and a new holder would have changed what we are about to sleep on.
        if is_dead(State(word.load(Ordering::Relaxed)).owner()) {
            return None;
        }
        let free = table.iter().position(|asleep| asleep.number == 0).filter(|_| number != 0);
        if let Some(free) = free {
            table[free] = Asleep { number, word, on };
        }
        Some(free)
    });
    match entry {
        // Its holder is dead: the caller looks, and sees.
        None => {}
        Some(None) => {
            let _ = weblane_futex::wait(on, expected, Some(LOOK_AGAIN));
        }
        Some(Some(entry)) => {
            let _ = weblane_futex::wait(on, expected, None);
            THREADS.asleep.with(|table| table[entry] = NOBODY);
        }
    }
}

impl ThreadNumber {
    /// A number that no other thread has. `None` when there is none left: 1023 threads live, or have died.
    #[must_use]
    pub fn claim() -> Option<ThreadNumber> {
        // Bit 0 is taken at the first claim, and tells sleepers that there are numbers.
        THREADS.used[0].fetch_or(1, Ordering::Relaxed);
        for (index, word) in THREADS.used.iter().enumerate() {
            loop {
                // Relaxed, here and below: a number carries nothing with it.
                let seen = word.load(Ordering::Relaxed);
                let free = seen.trailing_ones();
                if free == BITS {
                    break;
                }
                if word.compare_exchange(seen, seen | 1 << free, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                    return ThreadNumber::from_bits(index as u32 * BITS + free);
                }
            }
        }
        None
    }

    /// The number for [`from_bits`](ThreadNumber::from_bits), on its way to the thread.
    #[must_use]
    pub const fn to_bits(self) -> u32 {
        self.0.get()
    }

    /// The number that [`to_bits`](ThreadNumber::to_bits) gave. `None` for what it cannot have given.
    #[must_use]
    pub fn from_bits(bits: u32) -> Option<ThreadNumber> {
        NonZeroU32::new(bits).filter(|bits| bits.get() < WORDS as u32 * BITS).map(ThreadNumber)
    }

    /// Gives the calling thread this number. From now on its locks bear it.
    #[cfg(any(feature = "std", loom))]
    pub fn adopt(self) {
        #[cfg(not(loom))]
        CURRENT.set(self.0.get());
        #[cfg(loom)]
        CURRENT.with(|current| current.set(self.0.get()));
    }

    /// The thread has ended in order, or was never started: somebody else may have the number.
    pub fn retire(self) {
        let (word, bit) = place(self.0.get());
        THREADS.used[word].fetch_and(!bit, Ordering::Relaxed);
    }

    /// The thread is dead, and will never run again: whoever waits for a lock that it held, or comes for it later, learns it.
    ///
    /// Call it **once the thread cannot run any more, and before its stack is used for anything else**: futures that were polled there may lie in
    /// it. Call it from any thread, also one that may not block; it wakes whoever has to look.
    pub fn abandon(self) {
        let number = self.0.get();
        let (word, bit) = place(number);
        THREADS.asleep.with(|table| {
            // Release: pairs with the Acquire in `is_dead`.
            THREADS.dead[word].fetch_or(bit, Ordering::Release);
            for asleep in table.iter_mut().filter(|asleep| asleep.number == number) {
                *asleep = NOBODY;
            }
            for asleep in table.iter().filter(|asleep| asleep.number != 0) {
                // SAFETY: the thread that wrote this down borrows both until it has crossed it out, for which it needs this lock; and it lives, for
                // what dead ones wrote down is crossed out when they are abandoned.
                let (word, on) = unsafe { (&*asleep.word, &*asleep.on) };
                growth::reach(word);
                if mark(word, number) && !ptr::eq(word, on) {
                    growth::reach(on);
                    // Relaxed: wakes, and tells nothing.
                    on.fetch_add(1, Ordering::Relaxed);
                }
                weblane_futex::notify_all(on);
            }
        });
        waiters::wake_everybody();
    }
}

/// Marks the word if the thread with this number holds it. Returns whether it does.
fn mark(word: &AtomicU32, number: u32) -> bool {
    loop {
        // Relaxed: the exchange decides.
        let seen = State(word.load(Ordering::Relaxed));
        if seen.owner() != number {
            return false;
        }
        // Release: pairs with the Acquire of whoever looks at the word and sees the mark; the dead thread's writes come before it.
        let marked = seen.with(ABANDONED).0;
        if seen.has(ABANDONED) || word.compare_exchange(seen.0, marked, Ordering::Release, Ordering::Relaxed).is_ok() {
            return true;
        }
    }
}

#[cfg(all(test, loom))]
mod models {
    use loom::thread;

    use super::ThreadNumber;

    /// Numbers are claimed and retired at once: nobody has another one's, and no step takes another one back.
    #[test]
    fn numbers_are_nobody_elses() {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = builder.preemption_bound.or(Some(2));
        builder.check(|| {
            crate::begin_model();
            let other = thread::spawn(|| ThreadNumber::claim().unwrap());
            ThreadNumber::claim().unwrap().retire();
            let mine = ThreadNumber::claim().unwrap();
            let kept = other.join().unwrap();
            let third = ThreadNumber::claim().unwrap();
            assert!(mine != kept && third != kept && third != mine);
        });
    }
}
