//! A task that somebody waits for: its header, which outlives its place in a queue.
//!
//! # Why a header
//!
//! A detached task lives inside its slot and can only be popped. A task with a handle must also be reachable from the handle:
//! a worker that waits for a task that is still queued **claims** it and runs it on the spot, instead of sleeping until
//! somebody else gets there. So its closure lives in a header from a pooled slab, and the queue holds a reference.
//!
//! # State
//!
//! One 32-bit word, which is also the futex on which a worker waits for the task:
//!
//! | bit | set by | means |
//! |---|---|---|
//! | CLAIMED | whoever is about to run it, once | the closure is his |
//! | DONE | whoever ran it, once | the output is there |
//! | SLEEPER | the handle | somebody sleeps on this word |
//! | WAKER | the handle | the waker's cell is full |
//! | TAKEN | the handle | the output has been moved out |
//! | CANCEL | anybody | the task is asked to stop, if it asks |
//! | 6 to 15 | the maker | the pool's tag, for the reaper; 0: none |
//! | 16 to 31 | with CLAIMED | the runner: who has claimed it (0: a thread that cannot die alone) |
//!
//! Every change is one read-modify-write. There is one handle and it is used by one thread at a time, so SLEEPER,
//! WAKER and TAKEN have one writer. Steps:
//!
//! 1. *Claim*: compare-and-swap CLAIMED and the runner in; it was clear: run it. The queue's reference, popped later, finds it claimed and goes.
//! 2. *Complete*: write the output; `fetch_or(DONE)`; SLEEPER was set: notify; WAKER was set: take the waker and wake it.
//! 3. *Wait*: DONE: take. Not CLAIMED: claim and run. Else `fetch_or(SLEEPER)`, hand the own queue over, sleep while unchanged.
//! 4. *Poll*: fill the waker's cell, `fetch_or(WAKER)`. If DONE was set already, the completer has not seen the waker: take the
//!    output. To replace a waker, `fetch_and(!WAKER)` first: if DONE was set the completer has it.
//!
//! 5. *Cancel*: claim it and drop the closure. If it is claimed already, set CANCEL: a running task can ask for it.
//! 6. *Trap*: the runner is dead (the reaper knows), and so is the closure, which lay on its stack. The reaper completes the job in its place.
//! 7. *Queue again*: the reaper does not know what a dead worker had taken from a queue and not claimed yet. So it queues every job of the pool that nobody has claimed once
//!    more, with one more reference. Whoever comes second, by either reference, finds it claimed. The dead one's own reference is never given back, and its header is lost to the slab.
//!
//! Two references keep a header: the queue's and the handle's. Whoever completes holds one of them while he notifies, so a
//! header is never recycled under a notification; and slabs are never unmapped, so that a late notification of a recycled
//! header is a spurious wake-up of somebody, which everybody allows.

use core::marker::PhantomData;
use core::ptr::NonNull;
use core::sync::atomic::Ordering;
use core::task::Waker;

use crate::handle::JoinError;
use crate::host::Host;
use crate::primitive::{AtomicU32, UnsafeCell, fence};
use crate::slab;
use crate::stored::{Storage, Stored};

const CLAIMED: u32 = 1 << 0;
const DONE: u32 = 1 << 1;
const SLEEPER: u32 = 1 << 2;
const WAKER: u32 = 1 << 3;
const TAKEN: u32 = 1 << 4;
const CANCEL: u32 = 1 << 5;
/// Where the pool's tag begins, and what fits there.
const TAG: u32 = 6;
const TAGS: u32 = 0x3ff;
/// Where the runner's number begins.
const RUNNER: u32 = 16;

/// A header's state as it was at some instant.
#[derive(Clone, Copy)]
pub(crate) struct JobState(u32);

impl JobState {
    pub(crate) const fn claimed(self) -> bool {
        self.0 & CLAIMED != 0
    }

    pub(crate) const fn done(self) -> bool {
        self.0 & DONE != 0
    }

    /// Of which pool it is: its tag, or 0.
    #[cfg(any(loom, not(shuttle)))]
    const fn tag(self) -> u32 {
        self.0 >> TAG & TAGS
    }

    /// Who has claimed it.
    pub(crate) const fn runner(self) -> u32 {
        self.0 >> RUNNER
    }
}

/// What to do with a job whose types are known only to its own function.
#[derive(Clone, Copy)]
enum Act<'a> {
    /// Run the closure and leave the output in its place.
    Run,
    /// Drop the closure and leave `Cancelled` in its place.
    Cancel,
    /// The closure is lost: leave `Trapped` in its place, with these last words of its thread.
    #[cfg_attr(
        any(shuttle, not(any(target_arch = "wasm32", test))),
        allow(dead_code, reason = "only workers of the web die alone")
    )]
    Trap(&'a str),
    /// Drop the output.
    DropOutput,
}

