//! A worker that is dead, and who is told.
//!
//! # How a death is noticed
//!
//! | how it died | noticed by |
//! |---|---|
//! | a trap, or a JS exception across wasm frames, in a message or in the resident | the worker's own script catches it: `die` |
//! | the same in a timer, a promise, an animation frame | the worker's `error` event: `die` |
//! | terminated, closed by its own script, killed by the browser | its **lock**: each worker has a Web Lock for life, the main thread waits for it |
//!
//! The lock's name begins with a number that no other instance of this library has, on this page or another of its origin (race 51). The
//! main thread gets it when the worker is truly gone: in Chromium a worker runs on for two seconds after `terminate()`. Where a browser
//! has no locks, only the first two rows are noticed.
//!
//! # What happens then
//!
//! On the main thread, once for each death:
//!
//! 1. The status becomes `Dead`: from then on `send` refuses, also a send that is under way and looks once more after posting.
//! 2. What waits in its inbox is dropped, which tells whoever waits for an answer.
//! 3. Every other worker is told by a message, and **settles its word** (below).
//! 4. Whoever waits for a lock of `weblane-sync` that it held, or comes for one later, learns that its holder is dead.
//! 5. The hooks of [`on_death`] run.
//!
//! # A sender that died between post and count (race 47)
//!
//! A message is posted first and counted after. A sender that dies in between leaves a receiver whose count ends at −1, and the next message
//! would go unnoticed. The −1 must not simply be taken for 0: it is also what a living sender leaves for a moment, and his +1 would follow. What
//! makes the difference is whose it is, so every pair has a **lane**, a counter of posts: odd while the sender is between his first step and his
//! last, then even again; half of it is what he has added to the receiver's word. The receiver counts for itself what it has handled of each.
//! So for each sender who lives and is not posting right now, `lane / 2 − handled` is exactly what he has in the word; a dead one should have 0.
//!
//! *Settle*, by the receiver in its own event loop: remember that this sender is settled. Read all lanes, the word, and all lanes again;
//! if a lane of a living sender was odd or has moved, again, and if that goes on, from a timer. Then the word must be the sum over the
//! living; what it is more or less is the dead one's, and is taken off, as a difference: what others add meanwhile stays. A message of a
//! settled sender that still arrives is run and not counted. If another sender has died in the middle of a post and is not settled yet,
//! his lane does not come to rest before his own settlement, which then does both.
//!
//! A receiver that sleeps with −1 would not wake for the message that asks it to settle. So where the dead sender's lane is odd, the main
//! thread first counts one more than it posts. The settlement, being exact, takes that off as well.
//!
//! No gate, and nothing is flushed: a dead sender adds nothing any more, and what he has posted does not count.

use core::cell::Cell;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};
use std::thread_local;

use alloc::format;

use wasm_bindgen::closure::Closure;

use crate::threads::{Thread, current, manager, thread};
use crate::{MAX_THREADS, Message, ThreadId, glue, resident, send};

/// How many hooks [`on_death`] takes.
const MAX_HOOKS: usize = 16;

static HOOKS: [AtomicPtr<()>; MAX_HOOKS] = [const { AtomicPtr::new(core::ptr::null_mut()) }; MAX_HOOKS];

/// Has `hook` called on the main thread, with the id of every worker that dies from now on. A worker that never started is none.
///
/// For those who must settle what a dead worker leaves behind: a pool, a lock. By the time of the call the worker runs nothing any more,
/// its status is `Dead`, and the other workers have been told (a message is under way to each). The same hook twice is one hook. May be
/// called on any thread. Returns whether there was room: at most 16 hooks are kept.
///
/// ```no_run
/// fn bury(worker: weblane_workers::ThreadId) {
///     println!("{worker} has died: {:?}", weblane_workers::last_words(worker));
/// }
/// assert!(weblane_workers::on_death(bury));
/// ```
#[must_use = "a hook that found no room is never called"]
pub fn on_death(hook: fn(ThreadId)) -> bool {
    let new = hook as *mut ();
    HOOKS.iter().any(|place| {
        // AcqRel: nothing but the pointer is handed over; on failure it is what is compared.
        let placed = place.compare_exchange(core::ptr::null_mut(), new, Ordering::AcqRel, Ordering::Acquire);
        placed.err().is_none_or(|there| there == new)
    })
}

fn run_hooks(id: ThreadId) {
    for place in &HOOKS {
        // Acquire: pairs with the AcqRel in `on_death`.
        let hook = place.load(Ordering::Acquire);
        if hook.is_null() {
            return;
        }
        // SAFETY: only `on_death` writes here, and only what it made of a `fn(ThreadId)`.
        let hook = unsafe { core::mem::transmute::<*mut (), fn(ThreadId)>(hook) };
        hook(id);
    }
}

/// Whether the death of a thread has been dealt with.
pub(crate) struct Buried(AtomicBool);

impl Buried {
    pub(crate) const fn new() -> Self {
        Buried(AtomicBool::new(false))
    }
}

/// Waits for the lock of a worker that has just reported in. On the main thread.
pub(crate) fn watch(id: ThreadId) {
    let gone = Closure::<dyn FnMut()>::new(move || bury(id, "it was terminated, or closed by its own script"));
    if glue::weblane_watch(&lock_name(id), &gone) {
        // It lives as long as the worker, which is as long as the page.
        gone.forget();
    }
}

/// The name of a worker's lock.
pub(crate) fn lock_name(id: ThreadId) -> alloc::string::String {
    let instance = manager().map_or("", |manager| manager.instance.as_str());
    format!("weblane {instance} {}", id.index())
}

