//! One state of the model: every shared word of the pool, and where each thread is in its program.
//!
//! Everything is a byte in a fixed array, so that a state is copied, compared and hashed as 200-odd bytes, and registers that
//! are not in use are zero, so that states that differ in nothing of consequence are one state. A task, a message and a
//! thread's program are all *scripts* (see `scenario`), named by small numbers from 1; 0 is "none" everywhere.

use crate::words::{Idle, Word};

/// The most workers.
pub const WORKERS: usize = 3;
/// The most producers: threads that are no workers.
pub const PRODUCERS: usize = 2;
/// Workers, then producers, then the reaper.
pub const ACTORS: usize = WORKERS + PRODUCERS + 1;
/// The reaper's number.
pub const REAPER: usize = ACTORS - 1;
/// The most scripts, and one: 0 is none.
pub const SCRIPTS: usize = 12;
/// The most shared queues: the levels of priority.
pub const LEVELS: usize = 2;

/// A number of a script.
pub type Script = u8;

/// A queue of at most `N` scripts, the oldest first, ended by zeros.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fifo<const N: usize>(pub [u8; N]);

impl<const N: usize> Fifo<N> {
    /// Nothing in it.
    pub const EMPTY: Self = Fifo([0; N]);

    /// How many are in it.
    pub fn len(&self) -> usize {
        self.0.iter().position(|entry| *entry == 0).unwrap_or(N)
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.0[0] == 0
    }

    /// Appends; a scenario that needs more room than there is says so at once.
    pub fn push(&mut self, entry: u8) {
        let len = self.len();
        assert!(len < N && entry != 0, "a scenario with more entries than its model has room for");
        self.0[len] = entry;
    }

    /// Takes the oldest.
    pub fn pop(&mut self) -> Option<u8> {
        if self.is_empty() { None } else { Some(self.remove(0)) }
    }

    /// Takes the newest.
    pub fn pop_newest(&mut self) -> Option<u8> {
        let len = self.len();
        if len == 0 { None } else { Some(self.remove(len - 1)) }
    }

    /// Takes the one at this place.
    pub fn remove(&mut self, index: usize) -> u8 {
        let entry = self.0[index];
        self.0.copy_within(index + 1.., index);
        self.0[N - 1] = 0;
        entry
    }

    /// All of them, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = u8> + '_ {
        self.0.iter().copied().take_while(|entry| *entry != 0)
    }
}

/// In a cell of a shared queue: claimed by the thread that pushes, and not yet published.
pub const UNPUBLISHED: u8 = 0x80;

/// What has become of a script that was made to be run once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Fate {
    /// Not submitted yet.
    New,
    /// Submitted: in a queue, or on its way between two.
    Queued,
    /// Claimed, and running.
    Taken,
    /// Has run.
    Done,
    /// Its handle took it back before it began.
    Cancelled,
    /// The pool was closed before it began, and its handle was told.
    Discarded,
    /// Its worker died with it, and its handle was told.
    Lost,
    /// The door was closed: its submitter got an error.
    Refused,
}

impl Fate {
    /// Whether nothing will become of it any more.
    pub fn settled(self) -> bool {
        !matches!(self, Fate::New | Fate::Queued | Fate::Taken)
    }
}

/// The word of a task's header: its fate, and whether somebody sleeps until it is settled.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Header {
    /// What has become of it.
    pub fate: Fate,
    /// A mask of workers that wait; the real word has one bit, "somebody".
    pub waiters: u8,
}

/// A ring: its owner pushes and pops, others take half of it in two steps.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Ring {
    /// What is in it, and can be taken.
    pub tasks: Fifo<3>,
    /// Who is moving tasks out of it: a worker and one, or 0. Meanwhile it counts as empty.
    pub thief: u8,
}

/// What a worker's event loop has to do, and what keeps it from going back into the loop.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Outside {
    /// Messages that were posted to it.
    pub inbox: Fifo<4>,
    /// Holds: each is a script that a timer or a promise will run some day; the hold ends with it.
    pub holds: Fifo<2>,
    /// It asked for a macrotask, to go back into the loop (or, held, to run a slice).
    pub reentry: bool,
    /// The separate word for held workers: somebody has work for it.
    pub signal: bool,
    /// `waitAsync` waits on that word.
    pub armed: bool,
    /// The promise of `waitAsync` has been fulfilled.
    pub fulfilled: bool,
}

