//! Scenarios: how many workers there are, what producers do, what tasks and messages do, who may die.
//!
//! Whatever is run is a *script*: a list of steps, run once. A script that is submitted is a task; one that is posted is a
//! message (an envelope with its handler); one that a hold names is a timer or a promise; and every producer has one.

use crate::state::{
    ACTORS, Actor, Closed, Fate, Frame, LEVELS, PRODUCERS, Pc, REAPER, SCRIPTS, Script, State, WORKERS, World,
};
use crate::words::{Word, bit};

/// One step of a script.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    /// Submits a task: to the own ring in the loop of a worker, else to the last of the shared queues.
    Submit(Script),
    /// Submits a task to a shared queue of some urgency.
    SubmitAt(u8, Script),
    /// Submits several tasks to a shared queue at once.
    Batch(&'static [Script]),
    /// Posts a message to a worker, and counts it.
    Post(u8, Script),
    /// As `Post`, with something that cannot be cloned: `postMessage` throws.
    PostThrows(u8, Script),
    /// Takes as long as it takes until another script is settled, and the scheduler knows nothing of it: a long task.
    Until(Script),
    /// Waits for a task: claims it and runs it here if nobody has begun it, else sleeps until it is settled.
    Join(Script),
    /// Takes a task back, if nobody has begun it.
    Cancel(Script),
    /// The second branch of a `join`: public if the ring is empty, else private.
    Fork(Script),
    /// Looks whether a private branch should be made public, and does it.
    Poll,
    /// Keeps this worker out until that script has been run by its event loop.
    Hold(Script),
    /// Closes the pool.
    Close(Closed),
    /// Throws: the rest of the script is not run.
    Throw,
}

/// How a worker is when a scenario begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    /// About to enter the loop for the first time.
    Fresh,
    /// In the loop, asleep.
    Asleep,
    /// In its event loop, with nothing to do there: it has never been in the loop, or its JS has just begun.
    Running(Script),
    /// Held until that script has been run by its event loop, idle, with `waitAsync` armed.
    Held(Script),
    /// It went to sleep and died; the reaper does not know yet.
    DiedAsleep,
}

/// What a scenario is there to show: each must be reached in at least one of its states.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs, reason = "named for what they are")]
pub enum Reach {
    Slept,
    Claimed,
    ClaimFailed,
    Token,
    NotifiedNobody,
    Stole,
    StoleSeveral,
    BatchMoved,
    Chained,
    LookedAgain,
    LookedAgainClaimed,
    HandedOff,
    LeftForJs,
    Handled,
    CountBelowZero,
    PostThrew,
    HandlerThrew,
    BusyRingLooksEmpty,
    HalfPublished,
    Overflowed,
    Inlined,
    StaleEntry,
    JoinSlept,
    Cancelled,
    Refused,
    Discarded,
    StoppedAll,
    Held,
    HeldPicked,
    HeldSlice,
    HoldEnded,
    LookedAtLastLevel,
    Promoted,
    Died,
    DiedSearching,
    DiedAsWaker,
    DiedAsleep,
    DiedStealing,
    DiedPosting,
    DeadClaimed,
    Reaped,
    Flushed,
    SliceBesideMessage,
    BatchClaim,
}

impl Reach {
    /// Its bit in a mask of what was reached.
    pub fn mask(self) -> u64 {
        1 << self as u8
    }
}

/// A scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// How many workers.
    pub workers: usize,
    /// How many shared queues.
    pub levels: usize,
    /// How many tasks a ring holds.
    pub ring: usize,
    /// The steps of each script; 0 is none.
    pub scripts: Vec<&'static [Op]>,
    /// Who begins how.
    pub starts: Vec<Start>,
    /// The producers' scripts.
    pub producers: Vec<Script>,
    /// Tasks that are already in worker 0's ring.
    pub queued: Vec<Script>,
    /// Workers that may die, one of them, at any moment.
    pub mortal: u8,
    /// The reaper comes only when this script is settled: whoever would call it is busy till then. 0: at once.
    pub reaper_after: Script,
    /// Messages are not delivered before this script is settled: the browser's main thread is busy till then. 0: at once.
    pub deliver_after: Script,
    /// Timers and promises of holds do not fire before this script is settled. 0: at any time.
    pub timers_after: Script,
    /// What it must reach.
    pub reaches: Vec<Reach>,
    /// Only with `--long`.
    pub long: bool,
    /// Tasks that have a header that is claimed before they run.
    pub joinable: u16,
    /// Scripts whose end is awaited by somebody.
    pub awaited: u16,
}

impl Scenario {
    /// A scenario in which nothing happens.
    pub fn new(name: &'static str, workers: usize) -> Scenario {
        assert!(workers <= WORKERS, "room for {WORKERS} workers");
        Scenario {
            name,
            workers,
            levels: 1,
            ring: 3,
            scripts: vec![&[]; SCRIPTS],
            starts: vec![Start::Fresh; workers],
            producers: Vec::new(),
            queued: Vec::new(),
            mortal: 0,
            reaper_after: 0,
            deliver_after: 0,
            timers_after: 0,
            reaches: Vec::new(),
            long: false,
            joinable: 0,
            awaited: 0,
        }
    }

