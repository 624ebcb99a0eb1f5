//! Death, and what the reaper does about it.
//!
//! A worker may die before any of its steps: it does nothing any more, and everything it had half done stays so. The reaper
//! comes some time later, on a thread that is told of the death.
//!
//! ```text
//! reap(d)   clear sleeper(d), searcher(d); clear held(d)                              ReapBits, ReapHeld
//!           a ring that d was stealing from is whole again; cells that d had claimed  ReapSteal
//!           in a shared queue and not published are passed over
//!           tasks that d was moving or running are lost: their handles are told       ReapLost
//!           d was posting to i: shut i's gate; wait until nobody else is posting to   ReapGate, ReapFlush
//!           i; count a last message, twice: i comes out and stays out, whatever d     ReapFlushCount, ReapFlushNotify
//!           had counted; then post it; its handler zeroes the count, opens the gate   ReapFlushPost
//!           every other worker: TOKEN, notify always; the same for its async word     ReapToken, ReapNotify, ReapSignal
//! ```
//!
//! The bits go first: a token that wakes a worker to look around while the dead one is still listed as a searcher lets it go to
//! sleep again, and then the next task is pushed and sees that searcher.

use crate::event::What;
use crate::machine::Machine;
use crate::mutant::Mutant;
use crate::outside::FLUSH;
use crate::scenario::Reach;
use crate::state::{Fate, Fifo, Pc, State, UNPUBLISHED};
use crate::words::{Word, bit, each};

