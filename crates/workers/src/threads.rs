//! The threads of this page: their words, their inboxes, their names, and which one is running.

use core::cell::Cell;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread_local;

use spin::Once;
use weblane_sync::{ThreadNumber, ThreadWord};

use crate::death::{Buried, Lane};
use crate::hold::CallWord;
use crate::inbox::Inbox;
use crate::last_words::LastWords;
use crate::options::OnInit;
use crate::status::{Status, StatusWord};
use crate::{MAX_THREADS, MAX_WORKERS, ThreadId};

/// What everybody may touch of one thread. Static, all zero at the start, and never given to another thread: a word whose
/// waiter died may swallow a wake-up, and memory that was grown later may trap in Chromium (see `growth`).
pub(crate) struct Thread {
    /// The word on which this thread sleeps and which counts the messages under way to it.
    pub(crate) word: ThreadWord,
    pub(crate) status: StatusWord,
    /// Where panics unwind: what wasm-bindgen's glue in this worker takes for its flag "this module has trapped" (race 50). Only JS touches it.
    pub(crate) trapped: AtomicU32,
    pub(crate) inbox: Inbox,
    /// Whether a loop lives on this thread, or is about to.
    pub(crate) reserved: AtomicBool,
    /// By which it is called while it rests in its event loop.
    pub(crate) call: CallWord,
    /// What it has posted, by receiver.
    pub(crate) lanes: [Lane; MAX_THREADS],
    pub(crate) last_words: LastWords,
    pub(crate) buried: Buried,
    /// By which its locks are known (`weblane_sync::ThreadNumber`), 0 for none. Written by the thread at its start.
    number: AtomicU32,
}

impl Thread {
    /// Gives the calling thread, whose entry this is, a number for its locks.
    fn adopt_number(&self) {
        if let Some(number) = ThreadNumber::claim() {
            // Release: pairs with the Acquire in `abandon_number`. Before the first lock that bears it.
            self.number.swap(number.to_bits(), Ordering::Release);
            number.adopt();
        }
    }

    /// The thread is dead: whoever waits for a lock that it held learns it.
    pub(crate) fn abandon_number(&self) {
        // Acquire: pairs with the Release in `adopt_number`.
        if let Some(number) = ThreadNumber::from_bits(self.number.swap(0, Ordering::Acquire)) {
            number.abandon();
        }
    }
}

static THREADS: [Thread; MAX_THREADS] = [const {
    Thread {
        word: ThreadWord::new(),
        status: StatusWord::new(),
        trapped: AtomicU32::new(0),
        inbox: Inbox::new(),
        reserved: AtomicBool::new(false),
        call: CallWord::new(),
        lanes: [const { Lane::new() }; MAX_THREADS],
        last_words: LastWords::new(),
        buried: Buried::new(),
        number: AtomicU32::new(0),
    }
}; MAX_THREADS];

pub(crate) type Name = heapless::String<48>;

/// What `init` decided, the same for every thread from then on.
pub(crate) struct Manager {
    pub(crate) names: heapless::Vec<Name, MAX_WORKERS>,
    pub(crate) on_init: Option<OnInit>,
    /// What tells this instance of the library from others (race 51).
    pub(crate) instance: alloc::string::String,
}

impl Manager {
    /// The number of workers.
    pub(crate) fn workers(&self) -> usize {
        self.names.len()
    }
}

static MANAGER: Once<Manager> = Once::new();

/// Sets the manager; only the main thread does, once, so nobody ever waits in `Once`.
pub(crate) fn set_manager(manager: Manager) {
    MANAGER.call_once(|| manager);
}

pub(crate) fn manager() -> Option<&'static Manager> {
    MANAGER.get()
}

/// The entry of a thread that exists: the main thread, and the workers that `init` created.
pub(crate) fn thread(id: ThreadId) -> Option<&'static Thread> {
    let workers = manager().map_or(0, Manager::workers);
    if id.slot() <= workers { THREADS.get(id.slot()) } else { None }
}

/// The entry of a thread that `init` is about to create.
pub(crate) fn thread_to_be(id: ThreadId) -> &'static Thread {
    &THREADS[id.slot()]
}

/// What this thread is, asked once.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Unknown,
    Main,
    Worker(ThreadId),
    Foreign,
}

thread_local! {
    static KIND: Cell<Kind> = const { Cell::new(Kind::Unknown) };
}

fn kind() -> Kind {
    match KIND.get() {
        Kind::Unknown => {
            let kind = if crate::start::Environment::read().is_page { Kind::Main } else { Kind::Foreign };
            KIND.set(kind);
            kind
        }
        kind => kind,
    }
}

/// Makes the calling thread the worker `id`.
pub(crate) fn become_worker(id: ThreadId) {
    KIND.set(Kind::Worker(id));
    thread_to_be(id).adopt_number();
}

/// The calling thread's id: [`ThreadId::MAIN`] on the page's main thread, before [`init`](crate::init) too; `None` on a worker
/// that Weblane did not start.
///
/// ```no_run
/// let here = weblane_workers::current().expect("a thread of ours");
/// ```
#[must_use]
pub fn current() -> Option<ThreadId> {
    match kind() {
        Kind::Main => Some(ThreadId::MAIN),
        Kind::Worker(id) => Some(id),
        Kind::Unknown | Kind::Foreign => None,
    }
}

/// Whether the calling thread is the page's main thread, which must never block.
#[must_use]
pub fn is_main_thread() -> bool {
    kind() == Kind::Main
}

/// Whether the calling thread may sleep: every thread but the main one.
pub(crate) fn may_block() -> bool {
    !is_main_thread()
}

/// How far a thread has come; `None` if there is no such thread. The main thread is always ready.
#[must_use]
pub fn status(id: ThreadId) -> Option<Status> {
    if id.is_main() {
        return Some(Status::Ready);
    }
    thread(id).map(|thread| thread.status.load())
}

/// A worker's name, as devtools show it; `None` for the main thread and for a worker that does not exist.
#[must_use]
pub fn name(id: ThreadId) -> Option<&'static str> {
    manager()?.names.get(id.slot().checked_sub(1)?).map(heapless::String::as_str)
}

/// The word on which a thread sleeps and which counts the messages under way to it; `None` if there is no such thread.
///
/// For schedulers that live on a worker, such as `weblane-pool`: whoever blocks in a loop of his own must sleep on this word
/// and leave the loop when [`messages`](weblane_sync::WordState::messages) is positive, or messages do not arrive.
#[must_use]
pub fn word(id: ThreadId) -> Option<&'static ThreadWord> {
    thread(id).map(|thread| &thread.word)
}
