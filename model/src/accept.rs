//! Whether a run that was recorded is one that the protocol allows.
//!
//! The model proper knows small pools and the scripts that run in them. A recorded run of the real code has rings of 256 tasks and tasks of which nothing is known;
//! so here the same protocol stands once more, as an automaton over the same events, for up to eight workers and any number of tasks. Each
//! event is held against two things:
//!
//! - *what the shared words are*: the event says what it read or found, and that must be what was written. `idle` and the words are kept bit by
//!   bit, the queues by their lengths;
//! - *what its thread may do next*: after an announcement come looks at all queues; after the last searcher's end too; whoever
//!   moved a batch and is no searcher wakes; a claim is followed by a token; a worker that leaves is no searcher and has handed on; and so on.
//!
//! That both texts say the same is tested: random walks through all scenarios of the model are accepted, and so is no counterexample of
//! a mutant that leaves out a step.

use crate::event::{Queue, What};
use crate::explore::{Line, name};
use crate::scenario::Scenario;
use crate::state::{Pc, State};
use crate::words::{Idle, Word};

mod worker;

/// One event of a recorded run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The thread: `w0` to `w7` are workers, other names are not.
    pub thread: String,
    /// What it did.
    pub what: What,
}

/// A recorded run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// How many workers the pool has, at most eight.
    pub workers: usize,
    /// How many shared queues.
    pub shared: usize,
    /// The recording does not look into the workers' words: no `reasons`, `park`, `sleep` and `unpark`, but `slept`; flags of `token`, `count` and `stop` mean
    /// nothing, and `notify` may be left out.
    pub coarse: bool,
    /// What happened, in order.
    pub events: Vec<Event>,
}

/// Why a run is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The event's place in the trace, from 0.
    pub index: usize,
    /// What is wrong with it.
    pub why: String,
}

impl Trace {
    /// Reads a trace: `pool WORKERS SHARED`, or `pool WORKERS SHARED coarse`, in its first line, then one event a line. Empty lines, and what follows a `#`, do not count.
    ///
    /// # Errors
    ///
    /// The number of a line that is neither, from 1, and the line.
    ///
    /// # Examples
    ///
    /// ```
    /// use weblane_model::accept::{Trace, accept};
    ///
    /// let text = "pool 1 1\n w0 js 0\n w0 pop r0 0\n p0 push s0 1\n p0 idle 0 0\n w0 pop s0 1\n w0 run 1\n";
    /// let trace = Trace::parse(text).expect("a trace");
    /// assert_eq!(accept(&trace), Ok(()));
    /// ```
    pub fn parse(text: &str) -> Result<Trace, (usize, String)> {
        let lines =
            text.lines().enumerate().map(|(index, line)| (index + 1, line.split('#').next().unwrap_or("").trim()));
        let mut lines = lines.filter(|(_, line)| !line.is_empty());
        let wrong = |(number, line): (usize, &str)| (number, line.to_owned());
        let first = lines.next().unwrap_or((1, ""));
        let numbers: Vec<usize> = first.1.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
        let [workers @ 1..=8, shared @ 1..=8] = numbers[..] else { return Err(wrong(first)) };
        let events = lines.map(|line| {
            let (thread, what) = line.1.split_once(char::is_whitespace).ok_or_else(|| wrong(line))?;
            let what = what.trim().parse().map_err(|_| wrong(line))?;
            Ok(Event { thread: thread.to_owned(), what })
        });
        let coarse = first.1.ends_with(" coarse");
        Ok(Trace { workers, shared, coarse, events: events.collect::<Result<_, _>>()? })
    }
}

