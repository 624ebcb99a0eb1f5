//! Waking: who claims whom, and how the claimed worker learns of it. And looking at all queues.
//!
//! ```text
//! wake(k)   s = idle.load                                                           WakeLoad
//!           if searchers(s) != 0: return                 it will chain
//!           if sleepers(s) != 0: CAS idle: for k sleepers i: -sleeper(i) +searcher(i)  WakeClaim
//!           there was none, or the CAS failed: pick from `held`, if any: clear its bit, WakeHeld, WakeHeldClaim
//!                                  signal its async word, notify; return            WakeSignal, WakeFulfil
//!           each i: p = word[i].fetch_or(TOKEN)                                     WakeToken
//!                   if p has PARKED and not reasons(p):                             WakeNotify
//!                       if notify(word[i]) == 0: once more for another, and i's searcher bit does not count
//! ```
//!
//! The last words matter. A worker that was claimed and cannot stir because it is dead is a searcher by that claim; whoever
//! "tries once more" and respects searchers finds this one, and returns. It is for the reaper to clear the bit: to take it back here
//! would take it from a worker that is alive and just had not gone to sleep yet, and that would then end a search
//! that is none, and chain nothing.
//!
//! A CAS that failed is not tried again: whoever has changed `idle` looks at the queues after that.

use crate::event::{Queue, What};
use crate::machine::Machine;
use crate::mutant::Mutant;
use crate::scenario::Reach;
use crate::state::{Actor, Pc, State};
use crate::words::{Idle, Word, bit, each, lowest};