/// The function that knows a job's types.
type ActFn = for<'a> unsafe fn(&Header, Act<'a>);

/// A task's header. All zero is a valid empty header.
pub(crate) struct Header {
    state: AtomicU32,
    references: AtomicU32,
    act: UnsafeCell<Option<ActFn>>,
    waker: UnsafeCell<Option<Waker>>,
    storage: UnsafeCell<Storage>,
    /// The header's number in the slab.
    pub(crate) number: AtomicU32,
    /// The next free header, for the slab.
    pub(crate) next: AtomicU32,
    /// How often it was given back, if a model makes it anew; its memory stays then.
    #[cfg(loom)]
    pub(crate) given_back: Option<AtomicU32>,
}

// SAFETY: the cells are guarded by the protocol above: `storage` and `act` belong to the maker, then to whoever claimed, then to the
// handle; `waker` to the handle while WAKER is clear and to the completer from DONE on. What is stored is `Send`.
unsafe impl Sync for Header {}
// SAFETY: as above.
unsafe impl Send for Header {}

impl Header {
    #[cfg(not(loom))]
    pub(crate) const fn empty() -> Header {
        Header {
            state: AtomicU32::new(0),
            references: AtomicU32::new(0),
            act: UnsafeCell::new(None),
            waker: UnsafeCell::new(None),
            storage: UnsafeCell::new(Storage::uninit()),
            number: AtomicU32::new(0),
            next: AtomicU32::new(0),
        }
    }

    #[cfg(loom)]
    pub(crate) fn empty() -> Header {
        Header {
            state: AtomicU32::new(0),
            references: AtomicU32::new(0),
            act: UnsafeCell::new(None),
            waker: UnsafeCell::new(None),
            storage: UnsafeCell::new(Storage::uninit()),
            number: AtomicU32::new(0),
            next: AtomicU32::new(0),
            given_back: None,
        }
    }

    /// The word on which a waiter sleeps.
    pub(crate) fn word(&self) -> &AtomicU32 {
        &self.state
    }

    pub(crate) fn state(&self) -> JobState {
        // Acquire: pairs with the Release in `complete`; who sees DONE sees the output.
        JobState(self.state.load(Ordering::Acquire))
    }

    /// The caller, and nobody else ever, may run the closure; `runner` is his number.
    pub(crate) fn claim(&self, runner: u32) -> bool {
        // Relaxed: the swap orders.
        let mut seen = JobState(self.state.load(Ordering::Relaxed));
        while !seen.claimed() {
            let next = seen.0 | CLAIMED | runner << RUNNER;
            // Relaxed: what is claimed came with the reference (by the queue, or with the handle), and a second claimer learns nothing.
            match self.state.compare_exchange(seen.0, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => seen = JobState(now),
            }
        }
        false
    }

    /// Asks the task to stop: drops it if it is still queued; otherwise it may ask [`is_cancelled`](Header::is_cancelled). Returns whether it was
    /// dropped.
    ///
    /// # Safety
    ///
    /// The caller holds a reference.
    pub(crate) unsafe fn ask_to_stop(&self, runner: u32) -> bool {
        if self.claim(runner) {
            // SAFETY: just claimed, and the caller holds a reference.
            unsafe { self.cancel() };
            return true;
        }
        // Relaxed: a request that orders nothing.
        self.state.fetch_or(CANCEL, Ordering::Relaxed);
        false
    }

