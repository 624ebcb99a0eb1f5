//! The lock of [`RwLock`](super::RwLock): many readers or one writer, in two words, after std's futex lock (M. Bos, 2022).
//!
//! `word` is as in [`word`](crate::word): the number of readers, or HELD and the writer's number. Reading threads sleep on it, by SLEEPERS. Writing
//! threads sleep on `gate`, a count beside it, by WRITERS; so one of them can be woken without the readers.
//!
//! # Steps
//!
//! - *Read*: one more reader, if there is no writer and nobody waits. Else set SLEEPERS and sleep on the word.
//! - *Write*: HELD + number, if the word is free. Else set WRITERS; read the gate; look at the word once more; sleep on the gate.
//! - *Unlock*: take away what one put there, and nothing else. If the word is free now and has waiters:
//!   1. FUTURES: wake the first writing one, or all reading ones up to the first that writes; clear FUTURES if none is left.
//!   2. WRITERS: clear it; step the gate and notify one. If nobody slept there (it was a future's, or its thread is just on its way), go on:
//!   3. SLEEPERS: clear it, and notify all.
//!
//!   Steps 2 and 3 end as soon as the word is not free any more: its new holder will come here himself.
//!
//! # Why no wake-up is lost
//!
//! *Readers* sleep on a value with SLEEPERS, which only step 3 clears, and it notifies. *Writers*: who sleeps on the gate has set WRITERS, then read the
//! gate, then seen WRITERS still there. Step 2 clears before it steps the gate: so that writer sees the bit gone, or the gate has changed, or
//! he is asleep and can be notified. The one who is woken sets WRITERS again when he takes the lock, as he cannot know about others; if
//! somebody else was faster he sets it before he sleeps. *Futures* are listed under the table's lock while the word is **held** and has FUTURES, and the
//! bit is cleared under the table's lock when the last one is taken out; so whoever frees the word sees it.
//!
//! # Who comes first
//!
//! A reading thread does not pass those who wait, so writers are not starved by readers that come one after another. `try_`, spinning and futures
//! do take a free word whoever waits: it is not theirs to sleep, and the woken one tries again. A future waits for a *held* word only, for nobody
//! answers for a free one.
//!
//! A writer that died is told as in the mutex. **A reader that died is not**: the word counts readers and does not name them; writers then wait
//! for ever. A list of what each thread has read-locked would not do: a guard may be forgotten (`mem::forget`, which is safe) and its lock freed,
//! so that an entry can outlive what it names; a new lock at that address would be called abandoned, and be recovered for writing, while threads
//! that live read it. A list that cannot go wrong would have to be in the lock.

use core::sync::atomic::Ordering;

use crate::error::LockError;
use crate::owner;
use crate::primitive::{AtomicU32, PATIENCE, SPINS, constructor, spin};
use crate::waiters::{self, Whom};
use crate::word::{ABANDONED, FUTURES, HELD, ONE_READER, SLEEPERS, State, WAITERS, WRITERS};

/// The lock without the value.
pub(crate) struct RawRwLock {
    pub(crate) word: AtomicU32,
    gate: AtomicU32,
}

/// Whether a thread that would sleep may read: nobody writes, and nobody waits.
fn may_join(seen: State) -> bool {
    !seen.any(HELD | ABANDONED | SLEEPERS | WRITERS) && !seen.is_full()
}

impl RawRwLock {
    constructor! {
        pub(crate) fn new() -> RawRwLock {
            RawRwLock { word: AtomicU32::new(0), gate: AtomicU32::new(0) }
        }
    }

    /// Whether anybody may read who would not sleep: nobody writes and nobody waits, or the word is free.
    pub(crate) fn may_pass(seen: State) -> bool {
        seen.is_free() || may_join(seen)
    }

    fn load(&self) -> State {
        // Relaxed: whatever follows from it is decided by an exchange.
        State(self.word.load(Ordering::Relaxed))
    }

    /// One more reader while `may` says so. Else returns what the word is.
    #[inline]
    fn acquire_shared(&self, may: fn(State) -> bool) -> Result<(), State> {
        let mut seen = self.load();
        while may(seen) {
            // Acquire: pairs with the Release of whoever wrote last.
            match self.word.compare_exchange(seen.0, seen.0 + ONE_READER, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(now) => seen = State(now),
            }
        }
        Err(seen)
    }

    pub(crate) fn try_read(&self) -> Result<(), State> {
        self.acquire_shared(Self::may_pass)
    }

