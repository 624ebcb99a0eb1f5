//! What can go wrong, and what to do about it.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;
use core::time::Duration;

use crate::{MAX_WORKERS, Message, Status, ThreadId};

/// Why [`init`](crate::init) started nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InitError {
    /// `init` was called on a worker. Only the page's main thread can start workers that everybody can reach.
    NotMainThread,
    /// `init` has succeeded before on this page.
    AlreadyInitialised,
    /// This wasm file was built without the `atomics` feature: it has no shared memory.
    BuiltWithoutAtomics,
    /// The page was not loaded over HTTPS (or from localhost).
    InsecureContext,
    /// The page is not cross-origin isolated.
    NotIsolated,
    /// The page is isolated, and the browser has no `SharedArrayBuffer` all the same.
    NoSharedArrayBuffer,
    /// The code has atomics, but its memory is not shared.
    MemoryNotShared,
    /// Not between 1 and [`MAX_WORKERS`].
    WorkerCount {
        /// The count that was asked for.
        asked: usize,
    },
    /// Not a multiple of 64 KiB, or zero.
    StackSize {
        /// The bytes that were asked for.
        asked: u32,
    },
    /// The browser refused to create a worker, or to post it its first message.
    WorkerRefused {
        /// The worker script's URL.
        url: String,
        /// The browser's own words.
        message: String,
    },
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no workers were started: ")?;
        match self {
            InitError::NotMainThread => f.write_str(
                "`init` was called on a worker; call it once on the page's main thread and hand the thread ids to the workers",
            ),
            InitError::AlreadyInitialised => f.write_str(
                "`init` has succeeded before on this page; keep the thread ids of the first call and share them",
            ),
            InitError::BuiltWithoutAtomics => f.write_str(
                "this wasm file was built without threads; build it with `-C target-feature=+atomics`, a shared memory and \
                 `-Z build-std=std,panic_abort` (the README has the whole list of flags)",
            ),
            InitError::InsecureContext => f.write_str(
                "the page is not a secure context, so the browser gives it no shared memory; serve it over HTTPS or from localhost",
            ),
            InitError::NotIsolated => f.write_str(
                "the page is not cross-origin isolated, so the browser gives it no shared memory; serve it and its scripts with \
                 the headers `Cross-Origin-Opener-Policy: same-origin` and `Cross-Origin-Embedder-Policy: require-corp`",
            ),
            InitError::NoSharedArrayBuffer => f.write_str(
                "the page is cross-origin isolated, but this browser has no `SharedArrayBuffer`: it is switched off by a setting \
                 or a policy, or the browser is too old; nothing on the page can change that",
            ),
            InitError::MemoryNotShared => f.write_str(
                "the wasm memory is not shared; link with `--shared-memory`, `--import-memory` and `--max-memory`",
            ),
            InitError::WorkerCount { asked } => {
                write!(f, "{asked} workers were asked for; a page can have 1 to {MAX_WORKERS}")
            }
            InitError::StackSize { asked } => {
                write!(f, "a stack of {asked} bytes was asked for; give a multiple of 65536 greater than zero")
            }
            InitError::WorkerRefused { url, message } => write!(
                f,
                "the browser refused the worker script {url} ({message}); check the page's content security policy \
                 (`worker-src`) and that the script has the page's own origin"
            ),
        }
    }
}

impl core::error::Error for InitError {}

/// Why [`ready`](crate::ready) gave up: which worker did not start, how far it came, and what is known of the cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartError {
    pub(crate) thread: ThreadId,
    pub(crate) reached: Status,
    pub(crate) cause: StartCause,
}

/// What kept a worker from starting.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartCause {
    /// The worker's script could not be loaded: a 404, a wrong MIME type, a missing header, a policy. Browsers do not say which.
    ScriptNotLoaded {
        /// Where it was looked for.
        url: String,
    },
    /// The script, the glue or `on_init` threw.
    Threw {
        /// The exception's name and message.
        message: String,
    },
    /// The worker did not report in time.
    TimedOut {
        /// The time it had.
        after: Duration,
    },
    /// [`init`](crate::init) has not been called, or failed.
    NotInitialised,
    /// `ready` was awaited on a worker.
    NotMainThread,
}

impl StartError {
    /// The worker that did not start.
    #[must_use]
    pub fn thread(&self) -> ThreadId {
        self.thread
    }

    /// How far it had come.
    #[must_use]
    pub fn reached(&self) -> Status {
        self.reached
    }

