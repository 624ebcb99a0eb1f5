//! Running a script: tasks, messages' handlers, timers and producers. What a submitter, a sender and a joiner do.
//!
//! ```text
//! submit    own ring has room: push; wake(1)                                        Run
//!           full: half of it and the task go to the shared queue, in one batch      DrainHalf, PushCell, PushPublish
//!           no ring: claim cells of the shared queue, or learn that it is closed;   PushCell
//!                    publish them; wake(how many)                                   PushPublish
//! post_js   posting[me] = i; wait while i's gate is shut       (for the reaper)     PostMark, PostGate
//!           port[i].postMessage(envelope)?      may throw: nothing has changed yet  PostSend
//!           p = word[i].fetch_add(1 message); the first reason notifies             PostCount, PostNotify
//!           posting[me] = none                                                      PostDone
//! join(t)   CAS QUEUED -> TAKEN: run it here                                        JoinLook
//!           settled: go on; else say that somebody waits                            JoinMark
//!           let others have what this worker has queued; sleep on t's header        Look, Wake.., JoinWait, JoinAsleep
//! the end   header = DONE; if somebody waits: notify                                Finish, FinishNotify
//! ```

use crate::event::{Queue, What};
use crate::machine::Machine;
use crate::mutant::Mutant;
use crate::scenario::{Op, Reach};
use crate::state::{Closed, Fate, Fifo, Pc, Script, State, UNPUBLISHED, World};
use crate::words::{bit, each};

