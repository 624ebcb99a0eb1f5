//! Tasks with names, for profilers and for hooks.
//!
//! A name costs nothing unless somebody looks: without the features `user-timing` and `task-hook` the closure is queued as it is, and the name is
//! forgotten at the call. With one of them the closure carries its name (a pointer and a length), and its run becomes a **span**: its begin
//! is told before the closure is called, its end when it has returned or unwound. A task that traps has a begin and no end.
//!
//! | feature | who is told |
//! |---|---|
//! | `user-timing` | the browser: an entry of the User Timing API (`performance.measure`) on the worker's own track, when the task has ended |
//! | `task-hook` | the function of [`set_task_hook`], on the worker, at the begin and at the end |

#[cfg(feature = "task-hook")]
use core::time::Duration;

use crate::front::{Closed, JoinHandle, ThreadPool};
use crate::injector::Priority;
use crate::job::CancelToken;

/// Spawns tasks with a name. Made by [`ThreadPool::named`].
#[derive(Clone, Copy, Debug)]
#[must_use = "a name alone spawns nothing"]
pub struct NamedTask<'a> {
    pool: &'a ThreadPool,
    name: &'static str,
    priority: Priority,
}

impl ThreadPool {
    /// Tasks under a name, by which the browser's profiler shows them (feature `user-timing`) and hooks see them (feature `task-hook`). Without these
    /// features the same as without a name. For JS tasks see `JsTask::name`.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(not(target_arch = "wasm32"))]
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let pool = weblane_pool::ThreadPool::with_threads(2)?;
    /// use weblane_pool::Priority;
    ///
    /// let mut collisions = pool.named("collide").spawn(|| 7);
    /// pool.named("thumbnails").priority(Priority::Background).spawn_detached(|| { /* ... */ });
    /// assert_eq!(collisions.join()?, 7);
    /// # Ok(())
    /// # }
    /// ```
    pub fn named(&self, name: &'static str) -> NamedTask<'_> {
        NamedTask { pool: self, name, priority: Priority::Normal }
    }
}

impl NamedTask<'_> {
    /// Another priority than normal.
    pub fn priority(self, priority: Priority) -> Self {
        NamedTask { priority, ..self }
    }

    /// As [`ThreadPool::spawn_at`].
    pub fn spawn<T: Send + 'static>(self, task: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        self.pool.spawn_at(self.priority, span::around(self.name, task))
    }

    /// As [`ThreadPool::spawn_cancellable`].
    pub fn spawn_cancellable<T: Send + 'static>(
        self,
        task: impl FnOnce(&CancelToken<'_>) -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let name = span::Name::new(self.name);
        self.pool.spawn_cancellable(self.priority, move |token| {
            let _span = name.begin();
            task(token)
        })
    }

    /// As [`ThreadPool::spawn_detached`].
    pub fn spawn_detached(self, task: impl FnOnce() + Send + 'static) {
        let _ = self.try_spawn_detached(task);
    }

    /// As [`ThreadPool::try_spawn_detached`].
    ///
    /// # Errors
    ///
    /// [`Closed`] after [`shutdown`](ThreadPool::shutdown). The task has been dropped.
    pub fn try_spawn_detached(self, task: impl FnOnce() + Send + 'static) -> Result<(), Closed> {
        self.pool.try_spawn_detached(self.priority, span::around(self.name, task))
    }
}

/// What a hook is told of a task.
#[cfg(feature = "task-hook")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskPhase {
    /// The task begins, on the calling thread.
    Begin,
    /// It has returned, or its panic has unwound. The hook is called on the same thread, and named tasks on one thread end in the opposite order of
    /// their beginnings. `after` is the time between, by the pool's clock; on the web in steps of 5 to 100 µs.
    End {
        /// How long it took.
        after: Duration,
    },
}

/// Has `hook` called at the begin and at the end of every named task of every pool, Rust and JS, on the thread that runs it. `None`: nobody any more.
///
/// A bridge to `tracing`, `puffin` or one's own log. The hook must be quick, and must not panic: where panics unwind, a panic of the hook is the
/// task's.
///
/// # Examples
///
/// ```
/// # #[cfg(not(target_arch = "wasm32"))]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use weblane_pool::{TaskPhase, set_task_hook};
///
/// fn note(name: &str, phase: TaskPhase) {
///     println!("{name}: {phase:?}");
/// }
/// set_task_hook(Some(note));
/// # let pool = weblane_pool::ThreadPool::with_threads(2)?;
/// pool.named("collide").spawn(|| ()).join()?; // prints "collide: Begin", and "collide: End { after: .. }"
/// # Ok(())
/// # }
/// ```
#[cfg(feature = "task-hook")]
pub fn set_task_hook(hook: Option<fn(&str, TaskPhase)>) {
    span::set_hook(hook);
}

/// With nobody to tell.
#[cfg(not(any(feature = "task-hook", all(feature = "user-timing", target_arch = "wasm32"))))]
pub(crate) mod span {
    /// A name that is forgotten.
    #[derive(Clone, Copy)]
    pub(crate) struct Name;

    impl Name {
        pub(crate) fn new(_: &str) -> Name {
            Name
        }

        /// Nothing to end.
        pub(crate) fn begin(self) -> Name {
            self
        }
    }

    /// The closure itself.
    pub(crate) fn around<R, F: FnOnce() -> R>(_: &str, task: F) -> F {
        task
    }

    #[cfg(target_arch = "wasm32")]
    pub(crate) fn begin(_: &str) {}
}

/// With somebody to tell.
#[cfg(any(feature = "task-hook", all(feature = "user-timing", target_arch = "wasm32")))]
pub(crate) mod span {
    #[cfg(feature = "task-hook")]
    use core::sync::atomic::{AtomicPtr, Ordering};

