// Weblane's only script. It plays two parts:
//
//   - imported by the wasm glue, on every thread, it lends Rust the few things that Rust cannot write itself: the `new
//     Worker(new URL(..))` literal that bundlers look for, the start message, one `postMessage`, one re-entry;
//   - loaded as a worker's own script, it waits for its first message and brings wasm up in that worker.
//
// It imports nothing statically: the URL of the glue, the compiled module and the memory come in the first message. So the
// worker never pulls the application's bundle in again, and this file can be copied to any URL (`Options::script_url`).
//
// A message between threads is `[key]` or `[key, payload]`, and nothing else: the key is the name under which a closure waits in
// the receiver's inbox, its sender is known by the channel, and a key that is not in the inbox is ignored. What only the
// start and the end need is `{ [TAG]: kind, value }`. Anything else on the channel is left alone.

const TAG = 'weblane';
const ORIGIN = performance.timeOrigin;
const START = 0; //   main to worker: the settings
const MESSAGE = 1; // any to any, for the handlers' `kind`
const READY = 2; //   worker to main
const FAILED = 3; //  worker to main: text
const DEAD = 4; //    worker to main: text

// What the loop of a thread asks of Rust, as `resident.rs` numbers it.
const ENTER = 0;
const OVERDUE = 1;
const RESOLVED = 2;
const REJECTED = 3;

// Phases of a start, as `status.rs` numbers them. The worker steps through them in shared memory, so that a time-out can say
// how far it came even if it never answers; a worker that was given up meanwhile finds another phase there, and stops.
const CREATED = 0;
const SCRIPT_RAN = 1;
const GLUE_LOADED = 2;
const INSTANTIATED = 3;
const PHASE_DEAD = 6;

const text = (error) => (error && error.message ? `${error.name}: ${error.message}` : String(error));

// ---------------------------------------------------------------------------------------------- for Rust, by way of the glue

/// Creates a worker. Throws where the browser refuses at once (a malformed URL, a content security policy).
export function weblane_create_worker(url, name, on_message, on_error) {
  const options = { type: 'module', name };
  const worker =
    url === undefined
      ? new Worker(new URL('./worker.js', import.meta.url), { type: 'module', name })
      : new Worker(new URL(url, globalThis.location?.href), options);
  worker.onmessage = ({ data }) => {
    if (Array.isArray(data)) on_message(MESSAGE, data[0], data[1]);
    else if (data && TAG in Object(data)) {
      on_message(data[TAG], 0, data.value);
      // The trap's own stack, which the worker's console may never show: it is about to end.
      if (data.stack) console.error(`weblane: in ${name}: ${data.stack}`);
    }
  };
  // A message that could not be rebuilt on this side has no contents left, only the fact.
  worker.onmessageerror = () => on_error(true, 'a message could not be deserialised');
  // An `Event` without a message: the script could not be loaded. An `ErrorEvent`: it threw.
  worker.onerror = (event) => {
    event.preventDefault();
    const where = event.filename ? ` (${event.filename}:${event.lineno})` : '';
    on_error(false, event.message ? `${event.message}${where}` : '');
  };
  return worker;
}

/// The URL that a worker's script will be loaded from, for error texts.
export function weblane_script_url(url) {
  return url === undefined ? new URL('./worker.js', import.meta.url).href : new URL(url, globalThis.location?.href).href;
}

/// Sends the first message. `ports[i]` leads to thread `i`, or is undefined.
export function weblane_start_worker(worker, url, module, memory, id, phase, trapped, stack, ports, lock) {
  const settings = { url, module, memory, id, phase, trapped, stack, ports, lock };
  worker.postMessage({ [TAG]: START, value: settings }, ports.filter((port) => port !== undefined));
}

let refusal; // what `postMessage` threw last

/// Posts one closure with its payload. False if `postMessage` throws: then nothing was sent, and `weblane_refusal` has what it threw.
///
/// Caught here, because what the glue does for functions that throw costs every call.
export function weblane_post(target, key, payload, transfer) {
  try {
    if (transfer !== undefined) target.postMessage([key, payload], transfer);
    else target.postMessage(payload === undefined ? [key] : [key, payload]);
    return true;
  } catch (error) {
    refusal = error;
    return false;
  }
}

/// What the last post threw, once.
export function weblane_refusal() {
  const error = refusal;
  refusal = undefined;
  return error;
}

/// A channel from a thread to itself: returns the end to post to.
export function weblane_loopback(on_message) {
  const { port1, port2 } = new MessageChannel();
  port2.onmessage = ({ data }) => on_message(MESSAGE, data[0], data[1]);
  return port1;
}