/// Where a thread's program is: the *next* access to shared memory. The order is that of the protocol.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
#[allow(missing_docs, reason = "each is explained where it is executed")]
pub enum Pc {
    // The loop: `worker.rs`.
    Top,
    PopOwn,
    PopShared,
    SearchLimit,
    SetSearcher,
    Steal,
    StealEnd,
    PopSharedAgain,
    Publish,
    EndSearch,
    Claim,
    Announce,
    ReadStop,
    UnAnnounce,
    SetSearcherAgain,
    ReadClosed,
    ReadDrained,
    ReadMessages,
    ReadAllAsleep,
    StopAll,
    StopNotify,
    EndSleep,
    LeaveClear,
    Left,
    Stopped,
    // Sleeping: `park.rs`.
    ParkLoad,
    ParkSet,
    ParkWait,
    Asleep,
    ParkAgain,
    ParkClear,
    // Waking, called from many places: `wake.rs`.
    WakeLoad,
    WakeClaim,
    WakeToken,
    WakeNotify,
    WakeHeld,
    WakeHeldClaim,
    WakeSignal,
    WakeFulfil,
    Look,
    // Running a script: `script.rs`.
    Run,
    PushCell,
    PushPublish,
    DrainHalf,
    Finish,
    FinishNotify,
    PostMark,
    PostGate,
    PostWait,
    PostSend,
    PostCount,
    PostNotify,
    PostUndo,
    PostDone,
    JoinLook,
    JoinMark,
    JoinUnlist,
    JoinWait,
    JoinAsleep,
    // The event loop, and held workers: `outside.rs`.
    Out,
    Uncount,
    FlushZero,
    FlushOpen,
    HeldAnnounce,
    HeldArm,
    HeldWake,
    HeldEnd,
    // The reaper: `reaper.rs`.
    ReapWait,
    ReapBits,
    ReapHeld,
    ReapSteal,
    ReapLost,
    ReapGate,
    ReapFlush,
    ReapFlushCount,
    ReapFlushNotify,
    ReapFlushPost,
    ReapToken,
    ReapNotify,
    ReapSignal,
    // Ends.
    Dead,
    Nothing,
}

/// In which world a script runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum World {
    /// In the loop of a worker: it has a ring.
    Loop,
    /// In the event loop of a worker: a message's handler, a timer.
    Handler,
    /// In the event loop of a held worker: a Rust task in a slice.
    Slice,
    /// A producer.
    Elsewhere,
}

/// A script that has begun.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Frame {
    /// Which.
    pub script: Script,
    /// Its next step.
    pub next: u8,
}

/// One thread.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Actor {
    /// Its next access.
    pub pc: Pc,
    /// Where `wake` returns to.
    pub back: Pc,
    /// Where `look` goes with nothing found, and with something.
    pub look_none: Pc,
    /// See `look_none`.
    pub look_some: Pc,
    /// The place in a walk over queues, levels or workers.
    pub at: u8,
    /// The worker that something is done to.
    pub target: u8,
    /// A mask of workers that have been claimed and not yet woken.
    pub claimed: u8,
    /// How many workers a wake is for.
    pub want: u8,
    /// Workers whose searcher bit does not count: they were claimed, and did not stir.
    pub ignore: u8,
    /// What was read from `idle`.
    pub seen: Idle,
    /// What was read from the own word: `js` of it.
    pub js_seen: i8,
    /// STOP was set when it was read.
    pub stop_seen: bool,
    /// My searcher bit is set.
    pub searching: bool,
    /// On the way out for good.
    pub stopping: bool,
    /// The handler threw; only a mutant cares.
    pub threw: bool,
    /// In which world the scripts on the stack run.
    pub world: World,
    /// The task that was found and has not begun.
    pub got: Script,
    /// Tasks on the move.
    pub hand: Fifo<4>,
    /// Branches of `join` that nobody else can see.
    pub latent: Fifo<2>,
    /// The scripts that have begun, the outermost first.
    pub stack: [Frame; 3],
    /// A message of mine is under way to this worker (and one), so that the reaper can know.
    pub posting: u8,
}

impl Actor {
    /// A thread with nothing to do.
    pub const NOTHING: Actor = Actor {
        pc: Pc::Nothing,
        back: Pc::Nothing,
        look_none: Pc::Nothing,
        look_some: Pc::Nothing,
        at: 0,
        target: 0,
        claimed: 0,
        want: 0,
        ignore: 0,
        seen: Idle::NOBODY,
        js_seen: 0,
        stop_seen: false,
        searching: false,
        stopping: false,
        threw: false,
        world: World::Loop,
        got: 0,
        hand: Fifo::EMPTY,
        latent: Fifo::EMPTY,
        stack: [Frame { script: 0, next: 0 }; 3],
        posting: 0,
    };

