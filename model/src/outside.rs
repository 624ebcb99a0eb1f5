//! The event loop of a worker: messages, re-entry, holds and slices.
//!
//! ```text
//! out        a message: run its handler; then count it down, whatever became of it     Out, Run.., Uncount
//!            if js <= 0: ask for one re-entry (held: for nothing, but be idle)
//!            the re-entry: back into the loop (held: a slice)                          Out
//! held       a worker with holds does not go back into the loop. Idle:
//!            set held(me); the queues again: something: a slice                        HeldAnnounce, Look, HeldWake
//!            nothing: arm `waitAsync` on the separate word                             HeldArm
//!            it fires: clear held(me); a slice                                         Out, HeldWake
//! slice      one task: own ring, shared queues, other rings, never as a searcher;      PopOwn .. PopSharedAgain
//!            ask for another slice; nothing: idle again
//! hold ends  the last one: clear held(me), ask for re-entry                            HeldEnd
//! ```

use crate::event::What;
use crate::machine::Machine;
use crate::mutant::Mutant;
use crate::scenario::Reach;
use crate::state::{Fate, Pc, Script, State, World};
use crate::words::bit;

/// In an inbox: the reaper's message, behind which no other is under way.
pub(crate) const FLUSH: Script = 0x7f;

impl Machine<'_> {
    /// A step in a worker's event loop.
    pub(crate) fn outside(&mut self, s: &mut State, me: usize) {
        match s.actor[me].pc {
            Pc::Out => self.event(s, me),
            // Once for each envelope, in a `finally`: whether its handler threw, or there was none.
            Pc::Uncount => {
                let word = &mut s.word[me];
                word.js = if self.mutant == Some(Mutant::FlagNotCount) { 0 } else { word.js - 1 };
                let js = word.js;
                self.reach_if(js < 0, Reach::CountBelowZero);
                s.actor[me].pc = Pc::Out;
                if js <= 0 {
                    self.handled(s, me);
                }
                self.step(s, me, What::Uncount(js));
            }
            // Behind the gate nobody posts, and all that was posted has been handled.
            Pc::FlushZero => {
                s.word[me].js = 0;
                s.actor[me].pc = Pc::FlushOpen;
                self.step(s, me, What::Other("count is set to 0", 0));
            }
            Pc::FlushOpen => {
                self.reach(Reach::Flushed);
                s.gate &= !bit(me);
                s.actor[me].pc = Pc::Out;
                self.handled(s, me);
                self.step(s, me, What::Other("gate opens", 0));
            }
            Pc::HeldAnnounce => {
                s.held |= bit(me);
                if self.broken(Mutant::HeldNoRecheck) {
                    s.actor[me].pc = Pc::HeldArm;
                } else {
                    self.look(s, me, Pc::HeldArm, Pc::HeldWake);
                }
                self.step(s, me, What::Held);
            }
            Pc::HeldArm => {
                if s.outside[me].signal {
                    s.actor[me].pc = Pc::HeldWake;
                } else {
                    s.outside[me].armed = true;
                    s.actor[me].pc = Pc::Out;
                }
                self.step(s, me, What::Other("waitAsync", 0));
            }
            Pc::HeldWake => {
                s.held &= !bit(me);
                s.outside[me].armed = false;
                s.outside[me].fulfilled = false;
                self.begin_slice(s, me);
                self.step(s, me, What::HeldEnd);
            }
            Pc::HeldEnd => {
                s.held &= !bit(me);
                s.outside[me].armed = false;
                s.outside[me].fulfilled = false;
                s.outside[me].reentry = true;
                s.actor[me].pc = Pc::Out;
                self.reach(Reach::HoldEnded);
                self.step(s, me, What::HeldEnd);
            }
            pc => unreachable!("{pc:?} is no step of an event loop"),
        }
    }

    /// What an event loop that is free can do next: any of these.
    pub(crate) fn event(&mut self, s: &mut State, me: usize) {
        let before = *s;
        let late = self.scenario.deliver_after;
        let delivers = late == 0 || s.header[usize::from(late)].fate.settled();
        if delivers && let Some(message) = s.outside[me].inbox.pop() {
            if message == FLUSH {
                s.actor[me].pc = Pc::FlushZero;
            } else {
                self.reach(Reach::Handled);
                self.handle(s, me, message);
            }
            self.step(s, me, What::Other("message", message));
            *s = before;
        }
        if s.outside[me].reentry {
            s.outside[me].reentry = false;
            if s.word[me].js == -1 && self.broken(Mutant::NormaliseCount) {
                s.word[me].js = 0;
            }
            if s.outside[me].holds.is_empty() {
                s.actor[me].world = World::Loop;
                self.go(s, me, Pc::Top);
            } else {
                self.begin_slice(s, me);
            }
            self.step(s, me, What::Enter);
            *s = before;
        }
        let fires = self.scenario.timers_fire(s);
        for hold in before.outside[me].holds.iter().filter(|_| fires) {
            if s.header[usize::from(hold)].fate == Fate::Queued {
                self.handle(s, me, hold);
                self.step(s, me, What::Other("timer", hold));
                *s = before;
            }
        }
        if s.outside[me].fulfilled {
            s.outside[me].fulfilled = false;
            s.actor[me].pc = Pc::HeldWake;
            self.step(s, me, What::Other("waitAsync fires", 0));
            *s = before;
        }
        // A message is counted and does not come: a timer lets tasks run meanwhile. One that would find nothing is left out.
        let queued = (0..self.scenario.levels).any(|level| s.published(level) > 0)
            || (0..self.scenario.workers).any(|worker| !s.ring_looks_empty(worker));
        if !delivers && s.word[me].js > 0 && queued && !self.broken(Mutant::OutWithoutSlices) {
            self.reach(Reach::SliceBesideMessage);
            self.begin_slice(s, me);
            self.step(s, me, What::Other("timer, a slice", 0));
        }
    }

    fn handle(&mut self, s: &mut State, me: usize, script: Script) {
        let header = self.header(s, script);
        if header.fate != Fate::Queued {
            self.fault("a message is handled twice, or was not posted");
        }
        header.fate = Fate::Taken;
        s.actor[me].world = World::Handler;
        s.actor[me].enter(script);
        self.go(s, me, Pc::Run);
    }

    /// After a handler: a message is counted down, a hold ends.
    pub(crate) fn handler_over(&mut self, s: &mut State, me: usize, script: Script) {
        let holds = &mut s.outside[me].holds;
        let index = holds.iter().position(|hold| hold == script);
        if let Some(index) = index {
            holds.remove(index);
            if holds.is_empty() {
                s.actor[me].pc = Pc::HeldEnd;
                if self.broken(Mutant::HoldEndsListed) {
                    s.outside[me].reentry = true;
                    s.actor[me].pc = Pc::Out;
                }
            } else {
                s.actor[me].pc = Pc::Out;
            }
        } else {
            s.actor[me].pc = Pc::Uncount;
        }
    }

    /// No message is counted: back into the loop, or be idle and held.
    fn handled(&mut self, s: &mut State, me: usize) {
        let outside = &mut s.outside[me];
        if outside.holds.is_empty() {
            outside.reentry = true;
        } else if !outside.armed && !outside.fulfilled && !outside.reentry {
            self.idle_and_held(s, me);
        }
    }

    fn idle_and_held(&mut self, s: &mut State, me: usize) {
        // The value that `waitAsync` will compare is read before the bit is set.
        s.outside[me].signal = false;
        s.actor[me].pc = Pc::HeldAnnounce;
    }

    fn begin_slice(&mut self, s: &mut State, me: usize) {
        self.reach_if(!s.outside[me].holds.is_empty(), Reach::HeldSlice);
        s.actor[me].world = World::Slice;
        self.go(s, me, Pc::PopOwn);
    }

    /// One task was run: let the event loop have its turn, and come again.
    pub(crate) fn slice_goes_on(&mut self, s: &mut State, me: usize) {
        s.actor[me].pc = Pc::Out;
        if !s.outside[me].holds.is_empty() {
            s.outside[me].reentry = true;
        }
    }

    /// There was nothing to run.
    pub(crate) fn slice_ends(&mut self, s: &mut State, me: usize) {
        if s.outside[me].holds.is_empty() {
            s.actor[me].pc = Pc::Out;
        } else {
            self.idle_and_held(s, me);
        }
    }
}
