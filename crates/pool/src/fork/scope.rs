//! `scope`: children that borrow, any number of them, all ended when the scope ends.
//!
//! # How
//!
//! A scope keeps its children in a plain list, which only its own thread uses: to spawn is to append. When the thread's window has room, which the join's own
//! word says (`hot`), the scope packs the older half of its list into a **batch** and pushes that as a branch, like a join does: a thief takes the batch and
//! makes it the list of a scope of its own, which exposes and is robbed in turn. So a child costs an append, a batch costs what a join
//! costs, and there is no other protocol than the window's.
//!
//! At its end the scope runs its list, the youngest first, exposing halves of the rest as there is room; then it pops its batches, the youngest first: one that
//! is still there becomes the list again; for one that was taken it waits, as a join does. A child is given the scope whose list it was in, that of the
//! thread that runs it, so what it spawns goes there: a chain of children that spawn children is a loop and not a recursion.
//!
//! # The order of branches
//!
//! The window is a stack: who pops must have pushed last. A join inside the scope's closure has popped when it returns. But the scope could be asked to
//! spawn inside such a join, or inside an inner scope, whose branches lie above its own; then it only appends. It knows by the
//! window's count, which is the scope's base plus its batches exactly when nothing lies above.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::{Cell, UnsafeCell};
use core::fmt;
use core::marker::PhantomData;
use core::mem;
use core::ptr::NonNull;
use std::panic::resume_unwind;

use super::branch::Header;
use super::child::Child;
use super::{hot, join};
use crate::ThreadPool;
use crate::handle::JoinError;
use crate::here::Here;
use crate::host::{Host, Payload, Seat};

/// A place to spawn tasks that borrow; see [`scope`].
///
/// It belongs to one thread. A task that spawns uses the scope that it is given, not the one that it was spawned in.
pub struct Scope<'scope> {
    /// Children that nobody else can see.
    children: UnsafeCell<Vec<Child<'scope>>>,
    /// What has been exposed and was not taken back, the oldest first: from `Box::into_raw`.
    batches: UnsafeCell<Vec<NonNull<Batch<'scope>>>>,
    /// The worker, if the scope's thread is one, and its window's count when the scope began.
    seat: Option<(Seat<Here>, u32)>,
    /// The first panic.
    panic: Cell<Option<Payload>>,
    /// Invariant in the lifetime, and of one thread.
    marker: PhantomData<*mut &'scope ()>,
}

/// Children that can be taken, together.
#[repr(C)]
struct Batch<'scope> {
    header: Header,
    children: UnsafeCell<Vec<Child<'scope>>>,
    /// The first panic, after a thief has run them.
    panic: UnsafeCell<Option<Payload>>,
}

impl<'scope> Scope<'scope> {
    fn new(children: Vec<Child<'scope>>) -> Self {
        // SAFETY: a seat is only set while its pool's core is alive and running on this thread.
        let seat = Here::seat().map(|seat| (seat, unsafe { &*seat.core }.host().lane(seat.worker).window.pushed()));
        Scope {
            children: UnsafeCell::new(children),
            batches: UnsafeCell::new(Vec::new()),
            seat,
            panic: Cell::new(None),
            marker: PhantomData,
        }
    }