/// What a worker's loop needs of its event loop. Everything that it calls back is one function of Rust's, `rust(what, key, value)`;
/// an exception out of it has crossed wasm frames: the worker is dead, and `die` says so.
///
/// `word` is the address of the thread's call word, on which nobody ever blocks.
export function weblane_loop(rust, die, memory, address) {
  const word = new Int32Array(memory.buffer, address, 1);
  const { port1, port2 } = new MessageChannel();
  let generation = 0;
  let wanted = false; // a re-entry is asked for
  let timer = false; //  one timer at a time is enough, whoever asked for it
  let resting = false; // out with nothing to do, until the call word moves on from `rested`
  let rested = 0;
  let armed; //          the value of the word at which an asynchronous waiter stands: it cannot be cancelled, so there is one for a value
  let polling = false;

  const call = (what, key, value) => {
    if (die.dead) return;
    try {
      rust(what, key, value);
    } catch (error) {
      die(error);
    }
  };
  const enter = (asked) => {
    if (!wanted || asked !== generation) return;
    wanted = false;
    resting = false;
    call(ENTER, 0);
  };
  port2.onmessage = ({ data }) => enter(data);

  /// Calls Rust once in a macrotask of its own, after what is queued already. Asking twice is asking once.
  ///
  /// No single primitive is right everywhere: a port message stalls in WebKit while the page's main thread is busy, a timer costs
  /// 4 ms, and the faster ones starve messages in Firefox or Chromium. So a port message and a timer race; the first one
  /// calls, and the generation number tells the second that it is late.
  const request = () => {
    if (wanted) return;
    wanted = true;
    generation += 1;
    port1.postMessage(generation);
    if (timer) return;
    timer = true;
    setTimeout(() => {
      timer = false;
      enter(generation);
    }, 0);
  };

  const called = () => {
    if (resting && Atomics.load(word, 0) !== rested) {
      resting = false;
      request();
    }
  };
  // Where there is no asynchronous wait, or one that forgets its waiters, the word is looked at now and then.
  const poll = () => {
    polling = false;
    called();
    watch();
  };
  const watch = () => {
    if (polling || !resting) return;
    polling = true;
    setTimeout(poll, Atomics.waitAsync ? 100 : 4);
  };

  return {
    request,
    /// Nothing to do while the call word is `seen`.
    rest(seen) {
      resting = true;
      rested = seen;
      if (Atomics.waitAsync && armed !== seen) {
        const { async, value } = Atomics.waitAsync(word, 0, seen);
        if (!async) return called();
        armed = seen;
        value.then(() => {
          if (armed === seen) armed = undefined;
          called();
        });
      }
      watch();
    },
    /// Asks Rust in so many milliseconds whether messages that were counted have come.
    overdue(milliseconds) {
      setTimeout(call, milliseconds, OVERDUE, 0);
    },
    settled(promise, key) {
      promise.then(
        (value) => call(RESOLVED, key, value),
        (error) => call(REJECTED, key, error),
      );
    },
  };
}

/// Calls `fire` after so many milliseconds.
export function weblane_after(milliseconds, fire) {
  setTimeout(fire, milliseconds);
}

/// Calls `gone` when the holder of this lock is: it has ended, or was terminated. False where the browser has no locks.
export function weblane_watch(lock, gone) {
  if (!navigator.locks) return false;
  navigator.locks.request(lock, () => gone()).catch(() => {});
  return true;
}

/// Milliseconds, with a fraction.
export function weblane_now() {
  return performance.now();
}

/// Milliseconds of a clock that all threads of the page share, as well as the browser keeps it: `performance.now` begins with its thread.
export function weblane_clock() {
  return ORIGIN + performance.now();
}

/// Shows the time from `start` until now in the browser's profiler.
export function weblane_measure(name, start) {
  performance.measure(name, { start });
}

/// A name that no other instance of this library has, on this page or another of its origin.
export function weblane_instance() {
  return Array.from(crypto.getRandomValues(new Uint32Array(3)), (number) => number.toString(36)).join('');
}

/// What a start needs of this page. `isolated` is undefined where the browser does not know the notion.
export function weblane_environment() {
  return [
    typeof document !== 'undefined' && typeof window !== 'undefined',
    globalThis.isSecureContext !== false,
    globalThis.crossOriginIsolated === true,
    typeof SharedArrayBuffer !== 'undefined',
    globalThis.navigator?.hardwareConcurrency ?? 1,
  ];
}

// ------------------------------------------------------------------------------------------------------ as a worker's script

/// Takes a lock and keeps it for this worker's life. Resolves when it is held, or cannot be.
///
/// The lock's own promise never settles. Nobody may block inside the callback (WebKit hangs the page when such a worker is
/// terminated), so the caller goes on in a task of its own.
const live = (lock) =>
  new Promise((held) => {
    if (!navigator.locks) return held();
    const forever = () => {
      setTimeout(held, 0);
      return new Promise(() => {});
    };
    navigator.locks.request(lock, forever).catch(held);
  });