    /// What is known of the cause.
    #[must_use]
    pub fn cause(&self) -> &StartCause {
        &self.cause
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StartError { thread, reached, cause } = self;
        match cause {
            StartCause::ScriptNotLoaded { url } => write!(
                f,
                "{thread} did not start: its script {url} could not be loaded; check that the URL answers with status 200, a \
                 JavaScript MIME type and the header `Cross-Origin-Embedder-Policy: require-corp`, or set `Options::script_url`"
            ),
            StartCause::Threw { message } => {
                write!(f, "{thread} did not start: {message} (so far {})", reached.done())
            }
            StartCause::TimedOut { after } => write!(
                f,
                "{thread} did not report within {} ms: {}; look for errors in the browser's console, or raise \
                 `Options::start_timeout` for slow networks",
                after.as_millis(),
                reached.done()
            ),
            StartCause::NotInitialised => {
                f.write_str("there are no workers to be ready: `init` has not been called, or returned an error")
            }
            StartCause::NotMainThread => {
                f.write_str("`ready` was awaited on a worker; await it on the main thread, which started the workers")
            }
        }
    }
}

impl core::error::Error for StartError {}

/// Why [`send`](crate::send) sent nothing. The message can be had back: nothing is queued and nothing has leaked.
pub struct SendError {
    pub(crate) reason: SendErrorReason,
    pub(crate) message: Box<Message>,
}

/// What kept a message from being sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendErrorReason {
    /// The browser cannot copy or transfer this payload (a function, a DOM node, a buffer that was transferred before).
    Payload {
        /// The exception's name, most often `DataCloneError`.
        name: String,
        /// The browser's own words.
        message: String,
    },
    /// No thread has this id.
    UnknownThread(ThreadId),
    /// The thread did not start or has died.
    LostThread(ThreadId, Status),
    /// The calling thread is none of ours: another worker over the same memory, or no [`init`](crate::init) yet.
    UnknownSender,
    /// Two million messages are under way to this thread already.
    Full(ThreadId),
}

impl SendError {
    /// For crates that send on their users' behalf: an error of their own making.
    #[must_use]
    pub fn new(reason: SendErrorReason, message: Message) -> SendError {
        SendError { reason, message: Box::new(message) }
    }

    /// What kept the message from being sent.
    #[must_use]
    pub fn reason(&self) -> &SendErrorReason {
        &self.reason
    }

    /// The message as it was given.
    pub fn into_message(self) -> Message {
        *self.message
    }
}

impl fmt::Debug for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SendError").field(&self.reason).finish()
    }
}

impl fmt::Display for SendErrorReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SendErrorReason::Payload { name, message } => write!(
                f,
                "the message was not sent, because the browser cannot copy or transfer its payload ({name}: {message}); send \
                 structured-cloneable values, and list transferable ones in the transfer list"
            ),
            SendErrorReason::UnknownThread(thread) => {
                write!(f, "the message was not sent: there is no {thread}; use the ids that `init` returned")
            }
            SendErrorReason::LostThread(thread, status) => {
                write!(f, "the message was not sent: {thread} handles nothing any more ({})", status.done())
            }
            SendErrorReason::UnknownSender => f.write_str(
                "the message was not sent: the calling thread is not one of Weblane's; call `init` on the main thread first, and \
                 send from there or from its workers",
            ),
            SendErrorReason::Full(thread) => write!(
                f,
                "the message was not sent: two million messages wait for {thread}; let it return to its event loop, or send less"
            ),
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl core::error::Error for SendErrorReason {}
impl core::error::Error for SendError {}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn texts_name_the_header_and_the_url() {
        assert!(InitError::NotIsolated.to_string().contains("Cross-Origin-Embedder-Policy: require-corp"));
        let error = StartError {
            thread: ThreadId::from_index(3),
            reached: Status::Created,
            cause: StartCause::ScriptNotLoaded { url: "https://example.org/w.js".into() },
        };
        assert!(error.to_string().starts_with("worker 3 did not start: its script https://example.org/w.js"));
    }

    #[test]
    fn a_time_out_says_how_far_the_worker_came() {
        let error = StartError {
            thread: ThreadId::from_index(1),
            reached: Status::GlueLoaded,
            cause: StartCause::TimedOut { after: Duration::from_millis(1500) },
        };
        let text = error.to_string();
        assert!(text.contains("1500 ms") && text.contains("not instantiated"), "{text}");
    }
}
