//! How far a worker has come, in one word of shared memory.

use core::sync::atomic::{AtomicU32, Ordering};

/// How far a worker has come.
///
/// The steps are stored by the worker itself, the first ones by its script before wasm runs there, so they can be read from any
/// thread, also when the worker never answers. What is read may be out of date by the time it is looked at; a worker only
/// moves down this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Status {
    /// The browser was asked for a worker; its script has not run.
    Created = 0,
    /// The worker's script has run and has received its first message.
    ScriptRan = 1,
    /// The wasm glue has been imported.
    GlueLoaded = 2,
    /// The wasm module is instantiated over the shared memory.
    Instantiated = 3,
    /// `on_init` has returned; the worker handles messages.
    Ready = 4,
    /// The worker did not start; [`ready`](crate::ready) says why.
    Failed = 5,
    /// The worker trapped, or a JS exception crossed its Rust frames. It handles nothing any more.
    Dead = 6,
}

impl Status {
    fn from_raw(raw: u32) -> Status {
        match raw {
            0 => Status::Created,
            1 => Status::ScriptRan,
            2 => Status::GlueLoaded,
            3 => Status::Instantiated,
            4 => Status::Ready,
            5 => Status::Failed,
            _ => Status::Dead,
        }
    }

    /// Whether messages to such a worker will never be handled.
    #[must_use]
    pub fn is_lost(self) -> bool {
        matches!(self, Status::Failed | Status::Dead)
    }

    /// What the worker had done when it stopped here, for error texts.
    pub(crate) fn done(self) -> &'static str {
        match self {
            Status::Created => "its script has not run",
            Status::ScriptRan => "its script ran, but importing the wasm glue did not finish",
            Status::GlueLoaded => "the glue was imported, but the wasm module was not instantiated",
            Status::Instantiated => "the wasm module is up, but `on_init` has not returned",
            Status::Ready => "it is ready",
            Status::Failed => "it reported a failure",
            Status::Dead => "it has died",
        }
    }
}

/// The word behind a [`Status`]. JS stores into it by address.
pub(crate) struct StatusWord(AtomicU32);

impl StatusWord {
    pub(crate) const fn new() -> Self {
        StatusWord(AtomicU32::new(0))
    }

    pub(crate) fn load(&self) -> Status {
        // Acquire: pairs with the Release in `step` (and with the `Atomics` in worker.js), so that who sees `Ready` sees what
        // `on_init` wrote.
        Status::from_raw(self.0.load(Ordering::Acquire))
    }

    /// Steps from one status to another, unless somebody else has stepped meanwhile: the worker to `Ready`, or the main thread,
    /// which gives it up. Returns the status that was there if it was not `from`.
    pub(crate) fn step(&self, from: Status, to: Status) -> Result<(), Status> {
        // AcqRel: Release pairs with the Acquire in `load`; Acquire, on both outcomes, with the Release of who stepped before.
        let step = self.0.compare_exchange(from as u32, to as u32, Ordering::AcqRel, Ordering::Acquire);
        step.map(drop).map_err(Status::from_raw)
    }

    /// The worker handles nothing any more, whatever it was before.
    pub(crate) fn bury(&self) {
        // AcqRel: as in `step`.
        self.0.swap(Status::Dead as u32, Ordering::AcqRel);
    }

    /// The address, for the `Atomics` in the worker's script.
    pub(crate) fn address(&self) -> usize {
        self.0.as_ptr() as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_steps_down_the_list_and_one_that_was_given_up_stays_so() {
        let word = StatusWord::new();
        let steps = [
            Status::Created,
            Status::ScriptRan,
            Status::GlueLoaded,
            Status::Instantiated,
            Status::Ready,
            Status::Failed,
        ];
        for step in steps.windows(2) {
            assert_eq!(word.step(step[0], step[1]), Ok(()));
            assert_eq!(word.load(), step[1]);
        }
        assert_eq!(word.step(Status::Instantiated, Status::Ready), Err(Status::Failed));
        assert!(word.load().is_lost());
        word.bury();
        assert_eq!(word.load(), Status::Dead);
    }
}