function serve() {
  let glue; // set when wasm is up
  let phase; // Int32Array over the word in shared memory that tells how far this worker is
  const early = []; // messages that came before

  const receive = (data, from) => {
    if (!Array.isArray(data) || die.dead) return;
    // An exception that crossed wasm frames left the Rust stack as it was: nothing in this
    // instance may run again.
    try {
      glue.__weblane_deliver(data[0], from, data[1]);
    } catch (error) {
      die(error);
    }
  };
  const deliver = (from) => ({ data }) => receive(data, from);
  // `from` is the sender whose message is lost: within one channel messages arrive in order, so it is his oldest.
  const lose = (from) => () => {
    if (glue === undefined || die.dead) return;
    try {
      glue.__weblane_message_error(from);
    } catch (error) {
      die(error);
    }
  };
  const die = (error) => {
    if (die.dead) return;
    die.dead = true;
    Atomics.store(phase, 0, PHASE_DEAD);
    let [value, stack] = ['an exception that cannot be told', ''];
    try {
      value = text(error);
      stack = String(error?.stack ?? '');
    } catch {
      // Whatever was thrown is anybody's object.
    }
    self.postMessage({ [TAG]: DEAD, value, stack });
    // Its timers and promises would run code over a stack that was never unwound.
    self.close();
  };
  // Where panics unwind, the glue keeps one flag in shared memory for "this module has trapped": a thread's trap sets it, and then each
  // other thread's next call from JS throws, and its next call of a JS function traps as well. Nothing is wrong with those
  // threads (race 50). So each worker's glue is given a word of its own for the flag: the trapped worker stays shut, and wasm, which
  // knows the real flag's address by heart, never sees it set. Nobody takes the real flag back: the main thread sets it, when it traps.
  //
  // This happens while the module is instantiated, before any of its code has run: a start function may call JS that calls Rust, and the
  // glue looks for the flag's address at the first such call, once. (No test: wasm-bindgen's test runner runs no start functions.)
  const isolated = (trapped, instantiate) => {
    const { Instance } = WebAssembly;
    WebAssembly.Instance = class extends Instance {
      constructor(...settings) {
        WebAssembly.Instance = Instance;
        super(...settings);
        const flag = this.exports.__instance_terminated;
        if (flag !== undefined) Object.defineProperty(flag, 'value', { value: trapped });
      }
    };
    try {
      return instantiate();
    } finally {
      WebAssembly.Instance = Instance;
    }
  };
  // A trap in a callback that the browser calls directly: a timer, a promise, an animation frame.
  const stray = (error) => {
    if (glue !== undefined && error instanceof WebAssembly.RuntimeError) die(error);
  };

  const start = async (settings) => {
    const { url, module, memory, id, stack, ports, lock } = settings;
    phase = new Int32Array(memory.buffer, settings.phase, 1);
    const step = (from, to) => {
      if (Atomics.compareExchange(phase, 0, from, to) !== from) throw new Error('given up before it was up');
    };
    try {
      step(CREATED, SCRIPT_RAN);
      const alive = live(lock);
      const loaded = await import(/* webpackIgnore: true */ /* @vite-ignore */ url);
      await alive;
      step(SCRIPT_RAN, GLUE_LOADED);
      isolated(settings.trapped, () => loaded.initSync({ module, memory, thread_stack_size: stack }));
      step(GLUE_LOADED, INSTANTIATED);
      const loop = new MessageChannel();
      const links = ports.slice();
      links[0] = self;
      links[id] = loop.port1;
      loaded.__weblane_start(id, links, die);
      glue = loaded;
      self.addEventListener('error', (event) => stray(event.error));
      self.addEventListener('unhandledrejection', (event) => stray(event.reason));
      // Setting `onmessage` opens a port: what was sent before has waited in it.
      loop.port2.onmessage = deliver(id);
      ports.forEach((port, from) => {
        if (port === undefined) return;
        port.onmessage = deliver(from);
        port.onmessageerror = lose(from);
      });
      self.postMessage({ [TAG]: READY });
      for (const data of early.splice(0)) receive(data, 0);
    } catch (error) {
      self.postMessage({ [TAG]: FAILED, value: text(error) });
    }
  };

  self.onmessage = ({ data }) => {
    if (glue !== undefined) receive(data, 0);
    else if (data && data[TAG] === START) start(data.value);
    else early.push(data);
  };
  self.onmessageerror = lose(0);
}

if (typeof WorkerGlobalScope !== 'undefined' && globalThis.location?.href === import.meta.url) serve();