/// Whether the protocol allows this run of a pool whose workers have not yet begun, and whose queues are empty.
///
/// # Errors
///
/// The first event that it does not allow.
///
/// # Examples
///
/// ```
/// use weblane_model::accept::{Trace, accept};
///
/// // It goes to sleep without a second look.
/// let text = "pool 1 1\n w0 js 0\n w0 pop s0 0\n w0 idle 0 0\n w0 search\n w0 pop s0 0\n w0 announce\n w0 reasons no\n";
/// let rejection = accept(&Trace::parse(text).expect("a trace")).expect_err("M1");
/// assert_eq!(rejection.index, 6);
/// ```
pub fn accept(trace: &Trace) -> Result<(), Rejection> {
    let mut pool = Acceptor::new(trace.workers, trace.shared);
    pool.coarse = trace.coarse;
    for (index, event) in trace.events.iter().enumerate() {
        pool.event(&event.thread, event.what).map_err(|why| Rejection { index, why })?;
    }
    Ok(())
}

/// What a thread may do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum At {
    /// Runs a script, or is in its event loop, or is no worker.
    Script,
    /// Looks for a task. Masks of shared queues and rings that had nothing; whether too many search.
    Turn { shared: u8, rings: u8, limited: bool },
    /// Has a task; so many more are to be published; the steal from that ring, and one, has not ended.
    Found { more: u8, from: u8 },
    /// Nothing is left to be done before the task runs.
    Ready,
    /// Looks at the queues, on behalf of what comes then. A mask of those that were looked at.
    Looking { seen: u16, then: Then },
    /// Something was published or seen: `idle` is to be read.
    Wake { then: Then },
    /// A sleeper is to be claimed.
    Claiming { then: Then },
    /// These are to get a token; that one, and one, is to be notified.
    Telling { tokens: u8, notify: u8, then: Then },
    /// One did not stir: another may be claimed.
    Retry { then: Then },
    /// Held, and announced as idle. A mask of queues that were looked at.
    Held { seen: u16 },
    /// Held, and the look saw something.
    HeldSomething,
    /// Sleep is announced. A mask of queues that were looked at.
    Announced { seen: u16 },
    /// The second look saw something.
    Something,
    /// The second look saw nothing: sleep, or stop.
    Nothing,
    /// Between PARKED and the sleep, or awake and about to look at the word.
    Parked,
    /// A reason was read.
    Reason,
    /// PARKED and TOKEN are cleared.
    Unparked,
    /// Must become a searcher again.
    SearchAgain,
    /// On the way out.
    Leaving,
    /// May go.
    Left,
}

/// Where it goes on after a look or a wake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Then {
    Script,
    Ready,
    Left,
}

impl Then {
    fn at(self) -> At {
        match self {
            Then::Script => At::Script,
            Then::Ready => At::Ready,
            Then::Left => At::Left,
        }
    }
}

struct Thread {
    name: String,
    /// Its number, if it is a worker.
    worker: Option<usize>,
    at: At,
    /// Its searcher bit is set.
    searching: bool,
    /// Its ring was full: what it takes from it now is not to be run.
    overflows: bool,
    /// Cells that it has claimed in a shared queue and not published.
    cells: u32,
    /// Somebody whom it claimed did not stir: it may claim another, although that one is a searcher by the claim.
    unstirred: bool,
    /// It has just told all whom it had claimed, and goes on there.
    told: Option<Then>,
    /// It gave this worker, and one, the first reason not to sleep: it is to be notified.
    owes: u8,
}

/// The automaton.
struct Acceptor {
    workers: usize,
    coarse: bool,
    shared: Vec<u32>,
    rings: Vec<u32>,
    thieves: Vec<bool>,
    idle: Idle,
    words: Vec<Word>,
    threads: Vec<Thread>,
}

const TURN: At = At::Turn { shared: 0, rings: 0, limited: false };

/// What an event must be, if it is not.
fn must(condition: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(why()) }
}

impl Acceptor {
    fn new(workers: usize, shared: usize) -> Acceptor {
        Acceptor {
            workers,
            coarse: false,
            shared: vec![0; shared],
            rings: vec![0; workers],
            thieves: vec![false; workers],
            idle: Idle::NOBODY,
            words: vec![Word::CLEAR; workers],
            threads: Vec::new(),
        }
    }