    /// Spawns a task, which may borrow what outlives the scope, and is given a scope to spawn more.
    ///
    /// It runs on any worker, at some time before the scope ends. Cheap: an append to a list, and now and then half of the list is put where others can take it.
    ///
    /// # Panics in the task
    ///
    /// Where panics unwind: the other tasks go on, and the scope panics at its end, with the first panic that it knows of.
    #[inline]
    pub fn spawn(&self, task: impl FnOnce(&Scope<'scope>) + Send + 'scope) {
        // SAFETY: this is the scope's thread (it cannot be shared), and nothing is called while the list is borrowed.
        unsafe { &mut *self.children.get() }.push(Child::new(task));
        if !hot::inline_only() {
            self.expose();
        }
    }

    /// Pushes the older half of the children as a branch, if there is room and nothing lies above this scope's branches.
    #[cold]
    #[inline(never)]
    fn expose(&self) {
        let Some((seat, base)) = self.seat else { return };
        // SAFETY: the seat's pool is running this scope.
        let core = unsafe { &*seat.core };
        let window = &core.host().lane(seat.worker).window;
        // SAFETY: as in `spawn`.
        let (children, batches) = unsafe { (&mut *self.children.get(), &mut *self.batches.get()) };
        if children.is_empty() || window.is_full() || window.pushed() != base + batches.len() as u32 {
            return;
        }
        let younger = children.split_off(children.len().div_ceil(2));
        let batch = NonNull::from(Box::leak(Box::new(Batch {
            header: Header::new(seat.worker, run_batch),
            children: UnsafeCell::new(mem::replace(children, younger)),
            panic: UnsafeCell::new(None),
        })));
        Here::publish_memory();
        // SAFETY: this is the worker's thread; the batch is boxed, and kept in `batches` until it is popped or settled, by `finish`, which every scope ends
        // with.
        if unsafe { window.push(batch.as_ptr().cast()) } {
            batches.push(batch);
            hot::refresh(window);
            join::announce(core, window);
        } else {
            // A slot whose thief is slow: the older half goes back to its place.
            // SAFETY: leaked above, and not pushed.
            let mut older = unsafe { Box::from_raw(batch.as_ptr()) }.children.into_inner();
            older.append(children);
            *children = older;
        }
    }

    /// Runs the children, and theirs, and waits for what others have taken.
    fn finish(&self) {
        loop {
            self.run_children();
            // SAFETY: as in `spawn`.
            let Some(batch) = unsafe { &mut *self.batches.get() }.pop() else { break };
            let Some((seat, _)) = self.seat else { break };
            // SAFETY: the seat's pool is running this scope.
            let core = unsafe { &*seat.core };
            let window = &core.host().lane(seat.worker).window;
            // SAFETY: this is the worker's thread, and the youngest branch is this batch: children have popped or settled theirs.
            if unsafe { window.pop() } {
                hot::refresh(window);
                // SAFETY: it was leaked from a box, and it is nobody else's again.
                let batch = unsafe { Box::from_raw(batch.as_ptr()) };
                // SAFETY: as in `spawn`; the list is empty.
                unsafe { *self.children.get() = batch.children.into_inner() };
                continue;
            }
            // SAFETY: the batch is there until this thread ends it.
            join::wait_for(core, seat.worker, unsafe { &batch.as_ref().header });
            // SAFETY: as above; it was taken, and it is done.
            unsafe { window.settle() };
            hot::refresh(window);
            // SAFETY: as above.
            if unsafe { batch.as_ref() }.header.state().lost() {
                self.keep(join::lost::<Here>());
            }
            // SAFETY: it was leaked from a box, and the thief is done with it.
            if let Some(payload) = unsafe { Box::from_raw(batch.as_ptr()) }.panic.into_inner() {
                self.keep(payload);
            }
        }
    }

    fn run_children(&self) {
        loop {
            // SAFETY: as in `spawn`; the borrow ends before the child runs.
            let Some(child) = unsafe { &mut *self.children.get() }.pop() else { break };
            if !hot::inline_only() {
                self.expose();
            }
            if let Err(payload) = Here::catch(|| child.run(self)) {
                self.keep(payload);
            }
        }
    }

    /// Keeps the first panic.
    fn keep(&self, payload: Payload) {
        let first = self.panic.take();
        let second = if first.is_none() {
            self.panic.set(Some(payload));
            None
        } else {
            self.panic.set(first);
            Some(payload)
        };
        // A payload's destructor is user code.
        let _ = Here::catch(|| drop(second));
    }
}

/// Runs a batch that a thief has taken.
///
/// # Safety
///
/// `header` is the beginning of a `Batch` whose children and panic belong to the calling thread, until it sets DONE; and it was not run before.
unsafe fn run_batch(header: *const Header) {
    // SAFETY: the caller says so. The lifetime is of no matter here: whoever waits for the batch keeps everything alive.
    let batch = unsafe { &*header.cast::<Batch<'_>>() };
    // SAFETY: as above.
    let scope = Scope::new(mem::take(unsafe { &mut *batch.children.get() }));
    scope.finish();
    // SAFETY: as above.
    unsafe { *batch.panic.get() = scope.panic.take() };
}

impl fmt::Debug for Scope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").finish_non_exhaustive()
    }
}

/// Runs `work`, which can spawn tasks that borrow, and returns when all of them have ended.
///
/// Inside a task of a pool the tasks run on its workers; on another thread they run one after the other, when `work` has returned: go into a pool with
/// [`ThreadPool::scope`].
///
/// # Panics
///
/// Where panics unwind: if `work` panics, with its panic; else if a task did, with that one's; after all have ended.
///
/// # Examples
///
/// ```
/// # #[cfg(not(target_arch = "wasm32"))]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = weblane_pool::ThreadPool::with_threads(2)?;
/// let mut squares = vec![0; 10];
/// pool.scope(|scope| {
///     for (i, square) in squares.iter_mut().enumerate() {
///         scope.spawn(move |_| *square = i * i);
///     }
/// })?;
/// assert_eq!(squares[9], 81);
/// # Ok(())
/// # }
/// ```
pub fn scope<'scope, R>(work: impl FnOnce(&Scope<'scope>) -> R) -> R {
    let scope = Scope::new(Vec::new());
    let result = Here::catch(|| work(&scope));
    scope.finish();
    match (result, scope.panic.take()) {
        (Ok(value), None) => value,
        (Ok(_), Some(payload)) => resume_unwind(payload),
        (Err(payload), later) => {
            let _ = Here::catch(|| drop(later));
            resume_unwind(payload)
        }
    }
}

impl ThreadPool {
    /// [`scope`] in this pool: from one of its tasks directly, from elsewhere by way of [`install`](ThreadPool::install).
    ///
    /// # Errors
    ///
    /// As for [`install`](ThreadPool::install).
    ///
    /// # Panics
    ///
    /// As [`scope`].
    pub fn scope<'scope, R: Send>(&self, work: impl FnOnce(&Scope<'scope>) -> R + Send) -> Result<R, JoinError> {
        self.install(|| scope(work))
    }
}
