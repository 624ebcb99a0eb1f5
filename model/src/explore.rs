//! The explorer: every state that can be reached, breadth first, so that the first trace to anything is a shortest one.
//!
//! States are told apart by a 64-bit fingerprint; of each that was seen, the fingerprint, its parent and its successors' numbers are kept,
//! and the states themselves only until their turn. A trace is found by going through the parents, and replayed from the start.
//!
//! Three things are checked. A step can be wrong by itself (a task that runs twice). A state in which nobody can do anything must be
//! a good end (see `settled`). And the graph must have no cycle: fates only ever go forward, so a cycle is a way to be busy for ever
//! and get nothing done.

use std::collections::VecDeque;
use std::fmt::Write;

use crate::event::What;
use crate::machine::{Machine, Next};
use crate::mutant::Mutant;
use crate::scenario::Scenario;
use crate::state::{REAPER, WORKERS};

/// One line of a trace.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// Whose step it was.
    pub actor: u8,
    /// What was done.
    pub what: What,
    /// What followed without an access.
    pub then: Option<What>,
}

/// What was found wrong.
#[derive(Clone, Debug)]
pub struct Counterexample {
    /// What.
    pub complaint: String,
    /// How to get there, the shortest way.
    pub trace: Vec<Line>,
    /// From which line on the trace repeats itself, if that is what is wrong.
    pub cycle_from: Option<usize>,
}

/// What an exploration came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How many states were found.
    pub states: usize,
    /// How many steps between them.
    pub steps: usize,
    /// What was reached, as a mask.
    pub reached: u64,
    /// What is wrong, if anything.
    pub wrong: Option<Counterexample>,
    /// Whether the limit was met: then nothing is proved.
    pub unfinished: bool,
}

/// Numbers of states, by fingerprint.
struct Seen {
    slots: Vec<u32>,
    prints: Vec<u64>,
}

impl Seen {
    fn new() -> Seen {
        Seen { slots: vec![0; 1 << 16], prints: Vec::new() }
    }

    /// The number of this state, and whether it is new.
    fn insert(&mut self, print: u64) -> (u32, bool) {
        if self.prints.len() * 2 >= self.slots.len() {
            let mut slots = vec![0; self.slots.len() * 2];
            for (number, print) in self.prints.iter().enumerate() {
                let slot = Seen::find(&slots, &self.prints, *print);
                slots[slot] = number as u32 + 1;
            }
            self.slots = slots;
        }
        let slot = Seen::find(&self.slots, &self.prints, print);
        if self.slots[slot] != 0 {
            return (self.slots[slot] - 1, false);
        }
        self.prints.push(print);
        self.slots[slot] = self.prints.len() as u32;
        (self.prints.len() as u32 - 1, true)
    }

    /// The slot in which it is, or the free one in which it belongs.
    fn find(slots: &[u32], prints: &[u64], print: u64) -> usize {
        let mut slot = print as usize & (slots.len() - 1);
        while slots[slot] != 0 && prints[slots[slot] as usize - 1] != print {
            slot = (slot + 1) & (slots.len() - 1);
        }
        slot
    }
}