    /// What a script does.
    pub fn script(mut self, script: Script, ops: &'static [Op]) -> Scenario {
        self.scripts[usize::from(script)] = ops;
        for op in ops {
            if let Op::Join(task) | Op::Cancel(task) | Op::Fork(task) = op {
                self.joinable |= 1 << task;
                self.awaited |= 1 << task;
            }
            if let Op::Until(script) = op {
                self.awaited |= 1 << script;
            }
        }
        self
    }

    /// A producer, with a script of its own.
    pub fn producer(mut self, ops: &'static [Op]) -> Scenario {
        assert!(self.producers.len() < PRODUCERS, "room for {PRODUCERS} producers");
        let script = (SCRIPTS - 1 - self.producers.len()) as Script;
        self.producers.push(script);
        self.script(script, ops)
    }

    /// How a worker begins.
    pub fn start(mut self, worker: usize, start: Start) -> Scenario {
        self.starts[worker] = start;
        self
    }

    /// All workers begin asleep.
    pub fn asleep(mut self) -> Scenario {
        self.starts.fill(Start::Asleep);
        self
    }

    /// What must be reached.
    pub fn reaches(mut self, what: &[Reach]) -> Scenario {
        self.reaches.extend(what);
        self
    }

    /// Only with `--long`.
    pub fn long(mut self) -> Scenario {
        self.long = true;
        self
    }

    /// The reaper, messages or timers come only when that script is settled.
    pub fn after(mut self, script: Script, what: impl FnOnce(&mut Scenario) -> &mut Script) -> Scenario {
        *what(&mut self) = script;
        self.awaited |= 1 << script;
        self
    }

    /// A worker may die, at any moment.
    pub fn mortal(mut self, worker: usize) -> Scenario {
        self.mortal |= bit(worker);
        self
    }

    /// Changes what the builder has no method for.
    pub fn with(mut self, change: impl FnOnce(&mut Scenario)) -> Scenario {
        change(&mut self);
        self
    }

    /// A mask of all workers.
    pub fn everyone(&self) -> u8 {
        (1 << self.workers) - 1
    }

    /// The step that a script is at.
    pub fn op(&self, frame: Frame) -> Option<Op> {
        self.scripts[usize::from(frame.script)].get(usize::from(frame.next)).copied()
    }

    /// Whether some script has a step like this.
    fn has(&self, step: impl Fn(&Op) -> bool) -> bool {
        self.scripts.iter().any(|ops| ops.iter().any(&step))
    }

    /// Whether the pool is closed at some time: else nobody looks at STOP.
    pub fn closes(&self) -> bool {
        self.has(|op| matches!(op, Op::Close(_)))
    }

    /// Whether it is closed, and what is queued then dropped.
    pub fn discards(&self) -> bool {
        self.has(|op| *op == Op::Close(Closed::Discard))
    }

    /// Whether a worker is held at some time: else nobody looks for held workers.
    pub fn holds(&self) -> bool {
        self.has(|op| matches!(op, Op::Hold(_))) || self.starts.iter().any(|start| matches!(start, Start::Held(_)))
    }

    /// Whether messages are posted to anybody.
    pub fn posts(&self) -> bool {
        self.has(|op| matches!(op, Op::Post(..) | Op::PostThrows(..)))
    }

    /// Whether somebody dies, perhaps.
    pub fn dies(&self) -> bool {
        self.mortal != 0 || self.starts.contains(&Start::DiedAsleep)
    }

    /// Whether this thread is a worker.
    pub fn is_worker(&self, actor: usize) -> bool {
        actor < self.workers
    }

    /// The state in which it begins.
    pub fn initial(&self) -> State {
        assert!(self.levels <= LEVELS && self.ring <= 3, "room for this");
        let mut state = State::BLANK;
        state.live = self.everyone();
        state.deaths = u8::from(self.mortal != 0);
        for (worker, start) in self.starts.iter().enumerate() {
            let actor = &mut state.actor[worker];
            match start {
                Start::Fresh => actor.pc = Pc::Top,
                Start::Asleep => {
                    actor.pc = Pc::Asleep;
                    state.idle.sleepers |= bit(worker);
                    state.word[worker].flags = Word::PARKED;
                }
                Start::DiedAsleep => {
                    actor.pc = Pc::Dead;
                    state.idle.sleepers |= bit(worker);
                    state.word[worker].flags = Word::PARKED;
                }
                Start::Running(script) => {
                    actor.pc = Pc::Run;
                    actor.enter(*script);
                    state.header[usize::from(*script)].fate = Fate::Taken;
                }
                Start::Held(script) => {
                    actor.pc = Pc::Out;
                    state.held |= bit(worker);
                    state.outside[worker].holds.push(*script);
                    state.outside[worker].armed = true;
                    state.header[usize::from(*script)].fate = Fate::Queued;
                }
            }
        }
        for (index, script) in self.producers.iter().enumerate() {
            let actor = &mut state.actor[WORKERS + index];
            actor.pc = Pc::Run;
            actor.world = World::Elsewhere;
            actor.enter(*script);
            state.header[usize::from(*script)].fate = Fate::Taken;
        }
        for task in &self.queued {
            state.ring[0].tasks.push(*task);
            state.header[usize::from(*task)].fate = Fate::Queued;
        }
        if self.dies() {
            state.actor[REAPER] = Actor { pc: Pc::ReapWait, ..Actor::NOTHING };
        }
        debug_assert!(state.actor.len() == ACTORS, "an actor for everybody");
        state
    }
}
