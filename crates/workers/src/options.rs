//! What a start can be told.

use alloc::sync::Arc;
use core::fmt;
use core::time::Duration;

use crate::{InitError, MAX_WORKERS, ThreadId};

pub(crate) type OnInit = Arc<dyn Fn(ThreadId) + Send + Sync>;

/// How [`init`](crate::init) starts the workers. Everything has a default.
///
/// ```
/// use std::time::Duration;
/// use weblane_workers::Options;
///
/// let options = Options::new()
///     .count(4)
///     .name("physics") // devtools show "physics 1" to "physics 4"
///     .stack_size(4 << 20)
///     .start_timeout(Duration::from_secs(20))
///     .on_init(|id| println!("{id} is up"));
/// # let _ = options;
/// ```
#[derive(Clone)]
#[must_use = "options do nothing until they are given to `init`"]
pub struct Options {
    pub(crate) count: Option<usize>,
    pub(crate) name: alloc::string::String,
    pub(crate) stack_size: Option<u32>,
    pub(crate) script_url: Option<alloc::string::String>,
    pub(crate) start_timeout: Duration,
    pub(crate) on_init: Option<OnInit>,
}

/// wasm's page: stacks come in multiples of it.
const PAGE: u32 = 65_536;

impl Options {
    /// As many workers as the machine has logical processors (at most 32), the script that comes with this crate, 2 MiB of
    /// stack, 10 s to start.
    pub fn new() -> Options {
        Options {
            count: None,
            name: "weblane".into(),
            stack_size: None,
            script_url: None,
            start_timeout: Duration::from_secs(10),
            on_init: None,
        }
    }

    /// How many workers, 1 to [`MAX_WORKERS`].
    pub fn count(mut self, workers: usize) -> Options {
        self.count = Some(workers);
        self
    }

    /// The first part of every worker's name; its number follows. At most 40 bytes are kept.
    pub fn name(mut self, name: impl Into<alloc::string::String>) -> Options {
        self.name = name.into();
        self
    }

    /// Bytes of stack for each worker, a multiple of 64 KiB; 2 MiB without this. A worker's stack is a block of the heap
    /// without a guard page: overflowing it corrupts memory silently, so be generous.
    pub fn stack_size(mut self, bytes: u32) -> Options {
        self.stack_size = Some(bytes);
        self
    }

    /// Where to load the worker's script from, instead of beside the wasm glue: for a strict content security policy, an
    /// extension, or a bundler that does not see it. Serve a copy of this crate's `js/worker.js` there, with the headers
    /// `Cross-Origin-Embedder-Policy: require-corp` and a JavaScript MIME type. A relative URL is relative to the page.
    pub fn script_url(mut self, url: impl Into<alloc::string::String>) -> Options {
        self.script_url = Some(url.into());
        self
    }

    /// How long a worker may take to report in before [`ready`](crate::ready) calls it failed; 10 s without this.
    pub fn start_timeout(mut self, timeout: Duration) -> Options {
        self.start_timeout = timeout;
        self
    }

    /// Runs in every worker before it counts as ready and before it handles its first message.
    pub fn on_init(mut self, run: impl Fn(ThreadId) + Send + Sync + 'static) -> Options {
        self.on_init = Some(Arc::new(run));
        self
    }

    /// Checks what can be checked without a browser, and settles the count.
    pub(crate) fn settle(&self, processors: usize) -> Result<usize, InitError> {
        let count = self.count.unwrap_or_else(|| processors.clamp(1, 32));
        if count == 0 || count > MAX_WORKERS {
            return Err(InitError::WorkerCount { asked: count });
        }
        match self.stack_size {
            Some(bytes) if bytes == 0 || bytes % PAGE != 0 => Err(InitError::StackSize { asked: bytes }),
            _ => Ok(count),
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Options::new()
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("count", &self.count)
            .field("name", &self.name)
            .field("stack_size", &self.stack_size)
            .field("script_url", &self.script_url)
            .field("start_timeout", &self.start_timeout)
            .field("on_init", &self.on_init.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_count_follows_the_machine_within_bounds() {
        assert_eq!(Options::new().settle(0), Ok(1));
        assert_eq!(Options::new().settle(6), Ok(6));
        assert_eq!(Options::new().settle(200), Ok(32));
    }

    #[test]
    fn counts_out_of_bounds_are_refused() {
        for asked in [0, MAX_WORKERS + 1] {
            assert_eq!(Options::new().count(asked).settle(4), Err(InitError::WorkerCount { asked }));
        }
        assert_eq!(Options::new().count(MAX_WORKERS).settle(4), Ok(MAX_WORKERS));
    }

    #[test]
    fn stacks_are_whole_pages() {
        for asked in [0, 1, PAGE + 1] {
            assert_eq!(Options::new().stack_size(asked).settle(4), Err(InitError::StackSize { asked }));
        }
        assert_eq!(Options::new().stack_size(PAGE).settle(4), Ok(4));
    }
}