/// Explores a scenario, whole or broken in one place, up to a limit of states.
pub fn explore(scenario: &Scenario, mutant: Option<Mutant>, limit: usize) -> Outcome {
    let mut machine = Machine::new(scenario, mutant);
    let mut seen = Seen::new();
    let mut parents: Vec<u32> = vec![0];
    let mut edges: Vec<u32> = Vec::new();
    let mut first_edge: Vec<u32> = Vec::new();
    let mut frontier = VecDeque::new();
    let mut outcome = Outcome { states: 0, steps: 0, reached: 0, wrong: None, unfinished: false };
    let initial = scenario.initial();
    seen.insert(initial.fingerprint());
    frontier.push_back(initial);
    'search: while let Some(state) = frontier.pop_front() {
        let number = first_edge.len() as u32;
        first_edge.push(edges.len() as u32);
        machine.steps(&state);
        let mut blocked = true;
        for next in &machine.next {
            blocked &= next.death;
            outcome.reached |= next.reached;
            let (child, new) = seen.insert(next.state.fingerprint());
            edges.push(child);
            if new {
                parents.push(number);
            }
            if let Some(fault) = next.fault {
                let mut path = path(&parents, number);
                path.push(child);
                outcome.wrong = Some(replay(scenario, mutant, &seen, &path, fault.to_owned(), None));
                break 'search;
            }
            if new {
                frontier.push_back(next.state);
            }
        }
        if blocked && let Some(complaint) = scenario.complaint(&state) {
            outcome.wrong = Some(replay(scenario, mutant, &seen, &path(&parents, number), complaint, None));
            break;
        }
        if parents.len() > limit {
            outcome.unfinished = true;
            break;
        }
    }
    (outcome.states, outcome.steps) = (parents.len(), edges.len());
    if outcome.wrong.is_none() {
        first_edge.push(edges.len() as u32);
        if let Some(cycle) = cycle(&first_edge, &edges) {
            let mut whole = path(&parents, cycle[0]);
            let from = whole.len() - 1;
            whole.extend(&cycle[1..]);
            whole.push(cycle[0]);
            let complaint = "can go round for ever without getting anything done".to_owned();
            outcome.wrong = Some(replay(scenario, mutant, &seen, &whole, complaint, Some(from)));
        }
    }
    outcome
}

/// The states on the shortest way to this one.
fn path(parents: &[u32], mut number: u32) -> Vec<u32> {
    let mut path = vec![number];
    while number != 0 {
        number = parents[number as usize];
        path.push(number);
    }
    path.reverse();
    path
}

/// Some cycle among those states whose successors are known, or none: a search in depth.
fn cycle(first_edge: &[u32], edges: &[u32]) -> Option<Vec<u32>> {
    let known = first_edge.len() - 1;
    let (mut begun, mut ended) = (vec![false; known], vec![false; known]);
    let mut stack: Vec<(u32, u32)> = vec![(0, first_edge[0])];
    begun[0] = true;
    while let Some((number, edge)) = stack.last_mut() {
        if *edge == first_edge[*number as usize + 1] {
            ended[*number as usize] = true;
            stack.pop();
            continue;
        }
        let child = edges[*edge as usize];
        *edge += 1;
        if child as usize >= known || ended[child as usize] {
            continue;
        }
        if begun[child as usize] {
            let from = stack.iter().position(|(number, _)| *number == child)?;
            return Some(stack[from..].iter().map(|(number, _)| *number).collect());
        }
        begun[child as usize] = true;
        stack.push((child, first_edge[child as usize]));
    }
    None
}

/// Takes the steps of a path again, and writes them down.
fn replay(
    scenario: &Scenario,
    mutant: Option<Mutant>,
    seen: &Seen,
    path: &[u32],
    complaint: String,
    cycle_from: Option<usize>,
) -> Counterexample {
    let mut machine = Machine::new(scenario, mutant);
    let mut state = scenario.initial();
    let mut trace = Vec::new();
    for number in &path[1..] {
        let print = seen.prints[*number as usize];
        machine.steps(&state);
        let found: Option<&Next> = machine.next.iter().find(|next| next.state.fingerprint() == print);
        let Some(next) = found else { unreachable!("a step that was taken can be taken again") };
        trace.push(Line { actor: next.actor, what: next.what, then: next.then });
        state = next.state;
    }
    Counterexample { complaint, trace, cycle_from }
}

/// What a thread is called.
pub fn name(actor: u8) -> String {
    match usize::from(actor) {
        REAPER => "reaper".to_owned(),
        worker if worker < WORKERS => format!("w{worker}"),
        producer => format!("p{}", producer - WORKERS),
    }
}

impl Counterexample {
    /// The trace, to be read.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (index, line) in self.trace.iter().enumerate() {
            if self.cycle_from == Some(index) {
                text.push_str("     -- and from here again and again:\n");
            }
            let indent = 14 * usize::from(line.actor.min(REAPER as u8));
            let then = line.then.map(|then| format!(", {then}")).unwrap_or_default();
            let _ = writeln!(text, "{:>4} {:indent$}{} {}{then}", index + 1, "", name(line.actor), line.what);
        }
        let _ = writeln!(text, "     => {}", self.complaint);
        text
    }
}