    fn thread(&mut self, name: &str) -> usize {
        if let Some(index) = self.threads.iter().position(|thread| thread.name == name) {
            return index;
        }
        let worker = name.strip_prefix('w').and_then(|number| number.parse().ok()).filter(|w| *w < self.workers);
        let at = if worker.is_some() { TURN } else { At::Script };
        self.threads.push(Thread {
            name: name.to_owned(),
            worker,
            at,
            searching: false,
            overflows: false,
            cells: 0,
            unstirred: false,
            told: None,
            owes: 0,
        });
        self.threads.len() - 1
    }

    /// Whether a queue has something that can be seen.
    fn visible(&self, queue: Queue) -> Result<bool, String> {
        let none = || format!("there is no queue {queue}");
        match queue {
            Queue::Ring(worker) => {
                let worker = usize::from(worker);
                let tasks = self.rings.get(worker).ok_or_else(none)?;
                Ok(*tasks > 0 && !self.thieves[worker])
            }
            Queue::Shared(level) => Ok(*self.shared.get(usize::from(level)).ok_or_else(none)? > 0),
        }
    }

    /// Whether "there is nothing" is a true answer: behind a cell that is not published there may be something that cannot be seen.
    fn may_look_empty(&self, queue: Queue) -> Result<bool, String> {
        Ok(!self.visible(queue)?
            || (matches!(queue, Queue::Shared(_)) && self.threads.iter().any(|thread| thread.cells > 0)))
    }

    fn place(&self, queue: Queue) -> u16 {
        match queue {
            Queue::Shared(level) => 1 << level,
            Queue::Ring(worker) => 1 << (self.shared.len() + usize::from(worker)),
        }
    }

    fn places(&self) -> u16 {
        ((1_u32 << (self.shared.len() + self.workers)) - 1) as u16
    }

    /// One event.
    fn event(&mut self, name: &str, what: What) -> Result<(), String> {
        let index = self.thread(name);
        let (at, worker) = (self.threads[index].at, self.threads[index].worker);
        let owes = core::mem::take(&mut self.threads[index].owes);
        if !matches!(what, What::Notify(..)) {
            self.threads[index].told = None;
        }
        if owes != 0 && !self.coarse {
            return must(matches!(what, What::Notify(to, _) if to + 1 == owes), || {
                format!("w{} is to be notified", owes - 1)
            });
        }
        // What any thread may do at any time, and what is of the model only.
        match what {
            What::Notify(_, woken) if self.coarse => {
                // It may claim another one now. (Where it tells who was claimed it is not over: that is how it stands in the trace.)
                if let Some(then) = self.threads[index].told.filter(|_| woken == 0) {
                    self.threads[index].unstirred = true;
                    self.threads[index].at = At::Retry { then };
                }
                return Ok(());
            }
            What::Uncount(js) => {
                let Some(me) = worker else { return Err("only a worker counts its own messages down".to_owned()) };
                self.words[me].js -= 1;
                return must(self.coarse || self.words[me].js == js, || format!("the count is {}", self.words[me].js));
            }
            What::Other(..) | What::Joined(..) | What::JoinSleep(..) => return Ok(()),
            What::Count(to, first) => {
                self.threads[index].owes = if first { to + 1 } else { 0 };
                return self.raise(to, first, |word| word.js += 1);
            }
            What::Stop(to, first) => {
                self.threads[index].owes = if first { to + 1 } else { 0 };
                return self.raise(to, first, |word| word.flags |= Word::STOP);
            }
            _ => {}
        }
        self.threads[index].at = self.next(index, worker, at, what)?;
        Ok(())
    }

