//! Starting the workers, and knowing that they have started.
//!
//! 1. `init` checks what a start needs of the page, each condition with an error of its own.
//! 2. It creates every worker in one go, before anything can block, and posts each its first message: the glue's URL, the
//!    compiled module, the memory, its id, and its ports to the other workers. It returns at once; the browser starts the
//!    workers when the main thread is back in its event loop.
//! 3. Each worker stores how far it has come into a word of shared memory, runs `on_init`, and reports in reply to the first
//!    message (Chromium may hold back what is posted to a worker that says hello before).
//! 4. `ready` resolves when all have reported, or when one has failed, or when the time is up; then the word says how far it came.

use core::cell::RefCell;
use core::future::poll_fn;
use core::task::{Poll, Waker};
use core::time::Duration;
use std::thread_local;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use js_sys::Array;
use wasm_bindgen::prelude::*;
use web_sys::MessageChannel;

use crate::death::{self, bury, lock_name};
use crate::error::{InitError, StartCause, StartError};
use crate::glue::{self, OnError, OnMessage};
use crate::status::Status;
use crate::threads::{self, Manager, Name, become_worker, is_main_thread, manager, set_manager, thread_to_be};
use crate::{Options, ThreadId, last_words, resident, send};

/// What the page is, as far as a start cares.
pub(crate) struct Environment {
    pub(crate) is_page: bool,
    secure: bool,
    isolated: bool,
    shared_array_buffer: bool,
    processors: usize,
}

impl Environment {
    pub(crate) fn read() -> Environment {
        let facts = glue::weblane_environment();
        let is = |index| facts.get(index).is_truthy();
        Environment {
            is_page: is(0),
            secure: is(1),
            isolated: is(2),
            shared_array_buffer: is(3),
            processors: facts.get(4).as_f64().map_or(1, |number| number as usize),
        }
    }

    /// The first thing that stands in the way, from the most general to the most particular.
    fn check(&self) -> Result<(), InitError> {
        let memory_is_shared = || {
            let memory = wasm_bindgen::memory();
            let buffer = js_sys::Reflect::get(&memory, &"buffer".into()).unwrap_or_default();
            buffer.is_instance_of::<js_sys::SharedArrayBuffer>()
        };
        if !self.is_page {
            Err(InitError::NotMainThread)
        } else if !cfg!(target_feature = "atomics") {
            Err(InitError::BuiltWithoutAtomics)
        } else if !self.secure {
            Err(InitError::InsecureContext)
        } else if !self.isolated {
            Err(InitError::NotIsolated)
        } else if !self.shared_array_buffer {
            Err(InitError::NoSharedArrayBuffer)
        } else if !memory_is_shared() {
            Err(InitError::MemoryNotShared)
        } else {
            Ok(())
        }
    }
}

/// What the main thread keeps of a start.
struct Starting {
    /// Kept, so that no engine takes a worker that nobody refers to for garbage.
    _workers: Vec<JsValue>,
    up: Vec<bool>,
    failure: Option<StartError>,
    waiting: Vec<Waker>,
    script_url: String,
}

thread_local! {
    static STARTING: RefCell<Option<Starting>> = const { RefCell::new(None) };
}