impl Machine<'_> {
    /// A step of a script.
    pub(crate) fn script(&mut self, s: &mut State, me: usize) {
        match s.actor[me].pc {
            Pc::Run => self.operation(s, me),
            // A full ring: half of it moves, with the new task, which is already in hand.
            Pc::DrainHalf => {
                let half = s.ring[me].tasks.len().div_ceil(2);
                let new = s.actor[me].hand.remove(0);
                for _ in 0..half {
                    let task = s.ring[me].tasks.remove(0);
                    s.actor[me].hand.push(task);
                }
                s.actor[me].hand.push(new);
                self.reach(Reach::Overflowed);
                s.actor[me].pc = Pc::PushCell;
                self.step(s, me, What::Pop(Queue::Ring(me as u8), half as u8));
            }
            // The door: closed and claimed are in one word.
            Pc::PushCell => {
                let level = usize::from(s.actor[me].at);
                let hand = s.actor[me].hand;
                if self.refused(s, me) {
                    hand.iter().for_each(|task| self.header(s, task).fate = Fate::Refused);
                    self.reach(Reach::Refused);
                    (s.actor[me].at, s.actor[me].want, s.actor[me].hand) = (0, 0, Fifo::EMPTY);
                    self.advance(s, me);
                    return self.step(s, me, What::Other("refused", 0));
                }
                for task in hand.iter() {
                    s.shared[level].push(task | UNPUBLISHED);
                    self.header(s, task).fate = Fate::Queued;
                }
                s.actor[me].pc = Pc::PushPublish;
                self.step(s, me, What::Cell(Queue::Shared(level as u8), hand.len() as u8));
            }
            Pc::PushPublish => {
                let level = s.actor[me].at;
                let task = s.actor[me].hand.remove(0);
                for cell in &mut s.shared[usize::from(level)].0 {
                    if *cell == task | UNPUBLISHED {
                        *cell = task;
                    }
                }
                if s.actor[me].hand.is_empty() {
                    s.actor[me].at = 0;
                    self.submitted(s, me);
                }
                self.step(s, me, What::Push(Queue::Shared(level), 1));
            }
            Pc::Finish => {
                let script = s.actor[me].running().map_or(0, |frame| frame.script);
                self.finish(s, me);
                self.step(s, me, What::End(script));
            }
            Pc::FinishNotify => {
                let script = s.actor[me].running().map_or(0, |frame| frame.script);
                let waiters = self.notify_joiners(s, script);
                self.script_over(s, me);
                self.step(s, me, What::Other("notify joiners", waiters));
            }
            Pc::PostMark
            | Pc::PostGate
            | Pc::PostWait
            | Pc::PostSend
            | Pc::PostCount
            | Pc::PostNotify
            | Pc::PostUndo
            | Pc::PostDone => self.post(s, me),
            Pc::JoinLook | Pc::JoinMark | Pc::JoinUnlist | Pc::JoinWait => self.join(s, me),
            // Until it is notified.
            Pc::JoinAsleep => {}
            pc => unreachable!("{pc:?} is no step of a script"),
        }
    }

    /// The step that the running script is at.
    fn operation(&mut self, s: &mut State, me: usize) {
        let Some(op) = s.actor[me].running().and_then(|frame| self.scenario.op(frame)) else {
            unreachable!("a script at its end is at Finish")
        };
        let last = self.scenario.levels as u8 - 1;
        match op {
            Op::Submit(task) if Self::has_ring(&s.actor[me]) => {
                if self.refused(s, me) {
                    self.header(s, task).fate = Fate::Refused;
                    self.reach(Reach::Refused);
                    self.advance(s, me);
                    return self.step(s, me, What::Other("refused", 0));
                }
                s.actor[me].want = 1;
                if s.ring[me].tasks.len() < self.scenario.ring {
                    self.push_own(s, me, task);
                    self.submitted(s, me);
                } else {
                    (s.actor[me].at, s.actor[me].pc) = (last, Pc::DrainHalf);
                    s.actor[me].hand.push(task);
                    self.step(s, me, What::Full);
                    return;
                }
                self.step(s, me, What::Push(Queue::Ring(me as u8), 1));
            }
            Op::Submit(task) => self.push_shared(s, me, last, &[task]),
            Op::SubmitAt(level, task) => self.push_shared(s, me, level, &[task]),
            Op::Batch(tasks) => self.push_shared(s, me, last, tasks),
            Op::Post(..) | Op::PostThrows(..) => {
                s.actor[me].pc = match self.mutant {
                    _ if self.scenario.dies() => Pc::PostMark,
                    Some(Mutant::CountFirst | Mutant::CountFirstUndo) => Pc::PostCount,
                    _ => Pc::PostSend,
                };
                self.post(s, me);
            }
            // Blocked, and the scheduler knows nothing of it.
            Op::Until(script) => {
                if s.header[usize::from(script)].fate.settled() {
                    self.advance(s, me);
                    self.step(s, me, What::Other("goes on, after", script));
                }
            }
            Op::Join(task) => {
                let latent = s.actor[me].latent.0.iter().position(|branch| *branch == task);
                if let Some(index) = latent {
                    // Nobody else can have seen it.
                    s.actor[me].latent.remove(index);
                    self.inline(s, me, task);
                    self.step(s, me, What::Other("private branch", task));
                } else {
                    self.join_look(s, me, task);
                }
            }
            Op::Cancel(task) => {
                let header = self.header(s, task);
                let cancelled = header.fate == Fate::Queued;
                if cancelled {
                    header.fate = Fate::Cancelled;
                    self.reach(Reach::Cancelled);
                }
                self.advance(s, me);
                self.step(s, me, What::Other(if cancelled { "cancel" } else { "cancel, too late" }, task));
            }
            Op::Fork(task) => {
                if s.ring[me].tasks.is_empty() {
                    self.push_own(s, me, task);
                    s.actor[me].want = 1;
                    self.submitted(s, me);
                    self.step(s, me, What::Push(Queue::Ring(me as u8), 1));
                } else {
                    self.header(s, task).fate = Fate::Queued;
                    s.actor[me].latent.push(task);
                    self.advance(s, me);
                    self.step(s, me, What::Other("keeps a branch private", task));
                }
            }
            Op::Poll => {
                if s.ring[me].tasks.is_empty()
                    && let Some(task) = s.actor[me].latent.pop()
                {
                    self.reach(Reach::Promoted);
                    s.ring[me].tasks.push(task);
                    s.actor[me].want = 1;
                    if self.broken(Mutant::NoWakeAfterPromotion) {
                        s.actor[me].want = 0;
                        self.advance(s, me);
                    } else {
                        self.submitted(s, me);
                    }
                    self.step(s, me, What::Push(Queue::Ring(me as u8), 1));
                } else {
                    self.advance(s, me);
                    self.step(s, me, What::Other("nothing to promote", 0));
                }
            }
            Op::Hold(script) => {
                s.outside[me].holds.push(script);
                self.header(s, script).fate = Fate::Queued;
                self.reach(Reach::Held);
                self.advance(s, me);
                self.step(s, me, What::Other("hold", script));
            }
            // Whoever is awake now will announce later, and read this then; somebody who sleeps is woken to read it.
            Op::Close(how) => {
                s.closed = how;
                s.actor[me].want = 1;
                if self.broken(Mutant::StopAtOnce) || self.broken(Mutant::StopWhileInFlight) {
                    (s.actor[me].want, s.actor[me].at, s.actor[me].pc) = (0, 0, Pc::StopAll);
                } else if self.broken(Mutant::CloseWakesNobody) {
                    s.actor[me].want = 0;
                    self.advance(s, me);
                } else {
                    self.submitted(s, me);
                }
                self.step(s, me, What::Other("close", 0));
            }
            Op::Throw => {
                self.reach_if(s.actor[me].world == World::Handler, Reach::HandlerThrew);
                // The rest of the script is skipped, and its end is its end.
                self.throw(s, me);
                self.step(s, me, What::Other("throws", 0));
            }
        }
    }

    fn throw(&mut self, s: &mut State, me: usize) {
        if let Some(frame) = s.actor[me].running() {
            let end = self.scenario.scripts[usize::from(frame.script)].len();
            let depth = s.actor[me].depth();
            s.actor[me].stack[depth - 1].next = end as u8;
            s.actor[me].threw = self.broken(Mutant::NoFinally);
        }
        self.go(s, me, Pc::Run);
    }

    /// Whether the door is closed to this thread. Whoever runs while a pool drains may add to it.
    fn refused(&self, s: &State, me: usize) -> bool {
        match s.closed {
            Closed::No => false,
            Closed::Drain => s.actor[me].world == World::Elsewhere,
            Closed::Discard => true,
        }
    }

    fn push_own(&mut self, s: &mut State, me: usize, task: Script) {
        let header = self.header(s, task);
        debug_assert!(header.fate == Fate::New, "submitted once");
        header.fate = Fate::Queued;
        s.ring[me].tasks.push(task);
    }

    /// Tasks for a shared queue: first places are claimed, which is the next access, and this one.
    fn push_shared(&mut self, s: &mut State, me: usize, level: u8, tasks: &[Script]) {
        for task in tasks {
            s.actor[me].hand.push(*task);
        }
        (s.actor[me].at, s.actor[me].want) = (level, tasks.len() as u8);
        s.actor[me].pc = Pc::PushCell;
        self.script(s, me);
    }

    /// What was submitted can be seen: wake for it, and go on.
    fn submitted(&mut self, s: &mut State, me: usize) {
        s.actor[me].advance();
        let want = s.actor[me].want;
        if want > 1 && self.broken(Mutant::BatchWakesNobody) {
            s.actor[me].want = 0;
            self.go(s, me, Pc::Run);
        } else {
            self.wake(s, me, want, Pc::Run);
        }
    }

    /// The script that runs has nothing left to do.
    pub(crate) fn finish(&mut self, s: &mut State, me: usize) {
        let Some(frame) = s.actor[me].running() else { unreachable!("a script is running") };
        let header = self.header(s, frame.script);
        if header.fate != Fate::Taken {
            self.fault("a script ends that was not running");
        }
        let header = self.header(s, frame.script);
        header.fate = Fate::Done;
        let waiters = header.waiters;
        if waiters != 0 && !self.broken(Mutant::EndNotifiesNobody) {
            s.actor[me].pc = Pc::FinishNotify;
        } else {
            self.script_over(s, me);
        }
    }

    /// Wakes who sleeps until a task is settled; a mask of them.
    pub(crate) fn notify_joiners(&self, s: &mut State, script: Script) -> u8 {
        let waiters = core::mem::take(&mut s.header[usize::from(script)].waiters);
        for worker in each(waiters) {
            if s.actor[worker].pc == Pc::JoinAsleep {
                s.actor[worker].pc = Pc::JoinWait;
            }
        }
        waiters
    }

    /// What comes after a script.
    fn script_over(&mut self, s: &mut State, me: usize) {
        let Some(frame) = s.actor[me].running() else { unreachable!("a script was running") };
        s.actor[me].exit();
        if s.actor[me].depth() > 0 {
            // It ran inside another, which waited for it.
            return self.advance(s, me);
        }
        match s.actor[me].world {
            World::Loop | World::Slice => self.task_over(s, me),
            World::Elsewhere => s.actor[me].pc = Pc::Nothing,
            World::Handler if s.actor[me].threw && self.broken(Mutant::NoFinally) => s.actor[me].pc = Pc::Out,
            World::Handler => self.handler_over(s, me, frame.script),
        }
    }

    /// After a task, or instead of one.
    pub(crate) fn task_over(&mut self, s: &mut State, me: usize) {
        match s.actor[me].world {
            World::Slice => self.slice_goes_on(s, me),
            _ => self.go(s, me, Pc::Top),
        }
    }

    // ----------------------------------------------------------------------------------------------------------- messages

    fn post(&mut self, s: &mut State, me: usize) {
        let op = s.actor[me].running().and_then(|frame| self.scenario.op(frame));
        let (Some(Op::Post(to, message) | Op::PostThrows(to, message)), throws) =
            (op, matches!(op, Some(Op::PostThrows(..))))
        else {
            unreachable!("a post is under way")
        };
        let worker = usize::from(to);
        let counts_first = matches!(self.mutant, Some(Mutant::CountFirst | Mutant::CountFirstUndo));
        match s.actor[me].pc {
            Pc::PostMark => {
                s.actor[me].posting = to + 1;
                s.actor[me].pc = Pc::PostGate;
                self.step(s, me, What::Other("posting to", to));
            }
            Pc::PostGate => {
                let shut = s.gate & bit(worker) != 0;
                if shut {
                    // The reaper waits until nobody is posting.
                    s.actor[me].posting = 0;
                    s.actor[me].pc = Pc::PostWait;
                } else {
                    s.actor[me].pc = if counts_first { Pc::PostCount } else { Pc::PostSend };
                }
                self.step(s, me, What::Other(if shut { "gate is shut" } else { "gate is open" }, to));
            }
            // Tries again when the gate is open; while it is shut there is nothing to do.
            Pc::PostWait => {
                if s.gate & bit(worker) == 0 {
                    s.actor[me].pc = Pc::PostMark;
                    self.step(s, me, What::Other("tries again to post to", to));
                }
            }
            Pc::PostSend if throws => {
                self.reach(Reach::PostThrew);
                self.header(s, message).fate = Fate::Refused;
                if self.broken(Mutant::CountFirstUndo) {
                    s.actor[me].pc = Pc::PostUndo
                } else {
                    self.posted(s, me)
                }
                self.step(s, me, What::Other("post throws", to));
            }
            Pc::PostSend => {
                s.outside[worker].inbox.push(message);
                self.header(s, message).fate = Fate::Queued;
                if counts_first {
                    self.posted(s, me)
                } else {
                    s.actor[me].pc = Pc::PostCount
                }
                self.step(s, me, What::Other("post to", to));
            }
            Pc::PostCount => {
                let before = s.word[worker];
                let word = &mut s.word[worker];
                word.js = if self.broken(Mutant::FlagNotCount) { 1 } else { word.js + 1 };
                let first = before.parked() && !before.has_reason() && s.word[worker].has_reason();
                if first {
                    s.actor[me].pc = Pc::PostNotify;
                } else {
                    self.counted(s, me, counts_first);
                }
                self.step(s, me, What::Count(to, first));
            }
            Pc::PostNotify => {
                let woken = self.notify(s, worker);
                self.counted(s, me, counts_first);
                self.step(s, me, What::Notify(to, woken));
            }
            Pc::PostUndo => {
                s.word[worker].js -= 1;
                self.posted(s, me);
                self.step(s, me, What::Other("takes the count back from", to));
            }
            Pc::PostDone => {
                s.actor[me].posting = 0;
                self.advance(s, me);
                self.step(s, me, What::Other("posted to", to));
            }
            pc => unreachable!("{pc:?} is no step of a post"),
        }
    }

    fn counted(&mut self, s: &mut State, me: usize, counts_first: bool) {
        if counts_first { s.actor[me].pc = Pc::PostSend } else { self.posted(s, me) }
    }

    fn posted(&mut self, s: &mut State, me: usize) {
        if s.actor[me].posting != 0 { s.actor[me].pc = Pc::PostDone } else { self.advance(s, me) }
    }

    // -------------------------------------------------------------------------------------------------------------- joins

    fn join(&mut self, s: &mut State, me: usize) {
        let Some(Op::Join(task)) = s.actor[me].running().and_then(|frame| self.scenario.op(frame)) else {
            unreachable!("a join is under way")
        };
        let header = s.header[usize::from(task)];
        let settled = header.fate.settled();
        match s.actor[me].pc {
            Pc::JoinMark => {
                if settled {
                    self.advance(s, me);
                } else {
                    self.header(s, task).waiters |= bit(me);
                    let listed = s.actor[me].world == World::Handler && !s.outside[me].holds.is_empty();
                    if listed && !self.broken(Mutant::JoinedWhileListed) {
                        s.actor[me].pc = Pc::JoinUnlist;
                    } else if self.broken(Mutant::JoinsWithoutHandingOver) {
                        s.actor[me].pc = Pc::JoinWait;
                    } else {
                        self.hand_over(s, me, Pc::JoinWait);
                    }
                }
                self.step(s, me, What::Joined(task, settled));
            }
            // A held worker that sleeps in a handler is not idle: who picked it would wake nobody.
            Pc::JoinUnlist => {
                s.held &= !bit(me);
                self.hand_over(s, me, Pc::JoinWait);
                self.step(s, me, What::Other("is not idle", 0));
            }
            // One step of the machine: compares, and sleeps.
            Pc::JoinWait => {
                if settled && !self.broken(Mutant::JoinDoesNotCompare) {
                    self.advance(s, me);
                } else {
                    self.reach(Reach::JoinSlept);
                    s.actor[me].pc = Pc::JoinAsleep;
                }
                self.step(s, me, What::JoinSleep(task, !settled));
            }
            pc => unreachable!("{pc:?} is no step of a join"),
        }
    }

    /// A compare-and-swap: a task that nobody has begun is run here.
    fn join_look(&mut self, s: &mut State, me: usize, task: Script) {
        match s.header[usize::from(task)].fate {
            Fate::Queued => {
                self.reach(Reach::Inlined);
                self.inline(s, me, task);
                self.step(s, me, What::Inline(task));
            }
            fate => {
                if fate.settled() {
                    self.advance(s, me)
                } else {
                    s.actor[me].pc = Pc::JoinMark
                }
                self.step(s, me, What::Joined(task, fate.settled()));
            }
        }
    }

    fn inline(&mut self, s: &mut State, me: usize, task: Script) {
        self.header(s, task).fate = Fate::Taken;
        s.actor[me].enter(task);
        self.go(s, me, Pc::Run);
    }
}