    /// Whether the task was asked to stop.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.state.load(Ordering::Relaxed) & CANCEL != 0
    }

    /// Completes a job whose runner is dead. Returns whether it was such a job.
    ///
    /// # Safety
    ///
    /// Thread `runner` runs nothing any more, for ever, and nobody else calls this.
    #[cfg(any(loom, not(shuttle)))]
    #[cfg_attr(not(any(target_arch = "wasm32", test)), allow(dead_code, reason = "native threads do not die alone"))]
    pub(crate) unsafe fn trap(&'static self, runner: u32, words: &str) -> bool {
        let state = self.state();
        if !state.claimed() || state.runner() != runner {
            return false;
        }
        if state.done() {
            self.tell_again(runner);
            return false;
        }
        // SAFETY: what the runner owned is nobody's. The closure has been moved to its stack (or is leaked with the storage).
        unsafe { self.call(Act::Trap(words)) };
        self.complete();
        true
    }

    /// The dead `runner` may not have told whoever waits; then it has a reference for ever. Else the header may be made anew at any moment, its waker another's.
    #[cfg(any(loom, not(shuttle)))]
    fn tell_again(&'static self, runner: u32) {
        let Some(job) = self.one_more_reference() else { return };
        let state = job.header().state();
        if state.done() && state.runner() == runner {
            self.tell(state.0);
        }
    }

    /// One more reference for a queue, if this is a job of that pool that nobody has claimed.
    #[cfg(any(loom, not(shuttle)))]
    #[cfg_attr(not(any(target_arch = "wasm32", test)), allow(dead_code, reason = "native threads do not die alone"))]
    pub(crate) fn again(&'static self, tag: u32) -> Option<JobRef> {
        let wanted = |state: JobState| !state.claimed() && !state.done() && state.tag() == tag;
        if tag == 0 || !wanted(self.state()) {
            return None;
        }
        // It may be another job by then, of another pool.
        self.one_more_reference().filter(|_| wanted(self.state()))
    }

    /// One more reference, if the header is in use. Only then is its state one that stays its own.
    #[cfg(any(loom, not(shuttle)))]
    fn one_more_reference(&'static self) -> Option<JobRef> {
        let mut references = self.references.load(Ordering::Relaxed);
        while references != 0 {
            // Acquire: pairs with the Release in `make`: a header that was made anew has a new state.
            match self.references.compare_exchange(references, references + 1, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Some(JobRef(NonNull::from(self))),
                Err(now) => references = now,
            }
        }
        None
    }

    /// Runs the closure and tells whoever waits.
    ///
    /// # Safety
    ///
    /// The caller's [`claim`](Header::claim) of this job succeeded, it is his first end, and he holds a reference.
    pub(crate) unsafe fn run(&self) {
        // SAFETY: the caller has claimed the closure.
        unsafe { self.call(Act::Run) };
        self.complete();
    }

    /// Drops the closure unrun and tells whoever waits.
    ///
    /// # Safety
    ///
    /// As for [`run`](Header::run).
    unsafe fn cancel(&self) {
        // SAFETY: the caller has claimed the closure.
        unsafe { self.call(Act::Cancel) };
        self.complete();
    }

    /// # Safety
    ///
    /// The calling thread owns `storage` by the protocol, in the state that `act` takes it in.
    unsafe fn call(&self, act: Act<'_>) {
        let call = self.act.with_mut(|cell| {
            // SAFETY: `act` was written before the job was shared and is only read from then on.
            unsafe { *cell }
        });
        if let Some(call) = call {
            // SAFETY: passed on to the caller.
            unsafe { call(self, act) };
        }
    }

    fn complete(&self) {
        // AcqRel: Release pairs with the Acquire in `state` and in the handle's read-modify-writes (the output); Acquire pairs with
        // the Release of `fetch_or(WAKER)` (the waker's cell).
        let before = self.state.fetch_or(DONE, Ordering::AcqRel);
        self.tell(before);
    }

    /// Tells whoever waits, by what the state was.
    fn tell(&self, before: u32) {
        if before & SLEEPER != 0 {
            weblane_futex::notify_all(&self.state);
        }
        if before & WAKER != 0 {
            let waker = self.waker.with_mut(|cell| {
                // SAFETY: WAKER was set when DONE was: the cell is the completer's from here on.
                unsafe { (*cell).take() }
            });
            if let Some(waker) = waker {
                weblane_futex::growth::adopt(); // Race 55: what it leads to is the handle's.
                waker.wake();
            }
        }
    }

    /// The handle is about to sleep on the word. Returns the value to sleep on, or `None` when the job is done.
    pub(crate) fn announce_sleeper(&self) -> Option<u32> {
        // Relaxed: who learns that it is done asks `state` before he takes anything.
        let before = self.state.fetch_or(SLEEPER, Ordering::Relaxed);
        (before & DONE == 0).then_some(before | SLEEPER)
    }

    /// Leaves a waker to be woken at the end. Returns whether the job is done; then the waker is not kept.
    ///
    /// # Safety
    ///
    /// The caller is the handle.
    pub(crate) unsafe fn set_waker(&self, waker: &Waker) -> bool {
        // SAFETY: the caller is the handle.
        if unsafe { self.take_waker() } {
            return true;
        }
        weblane_futex::growth::publish();
        self.waker.with_mut(|cell| {
            // SAFETY: WAKER is clear and DONE was not set with it: the cell is the handle's.
            unsafe { *cell = Some(waker.clone()) };
        });
        // AcqRel: Release gives the cell to the completer; Acquire pairs with his Release if he was there first.
        let before = self.state.fetch_or(WAKER, Ordering::AcqRel);
        before & DONE != 0 && {
            // He came before the waker and will not look: the cell is still the handle's.
            self.waker.with_mut(|cell| {
                // SAFETY: as just said.
                drop(unsafe { (*cell).take() });
            });
            true
        }
    }

    /// Empties the waker's cell. Returns whether the job is done.
    ///
    /// # Safety
    ///
    /// The caller is the handle.
    pub(crate) unsafe fn take_waker(&self) -> bool {
        // Acquire: as in `set_waker`. Nothing is released: a completer who finds WAKER clear leaves the cell alone.
        let before = self.state.fetch_and(!WAKER, Ordering::Acquire);
        if before & DONE != 0 {
            // If there was a waker the completer has it.
            return true;
        }
        if before & WAKER != 0 {
            self.waker.with_mut(|cell| {
                // SAFETY: WAKER was set and DONE was not: the completer has not come, and will not see WAKER when he does.
                drop(unsafe { (*cell).take() });
            });
        }
        false
    }

    /// Moves the output out.
    ///
    /// # Safety
    ///
    /// The caller is the handle, made for output `T`; the job is done; the output was not taken before.
    pub(crate) unsafe fn take_output<T>(&self) -> Output<T> {
        self.state.fetch_or(TAKEN, Ordering::Relaxed);
        self.storage.with_mut(|storage| {
            // SAFETY: DONE gave the storage to the handle, with an output of the handle's own type in it.
            unsafe { Stored::<Output<T>>::read(storage) }
        })
    }
}