/// Starts the workers and returns their ids at once, without [`ThreadId::MAIN`].
///
/// Call it once, on the main thread. The ids are good from now on: messages that are sent before a worker is up wait for it.
/// [`ready`] tells when all are up. The workers live as long as the page.
///
/// # Errors
///
/// [`InitError`] names what the page or the build lacks; nothing was started then, and `init` can be called again.
///
/// # Examples
///
/// ```no_run
/// use weblane_workers::{Options, init, ready};
///
/// # async fn demo() -> Result<(), Box<dyn std::error::Error>> {
/// let workers = init(Options::new().count(4))?;
/// ready().await?;
/// # Ok(())
/// # }
/// ```
pub fn init(options: Options) -> Result<Vec<ThreadId>, InitError> {
    let environment = Environment::read();
    environment.check()?;
    if manager().is_some() {
        return Err(InitError::AlreadyInitialised);
    }
    let count = options.settle(environment.processors)?;
    weblane_futex::set_can_block(threads::may_block);

    let ids: Vec<ThreadId> = (1..=count as u32).map(ThreadId::from_index).collect();
    let names: heapless::Vec<Name, { crate::MAX_WORKERS }> = ids.iter().map(|id| name_of(&options.name, *id)).collect();
    let url = options.script_url.as_deref();
    let refused = |url: &str, error: &JsValue| {
        let (name, message) = glue::describe(error);
        InitError::WorkerRefused { url: url.into(), message: format!("{name}: {message}") }
    };
    let script_url = glue::weblane_script_url(url).map_err(|error| refused(url.unwrap_or_default(), &error))?;

    let mut workers: Vec<JsValue> = Vec::with_capacity(count);
    let mut create = || -> Result<Vec<Array>, JsValue> {
        for (id, name) in ids.iter().zip(&names) {
            workers.push(create_worker(*id, url, name)?);
        }
        mesh(count)
    };
    let meshed = match create() {
        Ok(meshed) => meshed,
        Err(error) => {
            for worker in &workers {
                worker.unchecked_ref::<Terminate>().terminate();
            }
            return Err(refused(&script_url, &error));
        }
    };

    let loopback = OnMessage::new(|_, key, payload| send::deliver(ThreadId::MAIN, key, 0, payload));
    let mut links = Vec::with_capacity(count + 1);
    links.push(glue::weblane_loopback(&loopback));
    loopback.forget();
    links.extend(workers.iter().cloned());
    send::set_links(links);
    // Before the first message to any worker: what they read at their start must be there.
    set_manager(Manager { names, on_init: options.on_init, instance: glue::weblane_instance() });
    last_words::install_hook();
    for id in ids.iter().copied().chain([ThreadId::MAIN]) {
        // Below 2^32 as it is a fraction of it.
        thread_to_be(id).inbox.seed((js_sys::Math::random() * 4_294_967_296.0) as u32);
    }
    STARTING.set(Some(Starting {
        up: alloc::vec![false; count],
        _workers: workers.clone(),
        failure: None,
        waiting: Vec::new(),
        script_url,
    }));
    let glue_url = glue::GLUE_URL.with(Clone::clone);
    let (module, memory) = (wasm_bindgen::module(), wasm_bindgen::memory());
    for ((id, worker), ports) in ids.iter().zip(&workers).zip(&meshed) {
        let (thread, stack) = (thread_to_be(*id), options.stack_size);
        let (phase, trapped) = (thread.status.address(), thread.trapped.as_ptr() as usize);
        if let Err(error) = glue::weblane_start_worker(
            worker,
            &glue_url,
            &module,
            &memory,
            id.index(),
            phase,
            trapped,
            stack,
            ports,
            &lock_name(*id),
        ) {
            let (name, message) = glue::describe(&error);
            fail(*id, StartCause::Threw { message: format!("{name}: {message}") });
        }
    }
    let after = options.start_timeout;
    crate::timing::after(after, move || time_is_up(after));
    Ok(ids)
}

#[wasm_bindgen]
extern "C" {
    /// Whatever has a `terminate` method: a `Worker`.
    type Terminate;
    #[wasm_bindgen(method)]
    fn terminate(this: &Terminate);
}

/// `prefix 3`, cut to what the table keeps.
fn name_of(prefix: &str, id: ThreadId) -> Name {
    let mut end = prefix.len().min(40);
    while !prefix.is_char_boundary(end) {
        end -= 1;
    }
    let mut name = Name::new();
    // 40 bytes and a number of two digits fit into 48.
    let _ = core::fmt::write(&mut name, format_args!("{} {}", &prefix[..end], id.index()));
    name
}

fn create_worker(id: ThreadId, url: Option<&str>, name: &str) -> Result<JsValue, JsValue> {
    let on_message = OnMessage::new(move |kind, key, value: JsValue| match kind {
        glue::MESSAGE => send::deliver(ThreadId::MAIN, key, id.index(), value),
        glue::READY => report(id),
        glue::FAILED => fail(id, StartCause::Threw { message: value.as_string().unwrap_or_default() }),
        glue::DEAD => bury(id, &value.as_string().unwrap_or_default()),
        _ => {}
    });
    let on_error = OnError::new(move |lost_message: bool, text: String| {
        if lost_message {
            send::deliver_nothing(ThreadId::MAIN, id.index());
        } else if thread_to_be(id).status.load() == Status::Ready {
            web_sys::console::error_1(&format!("weblane: uncaught error in {id}: {text}").into());
        } else if text.is_empty() {
            fail(id, StartCause::ScriptNotLoaded { url: script_url() });
        } else {
            fail(id, StartCause::Threw { message: text });
        }
    });
    let worker = glue::weblane_create_worker(url, name, &on_message, &on_error)?;
    // They live as long as the worker, which is as long as the page.
    on_message.forget();
    on_error.forget();
    Ok(worker)
}

/// One channel for each pair of workers: `mesh(n)[a - 1][b]` is worker `a`'s port to worker `b`.
fn mesh(count: usize) -> Result<Vec<Array>, JsValue> {
    let ports: Vec<Array> = (0..count).map(|_| Array::new_with_length(count as u32 + 1)).collect();
    for a in 1..=count {
        for b in a + 1..=count {
            let channel = MessageChannel::new()?;
            ports[a - 1].set(b as u32, channel.port1().into());
            ports[b - 1].set(a as u32, channel.port2().into());
        }
    }
    Ok(ports)
}