impl Machine<'_> {
    /// A worker may die here.
    pub(crate) fn death(&mut self, state: &State, me: usize) {
        let mut s = *state;
        let a = &mut s.actor[me];
        if matches!(a.pc, Pc::Dead | Pc::Stopped | Pc::Nothing) {
            return;
        }
        let pc = core::mem::replace(&mut a.pc, Pc::Dead);
        self.reach(Reach::Died);
        self.reach_if(a.searching, Reach::DiedSearching);
        self.reach_if(matches!(pc, Pc::WakeToken | Pc::WakeNotify), Reach::DiedAsWaker);
        self.reach_if(pc == Pc::Asleep, Reach::DiedAsleep);
        self.reach_if(pc == Pc::StealEnd, Reach::DiedStealing);
        self.reach_if(pc == Pc::PostCount, Reach::DiedPosting);
        s.deaths -= 1;
        self.step_of_fate(&s, me, "dies");
    }

    /// A step of the reaper.
    pub(crate) fn reaper(&mut self, s: &mut State, me: usize) {
        let dead = usize::from(s.actor[me].target);
        let others = s.live;
        match s.actor[me].pc {
            Pc::ReapWait => {
                let after = self.scenario.reaper_after;
                let Some(dead) = each(s.live).find(|worker| s.actor[*worker].pc == Pc::Dead) else { return };
                if after != 0 && !s.header[usize::from(after)].fate.settled() {
                    return;
                }
                s.live &= !bit(dead);
                let first = if self.broken(Mutant::ReaperWakesFirst) { Pc::ReapToken } else { Pc::ReapBits };
                (s.actor[me].target, s.actor[me].pc) = (dead as u8, first);
                self.step(s, me, What::Other("reaps", dead as u8));
            }
            Pc::ReapBits => {
                s.idle.sleepers &= !bit(dead);
                s.idle.searchers &= !bit(dead);
                s.actor[me].pc = Pc::ReapHeld;
                self.step(s, me, What::Other("clears idle of", dead as u8));
            }
            Pc::ReapHeld => {
                s.held &= !bit(dead);
                s.actor[me].pc = Pc::ReapSteal;
                self.step(s, me, What::Other("clears held of", dead as u8));
            }
            Pc::ReapSteal => {
                if !self.broken(Mutant::StealNotClosed) {
                    for ring in s.ring.iter_mut().filter(|ring| ring.thief == dead as u8 + 1) {
                        ring.thief = 0;
                    }
                }
                for queue in &mut s.shared {
                    for task in s.actor[dead].hand.iter() {
                        let cell = queue.0.iter().position(|cell| *cell == task | UNPUBLISHED);
                        if let Some(index) = cell.filter(|_| !self.mutant.eq(&Some(Mutant::CellNotSkipped))) {
                            queue.remove(index);
                        }
                    }
                }
                s.actor[me].pc = Pc::ReapLost;
                self.step(s, me, What::Other("closes the steal of", dead as u8));
            }
            Pc::ReapLost => {
                let a = &mut s.actor[dead];
                let (hand, latent, got) = (a.hand, a.latent, a.got);
                let running = a.stack;
                (a.hand, a.latent, a.got) = (Fifo::EMPTY, Fifo::EMPTY, 0);
                a.stack = crate::state::Actor::NOTHING.stack;
                let inbox = core::mem::replace(&mut s.outside[dead].inbox, Fifo::EMPTY);
                let holds = core::mem::replace(&mut s.outside[dead].holds, Fifo::EMPTY);
                // What it was running is lost. What it was moving is lost unless a joiner has claimed it from under it: a compare-and-swap.
                let moving = hand.iter().chain(latent.iter()).chain([got]).map(|script| (script, Fate::Queued));
                let events = inbox.iter().chain(holds.iter()).map(|script| (script, Fate::Queued));
                let running = running.iter().map(|frame| (frame.script, Fate::Taken));
                for (script, fate) in moving.chain(events).chain(running).filter(|(script, _)| *script != 0) {
                    let taken = self.broken(Mutant::LostThoughClaimed);
                    let header = self.header(s, script);
                    let lost = header.fate == fate || (taken && header.fate == Fate::Taken);
                    if lost {
                        header.fate = Fate::Lost;
                    }
                    // Always: it may have died between the end of a task and the notification of it.
                    if lost || !self.broken(Mutant::LostAloneNotify) {
                        self.notify_joiners(s, script);
                    }
                }
                let posting = core::mem::take(&mut s.actor[dead].posting);
                let settle = posting != 0 && !self.broken(Mutant::PostNotSettled);
                s.actor[me].at = if settle { posting - 1 } else { 0 };
                s.actor[me].pc = if settle { Pc::ReapGate } else { Pc::ReapToken };
                if self.broken(Mutant::ReaperOnlyClears) && !settle {
                    s.actor[me].pc = Pc::Nothing;
                }
                if self.broken(Mutant::ReaperWakesFirst) && !settle {
                    s.actor[me].pc = Pc::Nothing;
                }
                self.step(s, me, What::Other("tells the handles of", dead as u8));
            }
            Pc::ReapGate => {
                let to = s.actor[me].at;
                s.gate |= bit(usize::from(to));
                s.actor[me].pc = Pc::ReapFlush;
                self.step(s, me, What::Other("shuts the gate of", to));
            }
            Pc::ReapFlush => {
                let to = s.actor[me].at;
                let posting = s.actor.iter().any(|a| a.posting == to + 1) && !self.broken(Mutant::GateDoesNotWait);
                if posting {
                    return;
                }
                let first = if self.broken(Mutant::FlushPostedFirst) { Pc::ReapFlushPost } else { Pc::ReapFlushCount };
                s.actor[me].pc = first;
                self.reaper(s, me);
            }
            Pc::ReapFlushCount => {
                let to = usize::from(s.actor[me].at);
                let before = s.word[to];
                s.word[to].js += if self.broken(Mutant::FlushCountedOnce) { 1 } else { 2 };
                let first = before.parked() && !before.has_reason() && s.word[to].has_reason();
                self.flush_counted(s, me, first);
                self.step(s, me, What::Count(to as u8, first));
            }
            Pc::ReapFlushNotify => {
                let to = s.actor[me].at;
                let woken = self.notify(s, usize::from(to));
                self.flush_counted(s, me, false);
                self.step(s, me, What::Notify(to, woken));
            }
            Pc::ReapFlushPost => {
                let to = s.actor[me].at;
                s.outside[usize::from(to)].inbox.push(FLUSH);
                if self.broken(Mutant::FlushPostedFirst) {
                    s.actor[me].pc = Pc::ReapFlushCount;
                } else {
                    (s.actor[me].at, s.actor[me].pc) = (0, Pc::ReapToken);
                }
                self.step(s, me, What::Other("posts the last message to", to));
            }
            Pc::ReapToken => {
                let at = usize::from(s.actor[me].at);
                if others & bit(at) == 0 {
                    s.actor[me].at += 1;
                    if at + 1 >= self.scenario.workers {
                        self.reaped(s, me);
                    }
                    return self.step(s, me, What::Other("passes over", at as u8));
                }
                let first = s.word[at].parked() && !s.word[at].has_reason();
                s.word[at].flags |= Word::TOKEN;
                s.actor[me].pc = Pc::ReapNotify;
                self.step(s, me, What::Token(at as u8, first));
            }
            // Whoever should have notified may be the dead one.
            Pc::ReapNotify => {
                let at = s.actor[me].at;
                let woken = self.notify(s, usize::from(at));
                s.actor[me].pc = if self.scenario.holds() { Pc::ReapSignal } else { Pc::ReapToken };
                if !self.scenario.holds() {
                    self.next_worker(s, me);
                }
                self.step(s, me, What::Notify(at, woken));
            }
            Pc::ReapSignal => {
                let at = usize::from(s.actor[me].at);
                if !self.broken(Mutant::ReaperForgetsHeld) {
                    s.outside[at].signal = true;
                    self.fulfil(s, at);
                }
                s.actor[me].pc = Pc::ReapToken;
                self.next_worker(s, me);
                self.step(s, me, What::Other("notifies held", at as u8));
            }
            pc => unreachable!("{pc:?} is no step of the reaper"),
        }
    }

    /// The last message is posted after it was counted, against the rule: it cannot throw, and its handler sets the count to 0, which
    /// a count that comes later would spoil.
    fn flush_counted(&mut self, s: &mut State, me: usize, notify: bool) {
        s.actor[me].pc = match (notify, self.broken(Mutant::FlushPostedFirst)) {
            (true, _) => Pc::ReapFlushNotify,
            (false, false) => Pc::ReapFlushPost,
            (false, true) => {
                s.actor[me].at = 0;
                Pc::ReapToken
            }
        };
    }

    fn next_worker(&mut self, s: &mut State, me: usize) {
        s.actor[me].at += 1;
        if usize::from(s.actor[me].at) >= self.scenario.workers {
            self.reaped(s, me);
        }
    }

    fn reaped(&mut self, s: &mut State, me: usize) {
        self.reach(Reach::Reaped);
        s.actor[me].at = 0;
        let again = self.broken(Mutant::ReaperWakesFirst);
        s.actor[me].pc = if again { Pc::ReapBits } else { Pc::Nothing };
        if !again {
            s.actor[me].target = 0;
        }
    }
}
