//! The loop of a worker, from "JS first" to "announce, look again, sleep", and the ways out of it.
//!
//! ```text
//! run(me)   loop: js(word[me]) > 0: leave                                      Top
//!           t = own.pop() or injector.pop_batch()                              PopOwn, PopShared, Publish
//!           if none and (searching or 2 * searchers < n):                      SearchLimit, SetSearcher
//!               t = steal_half(anybody) or injector.pop_batch()                Steal, StealEnd, Publish, PopSharedAgain
//!           if t: if searching: clear searcher(me);                            EndSearch
//!                     if I was the last, and any queue is non-empty: wake_one  Look, Wake..
//!                 claim t if it has a header; run it                           Claim, Run
//!           else: set sleeper(me), clear searcher(me), in one step             Announce
//!                 STOP is read, then the queues again                          ReadStop, Look
//!                 something: clear sleeper(me), be a searcher; again           UnAnnounce, SetSearcherAgain
//!                 STOP: clear sleeper(me), leave for good                      EndSleep, LeaveClear
//!                 closed, drained, no messages, and everybody sleeps:          ReadClosed .. ReadAllAsleep
//!                     STOP for everybody                                       StopAll, StopNotify
//!                 park; clear sleeper(me); again                               Park.., EndSleep
//! leave     clear searcher(me); any queue non-empty, mine included: wake_one   LeaveClear, Look, Wake..
//! ```
//!
//! STOP is not set when the pool is closed, but when there is nothing left: by the last worker that goes to sleep. As long as a task runs somewhere
//! it may spawn others, which somebody must be there to run; and a worker that is told to stop cannot sleep meanwhile, for STOP is
//! a reason not to.

use crate::event::{Queue, What};
use crate::machine::Machine;
use crate::mutant::Mutant;
use crate::scenario::Reach;
use crate::state::{Closed, Fate, Fifo, Pc, State, UNPUBLISHED, World};
use crate::words::{Idle, Word, bit, each};

/// The most tasks that one visit to a shared queue takes.
const BATCH: usize = 3;