impl Machine<'_> {
    /// A step of `wake` or `look`.
    pub(crate) fn waking(&mut self, s: &mut State, me: usize) {
        match s.actor[me].pc {
            Pc::WakeLoad => {
                s.actor[me].seen = s.idle;
                let what = What::Idle(s.idle.sleepers, s.idle.searchers);
                self.decide(s, me);
                self.step(s, me, what);
            }
            Pc::WakeClaim => self.wake_claim(s, me),
            Pc::WakeToken => {
                let worker = lowest(s.actor[me].claimed);
                s.actor[me].claimed &= !bit(worker);
                let first = s.word[worker].parked() && !s.word[worker].has_reason();
                s.word[worker].flags |= Word::TOKEN;
                if first {
                    (s.actor[me].target, s.actor[me].pc) = (worker as u8, Pc::WakeNotify);
                } else {
                    self.wake_next(s, me);
                }
                self.step(s, me, What::Token(worker as u8, first));
            }
            Pc::WakeNotify => {
                let worker = usize::from(core::mem::take(&mut s.actor[me].target));
                let woken = self.notify(s, worker);
                if woken == 0 && !self.broken(Mutant::NoRetry) {
                    s.actor[me].ignore |= bit(worker);
                    s.actor[me].want = 1;
                }
                self.wake_next(s, me);
                self.step(s, me, What::Notify(worker as u8, woken));
            }
            Pc::WakeHeld => {
                let before = *s;
                if s.held == 0 {
                    self.wake_returns(s, me);
                    self.step(s, me, What::Other("held", 0));
                }
                for worker in each(before.held) {
                    *s = before;
                    (s.actor[me].target, s.actor[me].pc) = (worker as u8, Pc::WakeHeldClaim);
                    self.step(s, me, What::Other("held", before.held));
                }
            }
            Pc::WakeHeldClaim => {
                let worker = usize::from(s.actor[me].target);
                let had = s.held & bit(worker) != 0;
                s.held &= !bit(worker);
                if had {
                    self.reach(Reach::HeldPicked);
                    if self.broken(Mutant::HeldSearches) {
                        s.idle.searchers |= bit(worker);
                    }
                    s.actor[me].pc = Pc::WakeSignal;
                } else {
                    (s.actor[me].target, s.actor[me].pc) = (0, Pc::WakeHeld);
                }
                self.step(s, me, What::Other("pick held", worker as u8));
            }
            // The word that `waitAsync` waits on is another than the one that the worker parks on.
            Pc::WakeSignal => {
                let worker = s.actor[me].target;
                s.outside[usize::from(worker)].signal = true;
                s.actor[me].pc = Pc::WakeFulfil;
                self.step(s, me, What::Other("signal held", worker));
            }
            Pc::WakeFulfil => {
                let worker = core::mem::take(&mut s.actor[me].target);
                self.fulfil(s, usize::from(worker));
                self.wake_returns(s, me);
                self.step(s, me, What::Other("notify held", worker));
            }
            Pc::Look => self.look_on(s, me),
            pc => unreachable!("{pc:?} is no step of waking"),
        }
    }

    /// What to do about what was read from `idle`.
    fn decide(&mut self, s: &mut State, me: usize) {
        let seen = self.respected(s, me);
        let a = &mut s.actor[me];
        if seen.searchers != 0 || (seen.sleepers == 0 && !self.scenario.holds()) {
            self.wake_returns(s, me);
        } else if seen.sleepers == 0 {
            a.pc = Pc::WakeHeld;
        } else {
            a.pc = Pc::WakeClaim;
            return;
        }
        s.actor[me].seen = Idle::NOBODY;
    }

    /// What was read, without the bits of those that were claimed and did not stir.
    fn respected(&self, s: &State, me: usize) -> Idle {
        let Actor { seen, ignore, .. } = s.actor[me];
        let sleepers = if self.broken(Mutant::RetriesForEver) { seen.sleepers } else { seen.sleepers & !ignore };
        let searchers = if self.broken(Mutant::RetrySeesItself) { seen.searchers } else { seen.searchers & !ignore };
        Idle { sleepers, searchers }
    }

    fn wake_claim(&mut self, s: &mut State, me: usize) {
        if s.idle != s.actor[me].seen {
            self.reach(Reach::ClaimFailed);
            s.actor[me].seen = Idle::NOBODY;
            if self.scenario.holds() {
                s.actor[me].pc = Pc::WakeHeld;
            } else {
                self.wake_returns(s, me);
            }
            return self.step(s, me, What::ClaimFailed);
        }
        let before = *s;
        let seen = self.respected(s, me);
        let want = u32::from(before.actor[me].want).min(seen.sleepers.count_ones());
        // Any choice of as many.
        for claimed in (1..=seen.sleepers).filter(|mask| mask & !seen.sleepers == 0 && mask.count_ones() == want) {
            *s = before;
            s.idle.searchers |= claimed;
            if !self.broken(Mutant::ClaimKeepsSleeper) {
                s.idle.sleepers &= !claimed;
            }
            self.reach_if(want > 1, Reach::BatchClaim);
            self.reach_if(each(claimed).any(|worker| s.actor[worker].pc == Pc::Dead), Reach::DeadClaimed);
            let a = &mut s.actor[me];
            (a.claimed, a.want, a.seen, a.pc) = (claimed, 0, Idle::NOBODY, Pc::WakeToken);
            self.step(s, me, What::Claim(claimed));
        }
    }

    /// The next of those that were claimed; then once more, if one of them did not stir.
    fn wake_next(&mut self, s: &mut State, me: usize) {
        let a = &mut s.actor[me];
        if a.claimed != 0 {
            a.pc = Pc::WakeToken;
        } else if a.want != 0 {
            a.pc = Pc::WakeLoad;
        } else {
            self.wake_returns(s, me);
        }
    }

    fn wake_returns(&mut self, s: &mut State, me: usize) {
        let a = &mut s.actor[me];
        let back = core::mem::replace(&mut a.back, Pc::Nothing);
        (a.want, a.ignore, a.seen) = (0, 0, Idle::NOBODY);
        self.go(s, me, back);
    }

    /// Notifies the word of a held worker.
    pub(crate) fn fulfil(&mut self, s: &mut State, worker: usize) {
        let outside = &mut s.outside[worker];
        if core::mem::take(&mut outside.armed) {
            outside.fulfilled = true;
        }
    }

    /// Looks at one queue: shared ones first, then rings. A ring that is being stolen from counts as empty, and so does a queue whose
    /// oldest cell is not published: it would only make idle workers spin, and whoever moves or publishes wakes afterwards.
    fn look_on(&mut self, s: &mut State, me: usize) {
        let (at, levels) = (usize::from(s.actor[me].at), self.scenario.levels);
        let (queue, some) = if at < levels {
            self.reach_if(s.published(at) == 0 && !s.shared[at].is_empty(), Reach::HalfPublished);
            (Queue::Shared(at as u8), s.published(at) > 0)
        } else {
            let worker = at - levels;
            self.reach_if(s.ring[worker].thief != 0, Reach::BusyRingLooksEmpty);
            (Queue::Ring(worker as u8), !s.ring_looks_empty(worker))
        };
        self.reach_if(some && at + 1 == levels && levels > 1, Reach::LookedAtLastLevel);
        let a = &mut s.actor[me];
        let (none, found) = (a.look_none, a.look_some);
        let mut next = at + 1;
        // A worker that is going to sleep knows that its own ring is empty: nobody else pushes there.
        if next == levels + me && matches!(found, Pc::UnAnnounce | Pc::HeldWake) {
            next += 1;
        }
        a.at = next as u8;
        if some || next >= levels + self.scenario.workers {
            (a.at, a.look_none, a.look_some) = (0, Pc::Nothing, Pc::Nothing);
            self.reach_if(some && found == Pc::WakeLoad && a.back == Pc::Left, Reach::HandedOff);
            if some {
                a.pc = found;
            } else if none == Pc::ReadClosed {
                self.nothing_again(s, me);
            } else {
                (a.back, a.want) = (Pc::Nothing, 0);
                self.go(s, me, none);
            }
        }
        self.step(s, me, What::Look(queue, some));
    }
}