    /// Takes it for writing if it is free, and leaves `waiters` in the word.
    #[inline]
    fn acquire(&self, waiters: u32) -> Result<(), State> {
        let mine = HELD | owner::current() | waiters;
        // Acquire: pairs with the Release of whoever wrote last, and of every reader that has gone.
        match self.word.compare_exchange(0, mine, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => Ok(()),
            Err(seen) => self.acquire_waited(State(seen), mine),
        }
    }

    /// The same for a word that may have waiters' bits.
    #[cold]
    fn acquire_waited(&self, mut seen: State, mine: u32) -> Result<(), State> {
        while seen.is_free() {
            // Acquire: as in `acquire`.
            match self.word.compare_exchange(seen.0, seen.with(mine).0, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(now) => seen = State(now),
            }
        }
        Err(seen)
    }

    pub(crate) fn try_write(&self) -> Result<(), State> {
        self.acquire(0)
    }

    #[inline]
    pub(crate) fn read(&self) -> Result<(), LockError> {
        match self.acquire_shared(may_join) {
            Ok(()) => Ok(()),
            Err(_) => self.contended(Self::read_asleep, Self::try_read),
        }
    }

    #[inline]
    pub(crate) fn write(&self) -> Result<(), LockError> {
        match self.acquire(0) {
            Ok(()) => Ok(()),
            Err(_) => self.contended(Self::write_asleep, Self::try_write),
        }
    }

    #[cold]
    fn contended(
        &self,
        asleep: fn(&Self) -> Result<(), LockError>,
        attempt: fn(&Self) -> Result<(), State>,
    ) -> Result<(), LockError> {
        if weblane_futex::can_block() {
            return asleep(self);
        }
        self.spinning(PATIENCE, attempt).map_err(|error| match error {
            LockError::Held => LockError::MayNotBlock,
            other => other,
        })
    }

    /// Tries up to `turns` times more than once.
    pub(crate) fn spinning(&self, turns: u32, attempt: fn(&Self) -> Result<(), State>) -> Result<(), LockError> {
        let mut left = turns;
        loop {
            let Err(seen) = attempt(self) else {
                return Ok(());
            };
            if seen.is_abandoned() {
                return Err(LockError::Abandoned);
            }
            // Only looking, until there is something to try for: an exchange that fails would disturb the holder.
            loop {
                if left == 0 {
                    return Err(if seen.is_abandoned() { LockError::Abandoned } else { LockError::Held });
                }
                left -= 1;
                spin();
                if self.load() != seen {
                    break;
                }
            }
        }
    }

    fn spin_while(&self, busy: impl Fn(State) -> bool) {
        for _ in 0..SPINS {
            let seen = self.load();
            if !busy(seen) || seen.any(SLEEPERS | WRITERS | ABANDONED) {
                return;
            }
            spin();
        }
    }

    pub(crate) fn read_asleep(&self) -> Result<(), LockError> {
        self.spin_while(|seen| seen.has(HELD));
        loop {
            let Err(seen) = self.acquire_shared(may_join) else {
                return Ok(());
            };
            if seen.is_abandoned() {
                return Err(LockError::Abandoned);
            }
            assert!(!seen.is_full(), "a million threads read at once");
            // Relaxed: the mark carries nothing.
            let expected = seen.with(SLEEPERS).0;
            if seen.has(SLEEPERS)
                || self.word.compare_exchange(seen.0, expected, Ordering::Relaxed, Ordering::Relaxed).is_ok()
            {
                owner::sleep(&self.word, &self.word, expected);
                self.spin_while(|seen| seen.has(HELD));
            }
        }
    }

    pub(crate) fn write_asleep(&self) -> Result<(), LockError> {
        self.spin_while(|seen| !seen.is_free());
        let mut others = 0;
        loop {
            let Err(seen) = self.acquire(others) else {
                return Ok(());
            };
            if seen.is_abandoned() {
                return Err(LockError::Abandoned);
            }
            // Relaxed: the mark carries nothing.
            if !seen.has(WRITERS)
                && self
                    .word
                    .compare_exchange(seen.0, seen.with(WRITERS).0, Ordering::Relaxed, Ordering::Relaxed)
                    .is_err()
            {
                continue;
            }
            others = WRITERS;
            // Acquire: pairs with the Release in `wake_writer`; who reads the gate as it was stepped sees the bit as it was cleared before.
            let gate = self.gate.load(Ordering::Acquire);
            let seen = self.load();
            // That it is free is only a short cut: whoever freed it with the bit in it is about to step the gate. For a dead holder `sleep` looks.
            if seen.is_free() || !seen.has(WRITERS) {
                continue;
            }
            owner::sleep(&self.word, &self.gate, gate);
            self.spin_while(|seen| !seen.is_free());
        }
    }