/// What a job leaves: its value, or why there is none.
pub(crate) type Output<T> = Result<T, JoinError>;

/// What a job runs.
trait Closure<T> {
    fn call(self, job: &Header) -> T;
}

struct Plain<F>(F);

impl<T, F: FnOnce() -> T> Closure<T> for Plain<F> {
    fn call(self, _: &Header) -> T {
        self.0()
    }
}

struct WithToken<F>(F);

impl<T, F: FnOnce(&CancelToken<'_>) -> T> Closure<T> for WithToken<F> {
    fn call(self, job: &Header) -> T {
        self.0(&CancelToken(job))
    }
}

/// How a running task learns that it was cancelled: it asks.
///
/// The task's answer is its own: it may return early, with any value, or go on.
pub struct CancelToken<'a>(&'a Header);

impl CancelToken<'_> {
    /// Whether [`JoinHandle::cancel`](crate::JoinHandle::cancel) was called. Costs one load; `true` stays true.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }
}

impl core::fmt::Debug for CancelToken<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("CancelToken").field("cancelled", &self.is_cancelled()).finish()
    }
}

/// A reference to a job; the last one gives the header back.
pub(crate) struct JobRef(NonNull<Header>);

// SAFETY: headers are `Sync`, and references are counted by an atomic.
unsafe impl Send for JobRef {}

impl JobRef {
    /// Makes a job of no pool; returns the queue's reference and the handle's.
    #[cfg(test)]
    pub(crate) fn new<H: Host, F: FnOnce() -> T + Send + 'static, T: Send + 'static>(run: F) -> (JobRef, JobRef) {
        Self::make::<H, _, T>(0, Plain(run))
    }

