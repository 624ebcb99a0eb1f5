// Weblane's only script. It plays two parts:
//
//   - imported by the wasm glue, on every thread, it lends Rust the few things that Rust cannot write itself: the `new
//     Worker(new URL(..))` literal that bundlers look for, the start message, one `postMessage`, one re-entry;
//   - loaded as a worker's own script, it waits for its first message and brings wasm up in that worker.
//
// It imports nothing statically: the URL of the glue, the compiled module and the memory come in the first message. So the
// worker never pulls the application's bundle in again, and this file can be copied to any URL (`Options::script_url`).
//
// Every message between threads is an array `[TAG, kind, ...]`. Anything else on the channel is left alone.

const TAG = 'weblane';
const START = 0; //   main to worker: [.., settings]
const MESSAGE = 1; // any to any:     [.., key of the closure, sender, payload]
const READY = 2; //   worker to main: [..]
const FAILED = 3; //  worker to main: [.., text]
const DEAD = 4; //    worker to main: [.., text]

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
    if (!Array.isArray(data) || data[0] !== TAG) return;
    if (data[1] === MESSAGE) on_message(MESSAGE, data[2], data[3], data[4]);
    else on_message(data[1], 0, 0, data[2]);
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
export function weblane_start_worker(worker, url, module, memory, id, phase, stack, ports) {
  const settings = { url, module, memory, id, phase, stack, ports };
  worker.postMessage([TAG, START, settings], ports.filter((port) => port !== undefined));
}

/// Posts one closure with its payload. Throws what `postMessage` throws; then nothing was sent.
export function weblane_post(target, key, sender, payload, transfer) {
  if (transfer === undefined) target.postMessage([TAG, MESSAGE, key, sender, payload]);
  else target.postMessage([TAG, MESSAGE, key, sender, payload], transfer);
}

/// A channel from a thread to itself: returns the end to post to.
export function weblane_loopback(on_message) {
  const { port1, port2 } = new MessageChannel();
  port2.onmessage = ({ data }) => on_message(MESSAGE, data[2], data[3], data[4]);
  return port1;
}

/// Makes the function by which a worker asks to be called once in a macrotask of its own, after what is queued already.
///
/// No single primitive is right everywhere: a port message stalls in WebKit while the page's main thread is busy, a timer costs
/// 4 ms, and the faster ones starve messages in Firefox or Chromium. So a port message and a timer race; the first one
/// calls, and the generation number tells the second that it is late.
///
/// An exception out of `enter` has crossed wasm frames: the worker is dead, and `die` says so.
export function weblane_entry(enter, die) {
  const { port1, port2 } = new MessageChannel();
  let generation = 0;
  let wanted = false;
  const fire = (asked) => {
    if (!wanted || asked !== generation) return;
    wanted = false;
    if (die.dead) return;
    try {
      enter();
    } catch (error) {
      die(error);
    }
  };
  port2.onmessage = ({ data }) => fire(data);
  return () => {
    if (wanted) return;
    wanted = true;
    generation += 1;
    port1.postMessage(generation);
    setTimeout(fire, 0, generation);
  };
}

/// Calls `fire` after so many milliseconds.
export function weblane_after(milliseconds, fire) {
  setTimeout(fire, milliseconds);
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

function serve() {
  let glue; // set when wasm is up
  let phase; // Int32Array over the word in shared memory that tells how far this worker is
  const early = []; // messages that came before

  const deliver = ({ data }) => {
    if (!Array.isArray(data) || data[0] !== TAG || data[1] !== MESSAGE) return;
    try {
      glue.__weblane_deliver(data[2], data[3], data[4]);
    } catch (error) {
      // An exception that crossed wasm frames left the Rust stack as it was: nothing in this instance may run again.
      die(error);
    }
  };
  // `from` is the sender whose message is lost: within one channel messages arrive in order, so it is his oldest.
  const lose = (from) => () => glue?.__weblane_message_error(from);
  const die = (error) => {
    if (die.dead) return;
    die.dead = true;
    glue = { __weblane_deliver() {}, __weblane_message_error() {} };
    Atomics.store(phase, 0, PHASE_DEAD);
    self.postMessage([TAG, DEAD, text(error)]);
  };

  const start = async (settings) => {
    const { url, module, memory, id, stack, ports } = settings;
    phase = new Int32Array(memory.buffer, settings.phase, 1);
    const step = (from, to) => {
      if (Atomics.compareExchange(phase, 0, from, to) !== from) throw new Error('given up before it was up');
    };
    try {
      step(CREATED, SCRIPT_RAN);
      const loaded = await import(/* webpackIgnore: true */ /* @vite-ignore */ url);
      step(SCRIPT_RAN, GLUE_LOADED);
      loaded.initSync({ module, memory, thread_stack_size: stack });
      step(GLUE_LOADED, INSTANTIATED);
      const loop = new MessageChannel();
      const links = ports.slice();
      links[0] = self;
      links[id] = loop.port1;
      loaded.__weblane_start(id, links, die);
      glue = loaded;
      // Setting `onmessage` opens a port: what was sent before has waited in it.
      loop.port2.onmessage = deliver;
      ports.forEach((port, from) => {
        if (port === undefined) return;
        port.onmessage = deliver;
        port.onmessageerror = lose(from);
      });
      self.postMessage([TAG, READY]);
      for (const event of early.splice(0)) deliver(event);
    } catch (error) {
      self.postMessage([TAG, FAILED, text(error)]);
    }
  };

  self.onmessage = (event) => {
    const { data } = event;
    if (Array.isArray(data) && data[0] === TAG && data[1] === START) start(data[2]);
    else if (glue === undefined) early.push(event);
    else deliver(event);
  };
  self.onmessageerror = lose(0);
}

if (typeof WorkerGlobalScope !== 'undefined' && globalThis.location?.href === import.meta.url) serve();