    #[inline]
    pub(crate) fn unlock_shared(&self) {
        // Release: pairs with the Acquire of the next writer.
        let now = State(self.word.fetch_sub(ONE_READER, Ordering::Release) - ONE_READER);
        if now.is_free() && now.any(WAITERS) {
            self.wake(now);
        }
    }

    #[inline]
    pub(crate) fn unlock(&self) {
        let mine = HELD | owner::current();
        // Release: pairs with the Acquire of whoever comes next.
        if let Err(seen) = self.word.compare_exchange(mine, 0, Ordering::Release, Ordering::Relaxed) {
            self.unlock_waited(State(seen).hold());
        }
    }

    /// The same for a word that has waiters' bits, or another number than the thread has now.
    #[cold]
    fn unlock_waited(&self, hold: u32) {
        // Release: pairs with the Acquire of whoever comes next.
        let now = State(self.word.fetch_sub(hold, Ordering::Release) - hold);
        if now.any(WAITERS) {
            self.wake(now);
        }
    }

    /// The word has just become free, and was `state` then.
    #[cold]
    fn wake(&self, state: State) {
        if state.has(FUTURES) {
            self.wake_futures();
        }
        let mut seen = self.load();
        loop {
            if !seen.is_free() || !seen.any(WRITERS | SLEEPERS) {
                return;
            }
            let bit = if seen.has(WRITERS) { WRITERS } else { SLEEPERS };
            // Relaxed: carries nothing; who is woken looks at the word.
            let cleared = seen.without(bit);
            match self.word.compare_exchange(seen.0, cleared.0, Ordering::Relaxed, Ordering::Relaxed) {
                Err(now) => seen = State(now),
                Ok(_) if bit == SLEEPERS => {
                    weblane_futex::notify_all(&self.word);
                    return;
                }
                Ok(_) if self.wake_writer() => return,
                // No thread slept there.
                Ok(_) => seen = cleared,
            }
        }
    }

    /// Wakes a thread that sleeps at the gate, if there is one.
    fn wake_writer(&self) -> bool {
        // Release: pairs with the Acquire in `write_asleep`.
        self.gate.fetch_add(1, Ordering::Release);
        weblane_futex::notify_one(&self.gate)
    }

    /// Wakes those futures whose turn it is; also the way to pass a turn on.
    pub(crate) fn wake_futures(&self) {
        waiters::wake(&self.word, Whom::FirstOrSharers, |others| {
            if !others {
                // Relaxed: the table's lock orders it against who waits.
                self.word.fetch_and(!FUTURES, Ordering::Relaxed);
            }
        });
    }

    /// Whether a dead thread holds it for writing.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.load().is_abandoned()
    }

    /// Takes it over for writing from a dead writer.
    pub(crate) fn recover(&self) -> bool {
        loop {
            let seen = self.load();
            if !seen.is_abandoned() {
                return false;
            }
            let mine = HELD | owner::current() | seen.waiters();
            // Acquire: pairs with the Release of the mark; without a mark, `is_abandoned` has paired with that of the dead thread's number.
            if self.word.compare_exchange(seen.0, mine, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                return true;
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::RawRwLock;

    /// Who spins tries again as soon as the word has changed.
    #[test]
    fn a_change_ends_the_looking() {
        let lock = RawRwLock::new();
        assert!(lock.try_write().is_ok());
        let attempt = |lock: &RawRwLock| {
            let result = lock.try_write();
            if result.is_err() {
                // The holder goes in this very moment.
                lock.unlock();
            }
            result
        };
        assert!(lock.spinning(2, attempt).is_ok());
    }
}

#[cfg(all(test, loom))]
mod models {
    use loom::sync::Arc;
    use loom::thread;

    use super::RawRwLock;

    /// Two step the gate at once, and a writer comes between: none of the steps is lost, or he would fall asleep on a gate that had gone back.
    #[test]
    fn two_steps_at_once() {
        let mut builder = loom::model::Builder::new();
        // The one that steps late, the other before his second step, and the writer before he sleeps.
        builder.preemption_bound = Some(3);
        builder.check(|| {
            crate::begin_model();
            let lock = Arc::new(RawRwLock::new());
            assert!(lock.try_write().is_ok());
            let (one, two) = (Arc::clone(&lock), Arc::clone(&lock));
            let holder = thread::spawn(move || {
                one.unlock();
                one.write().unwrap();
                one.unlock();
            });
            let writer = thread::spawn(move || {
                two.write().unwrap();
                two.unlock();
            });
            // As one does who has cleared a mark some time ago.
            lock.wake_writer();
            holder.join().unwrap();
            writer.join().unwrap();
        });
    }
}