    /// How many scripts have begun.
    pub fn depth(&self) -> usize {
        self.stack.iter().position(|frame| frame.script == 0).unwrap_or(self.stack.len())
    }

    /// The script that runs.
    pub fn running(&self) -> Option<Frame> {
        self.depth().checked_sub(1).map(|top| self.stack[top])
    }

    /// Begins a script, perhaps inside another.
    pub fn enter(&mut self, script: Script) {
        let depth = self.depth();
        assert!(depth < self.stack.len(), "a scenario with deeper nesting than its model has room for");
        self.stack[depth] = Frame { script, next: 0 };
    }

    /// Ends the script that runs.
    pub fn exit(&mut self) {
        let depth = self.depth();
        self.stack[depth - 1] = Frame { script: 0, next: 0 };
    }

    /// The script that runs has done a step.
    pub fn advance(&mut self) {
        let depth = self.depth();
        self.stack[depth - 1].next += 1;
    }
}

/// Whether the pool is closed, and what becomes of what is queued.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Closed {
    /// Open.
    No,
    /// What is queued is run, and so is what that spawns.
    Drain,
    /// What is queued is dropped, and its handles are told.
    Discard,
}

/// The whole pool, and everybody who has to do with it.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct State {
    /// Who sleeps, who searches.
    pub idle: Idle,
    /// Held workers that are idle.
    pub held: u8,
    /// Workers that have not been declared dead.
    pub live: u8,
    /// The door: in reality a part of the injector's tail.
    pub closed: Closed,
    /// Workers to which nobody may post just now.
    pub gate: u8,
    /// How many may still die.
    pub deaths: u8,
    /// The word that each worker sleeps on.
    pub word: [Word; WORKERS],
    /// The shared queues, the most urgent first.
    pub shared: [Fifo<4>; LEVELS],
    /// The workers' rings.
    pub ring: [Ring; WORKERS],
    /// The workers' event loops.
    pub outside: [Outside; WORKERS],
    /// What has become of each script.
    pub header: [Header; SCRIPTS],
    /// The threads.
    pub actor: [Actor; ACTORS],
}

/// Every part is made of bytes, so there is no padding between them.
const _: () = assert!(align_of::<State>() == 1);

impl State {
    /// A pool of which nothing is known yet.
    pub const BLANK: State = State {
        idle: Idle::NOBODY,
        held: 0,
        live: 0,
        closed: Closed::No,
        gate: 0,
        deaths: 0,
        word: [Word::CLEAR; WORKERS],
        shared: [Fifo::EMPTY; LEVELS],
        ring: [Ring { tasks: Fifo::EMPTY, thief: 0 }; WORKERS],
        outside: [Outside {
            inbox: Fifo::EMPTY,
            holds: Fifo::EMPTY,
            reentry: false,
            signal: false,
            armed: false,
            fulfilled: false,
        }; WORKERS],
        header: [Header { fate: Fate::New, waiters: 0 }; SCRIPTS],
        actor: [Actor::NOTHING; ACTORS],
    };

    /// How many of the oldest in a shared queue can be taken: a cell that is not published yet bars the way (race 15).
    pub fn published(&self, level: usize) -> usize {
        self.shared[level].iter().take_while(|cell| cell & UNPUBLISHED == 0).count()
    }

    /// Whether others see nothing in this ring.
    pub fn ring_looks_empty(&self, worker: usize) -> bool {
        self.ring[worker].tasks.is_empty() || self.ring[worker].thief != 0
    }

    /// A fingerprint of all of it. Two states with one fingerprint are taken for one; among ten million states the chance of a single
    /// such accident is below one in a hundred thousand.
    pub fn fingerprint(&self) -> u64 {
        // SAFETY: the type is `repr(C)` down to its leaves, its alignment is 1 (checked above), so it has no padding, and all its
        // bytes are initialised: u8, i8, bool and fieldless enums.
        let bytes = unsafe { core::slice::from_raw_parts((&raw const *self).cast::<u8>(), size_of::<State>()) };
        let mut hash = 0x9e37_79b9_7f4a_7c15_u64;
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            let wide = u128::from(hash.rotate_left(23) ^ u64::from_le_bytes(word)) * 0x2d35_8dcc_aa6c_78a5;
            hash = (wide as u64 ^ (wide >> 64) as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
        }
        hash
    }
}
