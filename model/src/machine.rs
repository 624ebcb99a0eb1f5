//! What all programs of the model share: how a step is taken, and the two subroutines `look` and `wake`.
//!
//! A thread's step is exactly one access to a shared word or queue, together with everything that the thread then does by itself up
//! to its next access. `Machine::steps` lists every step that some thread can take next. Where the protocol leaves something
//! open (which sleeper is claimed, whose ring is looked at first, whether a timer or a message comes first), each choice is a
//! step of its own.

use crate::event::What;
use crate::mutant::Mutant;
use crate::scenario::{Reach, Scenario};
use crate::state::{ACTORS, Actor, Fate, Header, Pc, Script, State, World};

/// What can happen next.
#[derive(Clone, Copy)]
pub struct Next {
    /// The state afterwards.
    pub state: State,
    /// Whose step it is.
    pub actor: u8,
    /// What it did.
    pub what: What,
    /// And then, without an access of its own.
    pub then: Option<What>,
    /// What it reached, as a mask.
    pub reached: u64,
    /// What is wrong with it at once.
    pub fault: Option<&'static str>,
    /// Whether this is the end of a thread, which nobody may count on.
    pub death: bool,
}

/// Takes steps.
pub struct Machine<'a> {
    /// What happens.
    pub scenario: &'a Scenario,
    /// What is broken.
    pub mutant: Option<Mutant>,
    /// The steps that were found.
    pub next: Vec<Next>,
    reached: u64,
    then: Option<What>,
    fault: Option<&'static str>,
}

impl<'a> Machine<'a> {
    /// A machine for a scenario.
    pub fn new(scenario: &'a Scenario, mutant: Option<Mutant>) -> Machine<'a> {
        Machine { scenario, mutant, next: Vec::with_capacity(32), reached: 0, then: None, fault: None }
    }

    /// Lists every step that can be taken in this state, in `next`.
    pub fn steps(&mut self, state: &State) {
        self.next.clear();
        for me in 0..ACTORS {
            self.steps_of(state, me);
        }
    }

    /// Lists every step of one thread.
    pub fn steps_of(&mut self, state: &State, me: usize) {
        let (mut s, pc) = (*state, state.actor[me].pc);
        match pc {
            Pc::Nothing | Pc::Dead | Pc::Asleep => {}
            // Its thread is there still, and its event loop: a message that was under way when the pool ended is handled.
            Pc::Stopped => self.event(&mut s, me),
            _ if pc <= Pc::Left => self.worker(&mut s, me),
            _ if pc <= Pc::ParkClear => self.park(&mut s, me),
            _ if pc <= Pc::Look => self.waking(&mut s, me),
            _ if pc <= Pc::JoinAsleep => self.script(&mut s, me),
            _ if pc <= Pc::HeldEnd => self.outside(&mut s, me),
            _ => self.reaper(&mut s, me),
        }
        if state.deaths > 0 && self.scenario.is_worker(me) && self.scenario.mortal & 1 << me != 0 {
            self.death(state, me);
        }
    }

    /// Whether something is broken in this way.
    pub fn broken(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    /// Notes what the step that is being taken reaches.
    pub fn reach(&mut self, what: Reach) {
        self.reached |= what.mask();
    }

    /// The same, if it does.
    pub fn reach_if(&mut self, condition: bool, what: Reach) {
        if condition {
            self.reach(what);
        }
    }

    /// What follows the access without one of its own.
    pub fn and_then(&mut self, what: What) {
        self.then = Some(what);
    }

    /// What follows is not without an access: it is what the access does.
    pub fn take_then(&mut self, otherwise: What) -> What {
        self.then.take().unwrap_or(otherwise)
    }

    /// Something that must never happen.
    pub fn fault(&mut self, text: &'static str) {
        self.fault = Some(text);
    }

    /// The step is taken: this is the state afterwards.
    pub fn step(&mut self, s: &State, me: usize, what: What) {
        self.push(s, me, what, false);
    }

    /// The same for a death.
    pub fn step_of_fate(&mut self, s: &State, me: usize, what: &'static str) {
        self.push(s, me, What::Other(what, 0), true);
    }

    fn push(&mut self, s: &State, me: usize, what: What, death: bool) {
        let (then, fault) = (self.then.take(), self.fault.take());
        let reached = core::mem::take(&mut self.reached);
        self.next.push(Next { state: *s, actor: me as u8, what, then, reached, fault, death });
    }

    // ------------------------------------------------------------------------------------------- going from one place to the next

    /// Goes to the next access: some places have none, depending on what is there to be done.
    pub fn go(&mut self, s: &mut State, me: usize, pc: Pc) {
        match pc {
            // Only a task with a handle has a header to be claimed.
            Pc::Claim if !self.is_joinable(s.actor[me].got) && !self.scenario.discards() => self.begin(s, me),
            // Out, or gone for good.
            Pc::Left => {
                let stopping = s.actor[me].stopping;
                let a = &mut s.actor[me];
                a.stopping = false;
                a.pc = if stopping { Pc::Stopped } else { Pc::Out };
                self.and_then(if stopping { What::Stopped } else { What::Leave });
            }
            // Without messages in a scenario nobody need look for them; and a worker knows when its ring is empty, for nobody else pushes to it.
            Pc::Top if !self.scenario.posts() => self.go(s, me, Pc::PopOwn),
            Pc::PopOwn if s.ring[me].tasks.is_empty() => (s.actor[me].at, s.actor[me].pc) = (0, Pc::PopShared),
            // The script goes on, or is at its end; an end that nobody waits for is no access.
            Pc::Run => {
                let Some(frame) = s.actor[me].running() else { unreachable!("a script runs") };
                if self.scenario.op(frame).is_some() {
                    s.actor[me].pc = Pc::Run;
                } else if self.scenario.awaited & 1 << frame.script != 0 {
                    s.actor[me].pc = Pc::Finish;
                } else {
                    self.finish(s, me);
                }
            }
            _ => s.actor[me].pc = pc,
        }
    }

    /// The step of the script that runs is done.
    pub fn advance(&mut self, s: &mut State, me: usize) {
        s.actor[me].advance();
        self.go(s, me, Pc::Run);
    }

    /// Whether a task has a handle that others wait on.
    pub fn is_joinable(&self, script: Script) -> bool {
        self.scenario.joinable & 1 << script != 0
    }

    /// The header of a script.
    pub fn header<'s>(&self, s: &'s mut State, script: Script) -> &'s mut Header {
        &mut s.header[usize::from(script)]
    }