impl Machine<'_> {
    /// A step of a worker in its loop.
    pub(crate) fn worker(&mut self, s: &mut State, me: usize) {
        let n = self.scenario.workers as u32;
        match s.actor[me].pc {
            // JS has priority, remaining tasks or not.
            Pc::Top => {
                let js = s.word[me].js;
                self.reach_if(js < 0, Reach::CountBelowZero);
                if js > 0 {
                    self.reach(Reach::LeftForJs);
                    self.leave(s, me, false);
                } else {
                    self.go(s, me, Pc::PopOwn);
                }
                self.step(s, me, What::Js(js));
            }
            // The own ring.
            Pc::PopOwn => {
                let task = s.ring[me].tasks.pop();
                match task {
                    Some(task) => self.found(s, me, task),
                    None => (s.actor[me].at, s.actor[me].pc) = (0, Pc::PopShared),
                }
                self.step(s, me, What::Pop(Queue::Ring(me as u8), u8::from(task.is_some())));
            }
            // The shared queues, the most urgent first; before and after looking at the others' rings.
            Pc::PopShared | Pc::PopSharedAgain => self.pop_shared(s, me),
            // At most half of the workers search.
            Pc::SearchLimit => {
                let Idle { sleepers, searchers } = s.idle;
                s.actor[me].pc = if 2 * searchers.count_ones() < n { Pc::SetSearcher } else { Pc::Announce };
                self.step(s, me, What::Idle(sleepers, searchers));
            }
            Pc::SetSearcher => {
                s.idle.searchers |= bit(me);
                s.actor[me].searching = true;
                self.begin_stealing(s, me);
                self.step(s, me, What::Search);
            }
            Pc::Steal => self.steal(s, me),
            Pc::StealEnd => {
                let victim = usize::from(core::mem::take(&mut s.actor[me].target));
                s.ring[victim].thief = 0;
                self.moved(s, me, true);
                self.step(s, me, What::StealEnd(victim as u8));
            }
            // What was moved becomes visible in the own ring. A worker that is no searcher wakes somebody: the batch was in no
            // queue while it moved, and a second look missed it (M8). A searcher will, in EndSearch.
            Pc::Publish => {
                let hand = core::mem::replace(&mut s.actor[me].hand, Fifo::EMPTY);
                hand.iter().for_each(|task| s.ring[me].tasks.push(task));
                if s.actor[me].searching {
                    s.actor[me].pc = Pc::EndSearch;
                } else if self.broken(Mutant::NoWakeAfterMove) {
                    self.go(s, me, Pc::Claim);
                } else {
                    self.wake(s, me, 1, Pc::Claim);
                }
                self.step(s, me, What::Push(Queue::Ring(me as u8), hand.len() as u8));
            }
            // Found something. The last searcher looks at what else there is: whoever pushed while it searched woke nobody (M5).
            Pc::EndSearch => {
                let last = s.idle.searchers == bit(me);
                s.idle.searchers &= !bit(me);
                s.actor[me].searching = false;
                if last && !self.broken(Mutant::NoChain) {
                    self.reach(Reach::Chained);
                    self.hand_over(s, me, Pc::Claim);
                } else {
                    self.go(s, me, Pc::Claim);
                }
                self.step(s, me, What::SearchEnd(last));
            }
            Pc::Claim => self.claim(s, me),
            // Nothing to do. One step: a waker sees me as a searcher or as a sleeper.
            Pc::Announce => {
                s.idle.sleepers |= bit(me);
                s.idle.searchers &= !bit(me);
                s.actor[me].searching = false;
                if self.scenario.closes() && !self.broken(Mutant::StopNotRead) {
                    s.actor[me].pc = Pc::ReadStop;
                } else {
                    self.look_again(s, me);
                }
                self.step(s, me, What::Announce);
            }
            Pc::ReadStop => {
                let stop = s.word[me].flags & Word::STOP != 0;
                s.actor[me].stop_seen = stop;
                self.look_again(s, me);
                self.step(s, me, What::ReadStop(stop));
            }
            // The second look saw something. Unless a waker has made me a searcher meanwhile, I make myself one: what was seen must be
            // looked for, also beyond the limit.
            Pc::UnAnnounce => {
                let claimed = !s.idle.sleeps(me);
                s.idle.sleepers &= !bit(me);
                self.reach(if claimed { Reach::LookedAgainClaimed } else { Reach::LookedAgain });
                s.actor[me].stop_seen = false;
                if claimed {
                    s.actor[me].searching = self.mutant != Some(Mutant::ForgetsClaim);
                    self.go(s, me, Pc::Top);
                } else if self.mutant == Some(Mutant::NotSearcherAgain) {
                    self.go(s, me, Pc::Top);
                } else {
                    s.actor[me].pc = Pc::SetSearcherAgain;
                }
                self.step(s, me, What::Awake(claimed));
            }
            Pc::SetSearcherAgain => {
                s.idle.searchers |= bit(me);
                s.actor[me].searching = true;
                self.go(s, me, Pc::Top);
                self.step(s, me, What::Search);
            }
            // Closed, nothing queued (not even a cell that is claimed and not published), and everybody sleeps: it is over.
            Pc::ReadClosed => {
                let closed = s.closed != Closed::No;
                s.actor[me].at = 0;
                s.actor[me].pc = if closed { Pc::ReadDrained } else { Pc::ParkLoad };
                self.step(s, me, What::Other("closed?", u8::from(closed)));
            }
            Pc::ReadDrained => {
                let level = usize::from(s.actor[me].at);
                let looks = self.broken(Mutant::DrainedByLooks);
                let empty = s.shared[level].is_empty() || (looks && s.published(level) == 0);
                let a = &mut s.actor[me];
                a.at += 1;
                if !empty || level + 1 == self.scenario.levels {
                    (a.at, a.pc) = (0, if empty { Pc::ReadMessages } else { Pc::ParkLoad });
                }
                self.step(s, me, What::Other("drained?", u8::from(empty)));
            }
            // A worker that was woken for a message is listed as a sleeper still, and its handler may spawn. It will be the last, then.
            Pc::ReadMessages => {
                let worker = usize::from(s.actor[me].at);
                let none = s.word[worker].js <= 0 || self.broken(Mutant::MessagesDoNotCount);
                let a = &mut s.actor[me];
                a.at += 1;
                if !none || worker + 1 == self.scenario.workers {
                    (a.at, a.pc) = (0, if none { Pc::ReadAllAsleep } else { Pc::ParkLoad });
                }
                self.step(s, me, What::Other("no messages?", u8::from(none)));
            }
            Pc::ReadAllAsleep => {
                let Idle { sleepers, searchers } = s.idle;
                s.actor[me].pc = if sleepers == s.live && searchers == 0 { Pc::StopAll } else { Pc::ParkLoad };
                self.step(s, me, What::Idle(sleepers, searchers));
            }
            Pc::StopAll => {
                let worker = usize::from(s.actor[me].at);
                self.reach(Reach::StoppedAll);
                let first = s.word[worker].parked() && !s.word[worker].has_reason();
                s.word[worker].flags |= Word::STOP;
                s.actor[me].target = worker as u8;
                s.actor[me].pc = Pc::StopNotify;
                if !first {
                    self.stop_next(s, me);
                }
                self.step(s, me, What::Stop(worker as u8, first));
            }
            Pc::StopNotify => {
                let worker = s.actor[me].target;
                let woken = self.notify(s, usize::from(worker));
                self.stop_next(s, me);
                self.step(s, me, What::Notify(worker, woken));
            }
            // Awake again, by whatever cause. If my bit is gone, a waker has made me a searcher.
            Pc::EndSleep => {
                let claimed = !s.idle.sleeps(me);
                s.idle.sleepers &= !bit(me);
                s.actor[me].searching = claimed;
                self.reach_if(claimed, Reach::Claimed);
                if s.actor[me].stopping {
                    self.leave(s, me, true);
                } else {
                    self.go(s, me, Pc::Top);
                }
                self.step(s, me, What::Awake(claimed));
            }
            // On the way out.
            Pc::LeaveClear => {
                let last = s.idle.searchers == bit(me);
                s.idle.searchers &= !bit(me);
                s.actor[me].searching = false;
                self.hand_off(s, me);
                self.step(s, me, What::SearchEnd(last));
            }
            pc => unreachable!("{pc:?} is no step of the loop"),
        }
    }

    /// There is a task in hand.
    fn found(&mut self, s: &mut State, me: usize, task: u8) {
        s.actor[me].got = task;
        let next = if s.actor[me].searching { Pc::EndSearch } else { Pc::Claim };
        self.go(s, me, next);
    }

    /// The first of the tasks in hand will be run; the others go to the own ring.
    fn moved(&mut self, s: &mut State, me: usize, stolen: bool) {
        let first = s.actor[me].hand.remove(0);
        s.actor[me].got = first;
        if !s.actor[me].hand.is_empty() {
            s.actor[me].pc = Pc::Publish;
        } else if stolen && s.actor[me].world == World::Slice && !self.broken(Mutant::SliceLeavesRest) {
            // Nobody chains after a slice, and what was left looked like nothing to whoever looked meanwhile.
            self.hand_over(s, me, Pc::Claim);
        } else {
            self.found(s, me, first);
        }
    }

    /// Takes a batch from a shared queue. A cell that was claimed and is not published bars the way to what is behind it.
    fn pop_shared(&mut self, s: &mut State, me: usize) {
        let level = usize::from(s.actor[me].at);
        let room = self.scenario.ring - s.ring[me].tasks.len();
        let count = s.published(level).min(BATCH).min(room + 1);
        self.reach_if(count == 0 && !s.shared[level].is_empty(), Reach::HalfPublished);
        for _ in 0..count {
            let task = s.shared[level].remove(0);
            debug_assert!(task & UNPUBLISHED == 0, "only what is published");
            s.actor[me].hand.push(task);
        }
        if count > 0 {
            self.reach_if(count > 1, Reach::BatchMoved);
            s.actor[me].at = 0;
            self.moved(s, me, false);
        } else if level + 1 < self.scenario.levels {
            s.actor[me].at += 1;
        } else {
            s.actor[me].at = 0;
            let a = &mut s.actor[me];
            if a.world == World::Slice {
                if a.pc == Pc::PopShared { self.begin_stealing(s, me) } else { self.slice_ends(s, me) }
            } else if a.pc == Pc::PopSharedAgain {
                a.pc = Pc::Announce;
            } else if a.searching {
                self.begin_stealing(s, me);
            } else {
                a.pc = Pc::SearchLimit;
            }
        }
        self.step(s, me, What::Pop(Queue::Shared(level as u8), count as u8));
    }

    /// Looks at the others' rings next. `at` is a mask of those that were looked at.
    fn begin_stealing(&mut self, s: &mut State, me: usize) {
        let alone = self.scenario.workers == 1;
        s.actor[me].at = if alone { 0 } else { bit(me) };
        s.actor[me].pc = if alone { Pc::PopSharedAgain } else { Pc::Steal };
    }

    /// Takes half of somebody's ring, which counts as empty until `StealEnd`.
    fn steal(&mut self, s: &mut State, me: usize) {
        let before = *s;
        for victim in each(self.scenario.everyone() & !s.actor[me].at) {
            *s = before;
            let count = if s.ring_looks_empty(victim) { 0 } else { s.ring[victim].tasks.len().div_ceil(2) };
            self.reach_if(s.ring[victim].thief != 0, Reach::BusyRingLooksEmpty);
            for _ in 0..count {
                let task = s.ring[victim].tasks.remove(0);
                s.actor[me].hand.push(task);
            }
            if count > 0 {
                self.reach(if count > 1 { Reach::StoleSeveral } else { Reach::Stole });
                s.ring[victim].thief = me as u8 + 1;
                let a = &mut s.actor[me];
                (a.at, a.target, a.pc) = (0, victim as u8, Pc::StealEnd);
            } else {
                s.actor[me].at |= bit(victim);
                if s.actor[me].at == self.scenario.everyone() {
                    (s.actor[me].at, s.actor[me].pc) = (0, Pc::PopSharedAgain);
                }
            }
            self.step(s, me, What::Steal(victim as u8, count as u8));
        }
    }

    /// A task with a handle may have been claimed by whoever waits for it, or been cancelled: its entry in the ring is stale then.
    fn claim(&mut self, s: &mut State, me: usize) {
        let task = s.actor[me].got;
        if s.closed == Closed::Discard && s.header[usize::from(task)].fate == Fate::Queued {
            // Its handle is told by the same compare-and-swap that would have begun it.
            self.reach(Reach::Discarded);
            self.header(s, task).fate = Fate::Discarded;
            s.actor[me].got = 0;
            self.task_over(s, me);
            return self.step(s, me, What::Skip(task));
        }
        if s.header[usize::from(task)].fate == Fate::Queued {
            self.begin(s, me);
            let what = self.take_then(What::Run(task));
            self.step(s, me, what);
        } else {
            self.reach(Reach::StaleEntry);
            s.actor[me].got = 0;
            self.task_over(s, me);
            self.step(s, me, What::Skip(task));
        }
    }

    /// The second look.
    fn look_again(&mut self, s: &mut State, me: usize) {
        if self.broken(Mutant::NoRecheck) {
            self.nothing_again(s, me);
        } else {
            self.look(s, me, Pc::ReadClosed, Pc::UnAnnounce);
        }
    }

    /// The second look saw nothing.
    pub(crate) fn nothing_again(&mut self, s: &mut State, me: usize) {
        let in_flight = (0..self.scenario.workers).any(|worker| s.actor[worker].depth() > 0);
        let stays = in_flight && self.broken(Mutant::StopWhileInFlight);
        let a = &mut s.actor[me];
        if core::mem::take(&mut a.stop_seen) && !stays {
            a.stopping = true;
            a.pc = Pc::EndSleep;
        } else {
            a.pc = if self.scenario.closes() { Pc::ReadClosed } else { Pc::ParkLoad };
        }
    }

    fn stop_next(&mut self, s: &mut State, me: usize) {
        let a = &mut s.actor[me];
        a.target = 0;
        a.at += 1;
        a.pc = Pc::StopAll;
        if usize::from(a.at) == self.scenario.workers {
            (a.at, a.pc) = (0, Pc::ParkLoad);
            if a.depth() > 0 {
                // It is not a worker on its way to sleep that says so (M35).
                self.advance(s, me);
            }
        }
    }

    /// Leaves the loop.
    pub(crate) fn leave(&mut self, s: &mut State, me: usize, stopping: bool) {
        s.actor[me].stopping = stopping;
        if s.actor[me].searching && !self.broken(Mutant::LeavesAsSearcher) {
            s.actor[me].pc = Pc::LeaveClear;
        } else {
            s.actor[me].searching = false;
            self.hand_off(s, me);
        }
    }

    /// What this worker was woken for, or has in its ring, is for somebody else now.
    fn hand_off(&mut self, s: &mut State, me: usize) {
        if self.broken(Mutant::NoHandOff) {
            self.go(s, me, Pc::Left);
        } else {
            self.hand_over(s, me, Pc::Left);
        }
    }
}