fn script_url() -> String {
    STARTING.with_borrow(|starting| starting.as_ref().map(|starting| starting.script_url.clone())).unwrap_or_default()
}

fn report(id: ThreadId) {
    death::watch(id);
    settle(|starting| starting.up[id.slot() - 1] = true);
}

/// Changes the state of the start and wakes whoever awaits it.
fn settle(change: impl FnOnce(&mut Starting)) {
    let waiting = STARTING.with_borrow_mut(|starting| match starting {
        Some(starting) => {
            change(starting);
            core::mem::take(&mut starting.waiting)
        }
        None => Vec::new(),
    });
    waiting.into_iter().for_each(Waker::wake);
}

/// A worker that has not started never will.
fn fail(id: ThreadId, cause: StartCause) {
    let thread = thread_to_be(id);
    let mut reached = thread.status.load();
    loop {
        // One that is up, and whose report is still under way, is in time.
        if reached.is_lost() || (reached == Status::Ready && matches!(cause, StartCause::TimedOut { .. })) {
            return;
        }
        match thread.status.step(reached, Status::Failed) {
            Ok(()) => break,
            Err(further) => reached = further,
        }
    }
    // What waits for it is dropped, which tells whoever waits for an answer.
    drop(thread.inbox.clear());
    settle(|starting| {
        starting.failure.get_or_insert(StartError { thread: id, reached, cause });
    });
}

fn time_is_up(after: Duration) {
    let late = STARTING.with_borrow(|starting| {
        let starting = starting.as_ref()?;
        let late = starting.up.iter().enumerate().filter(|(_, up)| !**up);
        Some(late.map(|(index, _)| ThreadId::from_index(index as u32 + 1)).collect::<Vec<_>>())
    });
    for id in late.unwrap_or_default() {
        fail(id, StartCause::TimedOut { after });
    }
}

/// Waits, without blocking, until every worker is up.
///
/// May be awaited at any time after [`init`], any number of times, on the main thread. It always ends: a worker that says
/// nothing is a failure after [`Options::start_timeout`].
///
/// # Errors
///
/// [`StartError`] for the first worker that failed: which one, how far it came, and what is known of the cause. The others may be
/// up all the same; see [`status`](crate::status).
pub async fn ready() -> Result<(), StartError> {
    poll_fn(|context| {
        if !is_main_thread() {
            return Poll::Ready(Err(not_started(StartCause::NotMainThread)));
        }
        // Cloned outside the borrow: a waker's code is anybody's.
        let waker = context.waker().clone();
        STARTING.with_borrow_mut(|starting| match starting {
            None => Poll::Ready(Err(not_started(StartCause::NotInitialised))),
            Some(Starting { failure: Some(failure), .. }) => Poll::Ready(Err(failure.clone())),
            Some(starting) if starting.up.iter().all(|up| *up) => Poll::Ready(Ok(())),
            Some(starting) => {
                if !starting.waiting.iter().any(|waiting| waiting.will_wake(&waker)) {
                    starting.waiting.push(waker.clone());
                }
                Poll::Pending
            }
        })
    })
    .await
}

fn not_started(cause: StartCause) -> StartError {
    StartError { thread: ThreadId::MAIN, reached: Status::Created, cause }
}

/// Brings up the calling worker. Called by `worker.js` when wasm is instantiated there.
#[doc(hidden)]
#[wasm_bindgen]
pub fn __weblane_start(id: u32, links: Vec<JsValue>, die: &JsValue) -> Result<(), JsError> {
    let id = ThreadId::from_index(id);
    become_worker(id);
    send::set_links(links);
    resident::prepare(id, die);
    // `init` sets the manager before it posts the message that brought us here.
    let manager = manager().ok_or_else(|| JsError::new("the manager is not set"))?;
    if let Some(on_init) = &manager.on_init {
        on_init(id);
    }
    let step = thread_to_be(id).status.step(Status::Instantiated, Status::Ready);
    step.map_err(|_| JsError::new("given up before it was up"))
}

/// Runs one message on the calling worker. Called by `worker.js`.
#[doc(hidden)]
#[wasm_bindgen]
pub fn __weblane_deliver(key: f64, sender: u32, payload: JsValue) {
    if let Some(me) = threads::current() {
        send::deliver(me, key, sender, payload);
    }
}

/// Settles one message that arrived without contents. Called by `worker.js`.
#[doc(hidden)]
#[wasm_bindgen]
pub fn __weblane_message_error(sender: u32) {
    if let Some(me) = threads::current() {
        send::deliver_nothing(me, sender);
    }
}