/// A worker handles nothing any more. On the main thread; the second report of the same death does nothing.
pub(crate) fn bury(id: ThreadId, cause: &str) {
    let Some(dead) = thread(id) else { return };
    dead.status.bury();
    // Relaxed: only the main thread asks.
    if dead.buried.0.swap(true, Ordering::Relaxed) {
        return;
    }
    if dead.last_words.get().is_none() {
        dead.last_words.set(cause);
    }
    drop(dead.inbox.clear());
    let words = dead.last_words.get().unwrap_or_default();
    web_sys::console::error_1(
        &format!("weblane: {id} has died ({cause}); what it was running is lost; last words: {words}").into(),
    );
    let workers = manager().map_or(0, |manager| manager.workers());
    for other in (1..=workers as u32).map(ThreadId::from_index).filter(|other| *other != id) {
        if dead.lanes[other.slot()].load() & 1 == 1
            && let Some(other) = thread(other)
        {
            // The message may make a zero out of −1, which wakes nobody. One more does; the settlement takes it off again, so it comes first.
            other.word.message_posted();
        }
        // One that is dead too needs nothing.
        let _ = send(other, Message::new(move |_, _| settle(id)));
    }
    dead.abandon_number();
    run_hooks(id);
}

// --------------------------------------------------------------------------------------------------------------- the words

/// The posts of one sender to one receiver: odd while one is being made, else twice their number. Written by the sender only.
pub(crate) struct Lane(AtomicU32);

impl Lane {
    pub(crate) const fn new() -> Self {
        Lane(AtomicU32::new(0))
    }

    /// The sender is about to post. Returns what to end with.
    pub(crate) fn begin(&self) -> u32 {
        // Relaxed: nobody else writes.
        let before = self.0.load(Ordering::Relaxed);
        // SeqCst: before the addition to the receiver's word in the order of all threads; partner: the first reading in `settle`.
        self.0.swap(before.wrapping_add(1), Ordering::SeqCst);
        before
    }

    /// The sender has posted and counted.
    pub(crate) fn done(&self, before: u32) {
        // SeqCst: after the addition to the receiver's word; partner: both readings in `settle`.
        self.0.swap(before.wrapping_add(2), Ordering::SeqCst);
    }

    /// The sender has not posted.
    pub(crate) fn undo(&self, before: u32) {
        // SeqCst: as in `done`.
        self.0.swap(before, Ordering::SeqCst);
    }

    fn load(&self) -> u32 {
        // SeqCst: partner: `begin` and `done`.
        self.0.load(Ordering::SeqCst)
    }
}

thread_local! {
    /// Messages that this thread has handled and counted down, by sender.
    static HANDLED: [Cell<u32>; MAX_THREADS] = const { [const { Cell::new(0) }; MAX_THREADS] };
    /// The senders that are settled here: a bit each.
    static SETTLED: Cell<u64> = const { Cell::new(0) };
    /// Whether the word has not been settled for all of them.
    static UNSETTLED: Cell<bool> = const { Cell::new(false) };
}

/// A message of `sender` has been handled by this worker, whose entry is `me`.
pub(crate) fn handled(me: &Thread, sender: ThreadId) {
    let left = if SETTLED.get() >> sender.index() & 1 == 1 {
        me.word.load().messages()
    } else {
        HANDLED.with(|handled| {
            let handled = &handled[sender.slot()];
            handled.set(handled.get().wrapping_add(1));
        });
        me.word.message_done()
    };
    // Only the last message asks for the re-entry: JS has priority.
    if left <= 0 {
        resident::request_entry();
    }
}

/// How often lanes are read in a row, and after how many milliseconds again. A post takes microseconds, but its sender may lose its
/// processor in the middle; the sender of the very message that asks for the settlement may.
const TRIES: usize = 100;
const PAUSE: u32 = 5;

/// Takes what the dead thread `dead` has left in this worker's word out of it.
fn settle(dead: ThreadId) {
    SETTLED.set(SETTLED.get() | 1 << dead.index());
    UNSETTLED.set(true);
    try_to_settle();
}

/// Settles the calling worker's word, if that is due and the lanes are at rest; else comes back later. Whether it has.
pub(crate) fn try_to_settle() -> bool {
    if !UNSETTLED.get() {
        return false;
    }
    let (Some(me), Some(mine)) = (current(), current().and_then(thread)) else { return false };
    let settled = SETTLED.get();
    let living = |sender: &ThreadId| settled >> sender.index() & 1 == 0;
    let workers = manager().map_or(0, |manager| manager.workers());
    // What the living have in the word; none if one of them is posting.
    let sum = || {
        (0..=workers as u32).map(ThreadId::from_index).filter(living).try_fold(0_u32, |sum, sender| {
            let posts = thread(sender)?.lanes[me.slot()].load();
            let handled = HANDLED.with(|handled| handled[sender.slot()].get());
            (posts & 1 == 0).then(|| sum.wrapping_add((posts >> 1).wrapping_sub(handled)))
        })
    };
    for _ in 0..TRIES {
        let before = sum();
        let word = mine.word.load().messages();
        if let (Some(before), Some(after)) = (before, sum())
            && before == after
        {
            // 31 bits, signed.
            let expected = (before << 1) as i32 >> 1;
            mine.word.correct_messages(expected.wrapping_sub(word));
            UNSETTLED.set(false);
            return true;
        }
        core::hint::spin_loop();
    }
    resident::look_again(PAUSE);
    false
}