    /// A task's name.
    #[derive(Clone, Copy)]
    pub(crate) struct Name(&'static str);

    impl Name {
        pub(crate) fn new(name: &'static str) -> Name {
            Name(name)
        }

        pub(crate) fn begin(self) -> Span<'static> {
            begin(self.0)
        }
    }

    /// The closure inside a span.
    pub(crate) fn around<R, F: FnOnce() -> R>(name: &'static str, task: F) -> impl FnOnce() -> R + use<R, F> {
        move || {
            let _span = begin(name);
            task()
        }
    }

    /// A task that runs. Its end is when this is dropped.
    pub(crate) struct Span<'a> {
        #[cfg(feature = "task-hook")]
        hook: Option<(Hook, &'a str, core::time::Duration)>,
        /// Dropped after the hook was called: the entry covers the hook too.
        #[cfg(all(feature = "user-timing", target_arch = "wasm32"))]
        _timing: weblane_workers::timing::Timing<'a>,
    }

    /// The task of this name begins on the calling thread.
    pub(crate) fn begin(name: &str) -> Span<'_> {
        Span {
            #[cfg(all(feature = "user-timing", target_arch = "wasm32"))]
            _timing: weblane_workers::timing::begin(name),
            #[cfg(feature = "task-hook")]
            hook: hook().map(|hook| {
                hook(name, super::TaskPhase::Begin);
                (hook, name, now())
            }),
        }
    }

    #[cfg(feature = "task-hook")]
    fn now() -> core::time::Duration {
        <crate::here::Here as crate::host::Host>::now()
    }

    #[cfg(feature = "task-hook")]
    impl Drop for Span<'_> {
        fn drop(&mut self) {
            if let Some((hook, name, begin)) = self.hook.take() {
                hook(name, super::TaskPhase::End { after: now().saturating_sub(begin) });
            }
        }
    }

    #[cfg(feature = "task-hook")]
    type Hook = fn(&str, super::TaskPhase);

    /// A [`Hook`], or null. `core`'s, also in models: no decision of the pool depends on it.
    #[cfg(feature = "task-hook")]
    static HOOK: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

    #[cfg(feature = "task-hook")]
    pub(super) fn set_hook(hook: Option<Hook>) {
        // Release: pairs with the Acquire in `hook`; what the setter has prepared is there for the hook.
        HOOK.store(hook.map_or(core::ptr::null_mut(), |hook| hook as *mut ()), Ordering::Release);
    }

    #[cfg(feature = "task-hook")]
    fn hook() -> Option<Hook> {
        // Acquire: pairs with the Release in `set_hook`.
        let hook = HOOK.load(Ordering::Acquire);
        // SAFETY: only `set_hook` writes here, and only null and what it made of a `Hook`.
        (!hook.is_null()).then(|| unsafe { core::mem::transmute::<*mut (), Hook>(hook) })
    }
}

#[cfg(all(test, not(loom), feature = "std", not(feature = "task-hook")))]
mod tests {
    use super::*;

    /// What a name costs without a feature that wants it.
    #[test]
    fn without_a_listener_a_named_task_is_the_closure_itself() {
        let big = [7_u64; 6];
        let task = move || big.iter().sum::<u64>();
        let size = size_of_val(&task);
        let named = span::around("sum", task);
        assert_eq!((size_of_val(&named), named()), (size, 42));
        assert_eq!(size_of::<span::Name>(), 0);
        let pool = ThreadPool::with_threads(1).expect("a thread");
        let mut cancellable =
            pool.named("count").priority(Priority::High).spawn_cancellable(|token| token.is_cancelled());
        assert!(!cancellable.join().expect("no panic"));
    }
}

#[cfg(all(test, not(loom), feature = "std", feature = "task-hook"))]
mod tests {
    use std::string::String;
    use std::sync::Mutex;
    use std::thread::ThreadId;
    use std::vec::Vec;

    use super::*;

    static TOLD: Mutex<Vec<(String, bool, ThreadId)>> = Mutex::new(Vec::new());

    fn tell(name: &str, phase: TaskPhase) {
        // Other tests' named tasks go on meanwhile.
        if name.starts_with("hook") {
            let begin = phase == TaskPhase::Begin;
            TOLD.lock().expect("no panic").push((name.into(), begin, std::thread::current().id()));
        }
    }

    fn told() -> Vec<(String, bool, ThreadId)> {
        core::mem::take(&mut *TOLD.lock().expect("no panic"))
    }

    #[test]
    fn the_hook_sees_begin_and_end_of_named_tasks_on_their_thread() {
        let pool = ThreadPool::with_threads(1).expect("a thread");
        set_task_hook(Some(tell));
        let inner = pool.clone();
        let thread = pool.named("hook outer").spawn(move || {
            // Nobody else is there, so it is run on the spot, inside.
            inner.named("hook inner").spawn(|| ()).join().expect("no panic");
            inner.spawn(|| ()).join().expect("no panic");
            std::thread::current().id()
        });
        let thread = { thread }.join().expect("no panic");
        let expected = [("hook outer", true), ("hook inner", true), ("hook inner", false), ("hook outer", false)];
        // The value comes out before the span's end only if the end came late; it must not.
        assert_eq!(told(), expected.map(|(name, begin)| (name.into(), begin, thread)));

        let panics = pool.named("hook panic").spawn_cancellable(|_| panic!("on purpose"));
        assert!({ panics }.join().is_err());
        let ended: Vec<_> = told().into_iter().map(|(name, begin, _)| (name, begin)).collect();
        assert_eq!(ended, [("hook panic".into(), true), ("hook panic".into(), false)]);

        set_task_hook(None);
        pool.named("hook unheard").spawn(|| ()).join().expect("no panic");
        assert_eq!(told(), []);
    }
}