    /// Where it is after an event.
    fn next(&mut self, index: usize, worker: Option<usize>, at: At, what: What) -> Result<At, String> {
        match at {
            At::Looking { seen, then } => self.looking(seen, then, what),
            At::Wake { then } => {
                self.threads[index].unstirred = false;
                self.wake(index, then, what)
            }
            At::Claiming { then } => self.claiming(index, then, what),
            At::Telling { tokens, notify, then } => self.telling(index, tokens, notify, then, what),
            At::Retry { then } => match what {
                What::Idle(..) => self.wake(index, then, what),
                What::Claim(_) | What::ClaimFailed => self.claiming(index, then, what),
                _ => self.next(index, worker, then.at(), what),
            },
            _ => match worker {
                None => self.outsider(index, what),
                Some(me) => self.worker(index, me, at, what),
            },
        }
    }

    fn raise(&mut self, to: u8, first: bool, how: impl FnOnce(&mut Word)) -> Result<(), String> {
        let word = self.words.get_mut(usize::from(to)).ok_or_else(|| format!("there is no worker {to}"))?;
        let before = *word;
        how(word);
        let is_first = before.parked() && !before.has_reason() && word.has_reason();
        must(self.coarse || first == is_first, || format!("the word was {before:?}"))
    }

    fn idle_is(&self, what: What) -> Result<(), String> {
        let Idle { sleepers, searchers } = self.idle;
        must(what == What::Idle(sleepers, searchers), || format!("{:?}", self.idle))
    }

    // -------------------------------------------------------------------------------------------------- looking and waking

    fn looking(&mut self, seen: u16, then: Then, what: What) -> Result<At, String> {
        let What::Look(queue, some) = what else { return Err("it has not looked at all queues".to_owned()) };
        self.answer(queue, some)?;
        let seen = seen | self.place(queue);
        Ok(match some {
            true => At::Wake { then },
            false if seen == self.places() => then.at(),
            false => At::Looking { seen, then },
        })
    }

    fn answer(&self, queue: Queue, some: bool) -> Result<(), String> {
        if some {
            must(self.visible(queue)?, || format!("{queue} is empty"))
        } else {
            must(self.may_look_empty(queue)?, || format!("{queue} is not empty"))
        }
    }

    fn wake(&mut self, index: usize, then: Then, what: What) -> Result<At, String> {
        must(matches!(what, What::Idle(..)), || "somebody must be woken: idle is to be read".to_owned())?;
        self.idle_is(what)?;
        Ok(self.decided(index, then))
    }

    fn decided(&self, index: usize, then: Then) -> At {
        if self.threads[index].unstirred {
            return At::Retry { then };
        }
        let nobody = self.idle.searchers != 0 || self.idle.sleepers == 0;
        if nobody { then.at() } else { At::Claiming { then } }
    }

    fn claiming(&mut self, index: usize, then: Then, what: What) -> Result<At, String> {
        match what {
            What::Claim(mask) => {
                let sleep = mask != 0 && mask & !self.idle.sleepers == 0;
                must(sleep, || format!("not all of {mask:b} sleep: {:?}", self.idle))?;
                let alone = self.idle.searchers == 0 || self.threads[index].unstirred;
                must(alone, || format!("somebody searches already: {:?}", self.idle))?;
                self.idle.sleepers &= !mask;
                self.idle.searchers |= mask;
                Ok(At::Telling { tokens: mask, notify: 0, then })
            }
            // It had changed: whoever changed it looks at the queues after that.
            What::ClaimFailed => Ok(then.at()),
            _ => Err("somebody must be claimed".to_owned()),
        }
    }

    fn telling(&mut self, index: usize, tokens: u8, notify: u8, then: Then, what: What) -> Result<At, String> {
        let tokens = match what {
            What::Token(to, first) if notify == 0 && tokens & 1 << to != 0 => {
                self.raise(to, first, |word| word.flags |= Word::TOKEN)?;
                let tokens = tokens & !(1 << to);
                if first && !self.coarse {
                    return Ok(At::Telling { tokens, notify: to + 1, then });
                }
                tokens
            }
            What::Notify(to, woken) if notify == to + 1 => {
                self.threads[index].unstirred |= woken == 0;
                tokens
            }
            _ => return Err(format!("{tokens:b} are claimed and have no token, or one is not notified")),
        };
        if tokens == 0 {
            self.threads[index].told = Some(then);
        }
        Ok(match (tokens, self.threads[index].unstirred) {
            (0, true) => At::Retry { then },
            (0, false) => then.at(),
            _ => At::Telling { tokens, notify: 0, then },
        })
    }

