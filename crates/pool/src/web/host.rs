//! Web workers as the scheduler's surroundings.

use core::cell::Cell;
use core::time::Duration;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread_local;
use std::vec::Vec;

use weblane_sync::ThreadWord;
use weblane_workers::{MAX_THREADS, ThreadId, growth};

use crate::host::{Host, Lane, Payload, Seat};
use crate::stats::Count;

/// The host of this target.
pub(crate) type Here = WebHost;

/// A worker is known by its thread id.
pub(crate) type ThreadName = ThreadId;

/// One lane for every thread there can be. Static, so that rings lie in memory that existed at the start: in Chromium memory that
/// another thread has just grown can trap (race 55). All zero, so that they cost nothing in the wasm file. A thread is in
/// one pool at a time, so a lane has one pool at a time.
static LANES: [Lane; MAX_THREADS] = [const { Lane::new() }; MAX_THREADS];

thread_local! {
    static SEAT: Cell<Option<Seat<WebHost>>> = const { Cell::new(None) };
    static RESTING: Cell<Option<Seat<WebHost>>> = const { Cell::new(None) };
}

/// One worker of a pool.
pub(crate) struct Place {
    pub(crate) id: ThreadId,
    word: &'static ThreadWord,
    lane: &'static Lane,
}

/// The workers of one pool.
pub(crate) struct WebHost {
    pub(crate) places: Vec<Place>,
}

impl WebHost {
    /// The host of these threads, each of which exists and is reserved for this pool.
    pub(crate) fn new(threads: &[ThreadId]) -> WebHost {
        let place = |id: &ThreadId| {
            let lane = &LANES[id.index() as usize];
            lane.counters.reset();
            Some(Place { id: *id, word: weblane_workers::word(*id)?, lane })
        };
        WebHost { places: threads.iter().filter_map(place).collect() }
    }

    pub(crate) fn name(&self, worker: usize) -> ThreadName {
        self.places[worker].id
    }
}

impl Host for WebHost {
    fn workers(&self) -> usize {
        self.places.len()
    }

    fn word(&self, worker: usize) -> &ThreadWord {
        self.places[worker].word
    }

    fn lane(&self, worker: usize) -> &Lane {
        self.places[worker].lane
    }

    fn seat() -> Option<Seat<Self>> {
        SEAT.get()
    }

    fn set_seat(seat: Option<Seat<Self>>) -> Option<Seat<Self>> {
        SEAT.replace(seat)
    }

    fn resting() -> Option<Seat<Self>> {
        RESTING.get()
    }

    fn set_resting(seat: Option<Seat<Self>>) {
        RESTING.set(seat);
    }

    fn runner() -> u32 {
        // The main thread is 0: when it dies the page does.
        weblane_workers::current().map_or(0, ThreadId::index)
    }

    fn worker_of(&self, runner: u32) -> Option<usize> {
        self.places.iter().position(|place| place.id.index() == runner)
    }

    // It is a call of JS.
    const CLOCK_AT_HAND: bool = false;

    fn now() -> Duration {
        Duration::from_micros((weblane_workers::timing::now() * 1000.0) as u64)
    }

    fn catch<R>(run: impl FnOnce() -> R) -> Result<R, Payload> {
        // Where panics abort this is a plain call, and a panic is a trap. Unwind safety: the closure is consumed, and its panic
        // goes to whoever waits for it.
        catch_unwind(AssertUnwindSafe(run))
    }

    fn call(&self, worker: usize) {
        weblane_workers::call(self.places[worker].id);
    }

    fn must_come_out() -> bool {
        weblane_workers::holds() != 0
    }

    fn publish_memory() {
        growth::publish();
    }

    fn adopt_memory() {
        growth::adopt();
    }
}

/// Counts a JS task on the calling worker.
pub(crate) fn count_js() {
    if let Some(id) = weblane_workers::current() {
        LANES[id.index() as usize].counters.count(Count::Js, 1);
    }
}

/// Counts, on the calling worker, how long a message of JS tasks was under way, in milliseconds.
pub(crate) fn count_latency(ms: f64, times: u32) {
    if let Some(id) = weblane_workers::current() {
        // Less than nothing becomes 0 in the cast: two threads' clocks differ a little.
        LANES[id.index() as usize].counters.js_latency.record((ms * 1000.0) as u64, u64::from(times));
    }
}

thread_local! {
    /// The calling thread's word, looked up once.
    static MINE: Cell<Option<&'static ThreadWord>> = const { Cell::new(None) };
}

/// Whether messages wait for the calling worker.
pub(crate) fn js_pending() -> bool {
    let word = MINE.get().or_else(|| {
        let word = weblane_workers::current().filter(|id| !id.is_main()).and_then(weblane_workers::word);
        MINE.set(word);
        word
    });
    word.is_some_and(|word| word.load().messages() > 0)
}

/// Whether the calling worker is wanted in its event loop.
pub(crate) fn should_yield() -> bool {
    js_pending() || weblane_workers::holds() != 0
}
