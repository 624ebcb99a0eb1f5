//! Marks in the browser's profiler: what ran on which worker, by name.
//!
//! With the feature `user-timing` a named stretch of time becomes an entry of the User Timing API (`performance.measure`), which the
//! profilers of all browsers show on their worker's track. Without the feature everything here is empty.
//!
//! Entries stay in the worker's `performance` until they are cleared, so this is for looking, not for production.

/// Milliseconds since the calling thread began, in steps of 5 to 100 µs. A call costs 0.3 µs in Chromium.
///
/// ```no_run
/// let start = weblane_workers::timing::now();
/// println!("{} ms", weblane_workers::timing::now() - start);
/// ```
#[must_use]
pub fn now() -> f64 {
    crate::glue::weblane_now()
}

/// Milliseconds by a clock that all threads of the page share, in the same steps: for times that begin on one thread and end on another.
///
/// Each thread's [`now`] begins with the thread; this adds when that was (`performance.timeOrigin`). Two threads can differ by a step, and by more
/// when the machine's clock was set between their starts, so a difference can be less than nothing.
///
/// ```no_run
/// use weblane_workers::{Message, ThreadId, send, timing};
///
/// # fn demo(worker: ThreadId) -> Result<(), weblane_workers::SendError> {
/// let sent = timing::clock();
/// send(worker, Message::new(move |_, _| println!("{} ms under way", timing::clock() - sent)))
/// # }
/// ```
#[must_use]
pub fn clock() -> f64 {
    crate::glue::weblane_clock()
}

/// Calls `run` on the calling thread after so long, from its event loop. For the timers of Weblane's own crates; a worker whose loop
/// sleeps has none.
#[doc(hidden)]
pub fn after(time: core::time::Duration, run: impl FnOnce() + 'static) {
    // Whatever a panic leaves behind is the caller's: nothing of ours is in it.
    let run = core::panic::AssertUnwindSafe(run);
    let fire = wasm_bindgen::closure::Closure::once_into_js(move || {
        let run = run;
        (run.0)();
    });
    crate::glue::weblane_after(time.as_millis() as f64, &fire);
}

/// An error on the calling thread's console.
#[doc(hidden)]
pub fn report(text: &str) {
    web_sys::console::error_1(&text.into());
}

/// A stretch of time that ends when it is dropped.
#[derive(Debug)]
#[must_use = "the stretch ends when this is dropped"]
pub struct Timing<'a> {
    #[cfg(feature = "user-timing")]
    start: f64,
    name: &'a str,
}

/// Begins a stretch of time with this name on the calling thread.
///
/// ```no_run
/// {
///     let _timing = weblane_workers::timing::begin("collide");
///     // ... what takes the time ...
/// }
/// ```
pub fn begin(name: &str) -> Timing<'_> {
    Timing {
        #[cfg(feature = "user-timing")]
        start: crate::glue::weblane_now(),
        name,
    }
}

impl Drop for Timing<'_> {
    fn drop(&mut self) {
        #[cfg(feature = "user-timing")]
        crate::glue::weblane_measure(self.name, self.start);
        let _ = self.name;
    }
}

/// A closure that shows under this name in the profiler each time it runs: a named task.
///
/// ```no_run
/// # fn spawn(task: impl FnOnce() + Send + 'static) {}
/// spawn(weblane_workers::timing::named("collide", || {
///     // ...
/// }));
/// ```
pub fn named<R>(name: &'static str, run: impl FnOnce() -> R) -> impl FnOnce() -> R {
    move || {
        let _timing = begin(name);
        run()
    }
}