    // ------------------------------------------------------------------------------------------------------ threads in general

    fn push(&mut self, queue: Queue, count: u8) -> Result<(), String> {
        self.visible(queue)?;
        match queue {
            Queue::Ring(worker) => self.rings[usize::from(worker)] += u32::from(count),
            Queue::Shared(level) => self.shared[usize::from(level)] += u32::from(count),
        }
        Ok(())
    }

    fn pop(&mut self, queue: Queue, count: u8) -> Result<(), String> {
        self.visible(queue)?;
        let tasks = match queue {
            Queue::Ring(worker) => &mut self.rings[usize::from(worker)],
            Queue::Shared(level) => &mut self.shared[usize::from(level)],
        };
        if count == 0 {
            // Its owner sees a ring that is being stolen from.
            return match queue {
                Queue::Ring(_) => must(*tasks == 0, || format!("{queue} is not empty")),
                Queue::Shared(_) => self.answer(queue, false),
            };
        }
        must(*tasks >= u32::from(count), || format!("{queue} has fewer"))?;
        *tasks -= u32::from(count);
        Ok(())
    }

    /// A thread that is no worker, or a worker's event loop.
    fn outsider(&mut self, index: usize, what: What) -> Result<At, String> {
        match what {
            What::Cell(Queue::Shared(_), count) => self.threads[index].cells += u32::from(count),
            What::Push(queue @ Queue::Shared(_), count) => {
                self.push(queue, count)?;
                let cells = &mut self.threads[index].cells;
                *cells = cells.saturating_sub(u32::from(count));
                // The wake comes after the last of a batch.
                return Ok(if *cells > 0 { At::Script } else { At::Wake { then: Then::Script } });
            }
            // It closes the pool.
            What::Idle(..) => return self.wake(index, Then::Script, what),
            What::Notify(..) | What::End(_) | What::Run(_) => {}
            _ => return Err("it is not in the loop".to_owned()),
        }
        Ok(At::Script)
    }
}

/// The events of a model's trace.
pub fn events(lines: &[Line]) -> Vec<Event> {
    let events = |line: &Line| {
        let thread = name(line.actor);
        [Some(line.what), line.then].into_iter().flatten().map(move |what| Event { thread: thread.clone(), what })
    };
    lines.iter().flat_map(events).collect()
}

/// Whether a trace of the model is accepted, from the state in which its scenario begins.
///
/// # Errors
///
/// The first event that is not.
pub fn accept_model(scenario: &Scenario, lines: &[Line]) -> Result<(), Rejection> {
    let mut pool = Acceptor::new(scenario.workers, scenario.levels);
    pool.begin_in(scenario, &scenario.initial());
    for (index, event) in events(lines).iter().enumerate() {
        pool.event(&event.thread, event.what)
            .map_err(|why| Rejection { index, why: format!("{}: {why}", event.what) })?;
    }
    Ok(())
}

impl Acceptor {
    fn begin_in(&mut self, scenario: &Scenario, s: &State) {
        self.idle = s.idle;
        for worker in 0..scenario.workers {
            self.words[worker] = s.word[worker];
            self.rings[worker] = s.ring[worker].tasks.len() as u32;
            let index = self.thread(&format!("w{worker}"));
            self.threads[index].at = match s.actor[worker].pc {
                Pc::Top => TURN,
                Pc::Asleep => At::Parked,
                _ => At::Script,
            };
        }
    }
}