    /// A task begins.
    pub fn begin(&mut self, s: &mut State, me: usize) {
        let task = core::mem::take(&mut s.actor[me].got);
        let header = self.header(s, task);
        if header.fate != Fate::Queued {
            self.fault("a task runs that is not queued: twice, or after its end");
        }
        header.fate = Fate::Taken;
        s.actor[me].enter(task);
        self.and_then(What::Run(task));
        self.go(s, me, Pc::Run);
        self.and_then(What::Run(task));
    }

    /// Looks at all queues, one after the other.
    pub fn look(&mut self, s: &mut State, me: usize, none: Pc, some: Pc) {
        let skipped = some == Pc::UnAnnounce && self.scenario.levels > 1 && self.broken(Mutant::LevelNotLookedAt);
        let a = &mut s.actor[me];
        (a.at, a.look_none, a.look_some) = (u8::from(skipped), none, some);
        a.pc = Pc::Look;
    }

    /// Wakes somebody for `want` tasks, then goes on.
    pub fn wake(&mut self, s: &mut State, me: usize, want: u8, back: Pc) {
        let a = &mut s.actor[me];
        (a.back, a.want) = (back, want);
        a.pc = Pc::WakeLoad;
    }

    /// Looks at all queues, wakes somebody if there is anything, then goes on.
    pub fn hand_over(&mut self, s: &mut State, me: usize, back: Pc) {
        self.look(s, me, back, Pc::WakeLoad);
        let a = &mut s.actor[me];
        (a.back, a.want) = (back, 1);
    }

    /// Whether this thread is in the loop, or in a slice: it has a ring.
    pub fn has_ring(a: &Actor) -> bool {
        matches!(a.world, World::Loop | World::Slice)
    }
}
