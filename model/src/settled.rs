//! What a good end is: nobody can do anything, and nothing is left to be done.

use crate::scenario::Scenario;
use crate::state::{Closed, Fate, Pc, SCRIPTS, State, WORKERS};
use crate::words::each;

impl Scenario {
    /// Whether timers and promises of holds can fire.
    pub(crate) fn timers_fire(&self, s: &State) -> bool {
        self.timers_after == 0 || s.header[usize::from(self.timers_after)].fate.settled()
    }

    /// What is wrong with a state in which nobody can do anything: the first of these that holds.
    pub fn complaint(&self, s: &State) -> Option<String> {
        let alive = || (0..self.workers).filter(|worker| s.actor[*worker].pc != Pc::Dead);
        // Somebody sleeps who could run it.
        let able = alive().any(|worker| matches!(s.actor[worker].pc, Pc::Asleep | Pc::Out));
        let shared = (0..self.levels).any(|level| !s.shared[level].is_empty());
        let rings = (0..self.workers).any(|worker| !s.ring[worker].tasks.is_empty());
        let stale = |task: u8| s.header[usize::from(task)].fate != Fate::Queued;
        let only_stale =
            (0..self.levels).flat_map(|level| s.shared[level].0).all(|task| task == 0 || stale(task & 0x7f))
                && (0..self.workers).flat_map(|worker| s.ring[worker].tasks.0).all(|task| task == 0 || stale(task));
        if (shared || rings) && !only_stale {
            return Some(
                if able { "a task is queued and a worker sleeps" } else { "a task is queued for ever" }.into(),
            );
        }
        if let Some(worker) = alive().find(|worker| !s.outside[*worker].inbox.is_empty()) {
            return Some(format!("w{worker} never gets a message that was posted to it"));
        }
        if let Some(worker) = alive().find(|worker| !s.outside[*worker].holds.is_empty() && self.timers_fire(s)) {
            return Some(format!("w{worker} is held for ever"));
        }
        for (actor, thread) in s.actor.iter().enumerate() {
            let held = actor < WORKERS && !s.outside[actor].holds.is_empty();
            let good = match thread.pc {
                Pc::Nothing | Pc::Dead => true,
                Pc::Stopped => s.closed != Closed::No,
                Pc::Asleep => s.closed == Closed::No,
                Pc::Out => held,
                // It waits for a death.
                Pc::ReapWait => s.live == self.everyone() && alive().count() == self.workers,
                _ => false,
            };
            if !good {
                let what = match thread.pc {
                    Pc::Out => "is out, and nothing will bring it back",
                    Pc::Asleep => "sleeps, and the pool was closed",
                    Pc::Stopped => "stopped, and the pool was not closed",
                    _ => "waits for ever",
                };
                return Some(format!("{} {what} ({:?})", crate::explore::name(actor as u8), thread.pc));
            }
        }
        for script in 1..SCRIPTS {
            let header = s.header[script];
            let held = alive().any(|worker| s.outside[worker].holds.iter().any(|hold| usize::from(hold) == script));
            if matches!(header.fate, Fate::Queued | Fate::Taken) && !held {
                return Some(format!("script {script} is in no queue, and was not settled: {:?}", header.fate));
            }
        }
        for worker in alive() {
            if s.word[worker].js != 0 {
                return Some(format!("w{worker} counts {} messages, and there are none", s.word[worker].js));
            }
        }
        let asleep =
            alive().filter(|worker| s.actor[*worker].pc == Pc::Asleep).fold(0, |mask, worker| mask | 1 << worker);
        if s.idle.sleepers != asleep || s.idle.searchers != 0 {
            return Some(format!("those who sleep are {asleep:03b}, and {:?}", s.idle));
        }
        if let Some(worker) = each(s.held).find(|worker| s.outside[*worker].holds.is_empty()) {
            return Some(format!("w{worker} is listed as held, and is not"));
        }
        None
    }
}