    /// Makes a job of the pool with this tag; returns the queue's reference and the handle's.
    pub(crate) fn of_pool<H, F, T>(tag: u32, run: F) -> (JobRef, JobRef)
    where
        H: Host,
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        Self::make::<H, _, T>(tag, Plain(run))
    }

    /// The same, with a closure that can ask whether it was cancelled.
    pub(crate) fn with_token<H, F, T>(tag: u32, run: F) -> (JobRef, JobRef)
    where
        H: Host,
        F: FnOnce(&CancelToken<'_>) -> T + Send + 'static,
        T: Send + 'static,
    {
        Self::make::<H, _, T>(tag, WithToken(run))
    }

    fn make<H: Host, F: Closure<T> + Send + 'static, T: Send + 'static>(tag: u32, run: F) -> (JobRef, JobRef) {
        // SAFETY: the slab gave out a valid header that nobody else refers to.
        unsafe { Self::make_in::<H, F, T>(slab::allocate(), tag, run) }
    }

    /// The same in this header.
    ///
    /// # Safety
    ///
    /// Nobody else refers to it, but for the reaper, who looks whether it has references.
    unsafe fn make_in<H, F, T>(header: NonNull<Header>, tag: u32, run: F) -> (JobRef, JobRef)
    where
        H: Host,
        F: Closure<T> + Send + 'static,
        T: Send + 'static,
    {
        // SAFETY: the caller's promise.
        let job = unsafe { header.as_ref() };
        // Relaxed: the header is not shared yet; whatever hands the references over orders these.
        job.state.swap((tag & TAGS) << TAG, Ordering::Relaxed);
        // SAFETY: not shared yet.
        job.act.with_mut(|cell| unsafe { *cell = Some(act::<H, F, T>) });
        // SAFETY: not shared yet, and a free header's storage holds nothing.
        job.storage.with_mut(|storage| unsafe { Stored::<F>::write(storage, run) });
        // Release: pairs with the Acquire in `one_more_reference`, by which the reaper may come upon it before it is shared.
        job.references.swap(2, Ordering::Release);
        (JobRef(header), JobRef(header))
    }

    pub(crate) fn header(&self) -> &Header {
        // SAFETY: a counted reference keeps the header from the slab.
        unsafe { self.0.as_ref() }
    }

    /// The queue's end of a job: runs it, unless a waiter has claimed it.
    pub(crate) fn run_if_queued(self, runner: u32) {
        let job = self.header();
        if job.claim(runner) {
            // SAFETY: just claimed, and `self` is a reference.
            unsafe { job.run() };
        }
    }
}

impl Drop for JobRef {
    fn drop(&mut self) {
        let job = self.header();
        // AcqRel: Release for what this reference did; Acquire (by the fence below) for what the other one did.
        if job.references.fetch_sub(1, Ordering::Release) != 1 {
            return;
        }
        fence(Ordering::Acquire);
        // Relaxed: the fence above ordered everything before.
        let state = job.state.load(Ordering::Relaxed);
        if state & DONE != 0 && state & TAKEN == 0 {
            // SAFETY: the last reference owns everything, and the output is there.
            unsafe { job.call(Act::DropOutput) };
        }
        // SAFETY: this was the last reference, and nothing is left inside.
        unsafe { slab::recycle(self.0) };
    }
}

/// The queue's reference, as a closure captures it: a task that is dropped without having run cancels its job. In both cases it is the thread that does so
/// that has claimed it: if it dies in the middle, in the closure's destructor too, the reaper knows whose the job was.
pub(crate) struct QueuedJob<H: Host>(Option<JobRef>, PhantomData<fn() -> H>);

impl<H: Host> QueuedJob<H> {
    pub(crate) fn new(job: JobRef) -> Self {
        QueuedJob(Some(job), PhantomData)
    }

    pub(crate) fn run(mut self) {
        if let Some(job) = self.0.take() {
            job.run_if_queued(H::runner());
        }
    }
}

impl<H: Host> Drop for QueuedJob<H> {
    fn drop(&mut self) {
        if let Some(job) = self.0.take()
            && job.header().claim(H::runner())
        {
            // SAFETY: just claimed, and `job` is a reference.
            unsafe { job.header().cancel() };
        }
    }
}

/// The one function that knows a job's types.
///
/// # Safety
///
/// As for `Header::call`; the job was made for `F` and `T`.
unsafe fn act<H, F, T>(job: &Header, act: Act<'_>)
where
    H: Host,
    F: Closure<T>,
{
    // The closure leaves the storage before it runs: user code must not run inside the cell's access.
    // SAFETY: the caller owns the storage, which holds the closure in both cases.
    let closure = || job.storage.with_mut(|storage| unsafe { Stored::<F>::read(storage) });
    let output: Output<T> = match act {
        Act::Run => {
            let closure = closure();
            H::catch(|| closure.call(job)).map_err(JoinError::Panicked)
        }
        Act::Cancel => {
            // A panic in a captured value's destructor is that value's affair; the waiter must be told all the same.
            let closure = closure();
            let _ = H::catch(|| drop(closure));
            Err(JoinError::Cancelled)
        }
        Act::Trap(words) => Err(JoinError::Trapped(words.into())),
        Act::DropOutput => {
            // SAFETY: the caller owns the storage, which holds the output.
            let output = job.storage.with_mut(|storage| unsafe { Stored::<Output<T>>::read(storage) });
            let _ = H::catch(|| drop(output));
            return;
        }
    };
    // SAFETY: the caller owns the storage, and the closure has been moved out.
    job.storage.with_mut(|storage| unsafe { Stored::<Output<T>>::write(storage, output) });
    H::publish_memory();
}

#[cfg(all(test, loom))]
mod model;
