//! What a step of the model is called: the alphabet of traces, which recordings of the real code use too (see `accept`).

use core::fmt;
use core::str::FromStr;

/// A queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Queue {
    /// A worker's ring.
    Ring(u8),
    /// A shared queue; 0 is the most urgent.
    Shared(u8),
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Queue::Ring(worker) => write!(f, "r{worker}"),
            Queue::Shared(level) => write!(f, "s{level}"),
        }
    }
}

/// One access to a shared word or queue, with what came of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// A worker entered the loop from its event loop.
    Enter,
    /// A worker read the messages that its word counts, at the top of its loop.
    Js(i8),
    /// One or more tasks became visible in a queue.
    Push(Queue, u8),
    /// Tasks were taken from a queue; 0 if there were none.
    Pop(Queue, u8),
    /// Tasks were taken from another worker's ring, which counts as empty from here; 0 if there were none.
    Steal(u8, u8),
    /// The ring from which tasks were taken counts as what it is again.
    StealEnd(u8),
    /// Places in a shared queue were claimed, to be published later.
    Cell(Queue, u8),
    /// A worker's own ring has no room; what it takes from it now goes to a shared queue.
    Full,
    /// A queue was looked at. The flag: there was something.
    Look(Queue, bool),
    /// `idle` was read: sleepers, searchers.
    Idle(u8, u8),
    /// `idle`: my searcher bit was set.
    Search,
    /// `idle`: my searcher bit was cleared. The flag: I was the last.
    SearchEnd(bool),
    /// `idle`: my sleeper bit was set, my searcher bit cleared.
    Announce,
    /// `idle`: my sleeper bit was cleared. The flag: somebody had claimed me, I am a searcher.
    Awake(bool),
    /// `idle`: these sleepers were made searchers by me.
    Claim(u8),
    /// `idle`: it had changed since I read it.
    ClaimFailed,
    /// A worker's word got the token. The flag: it was parked, and had no reason until now.
    Token(u8, bool),
    /// A worker's word got STOP. The flag as for the token.
    Stop(u8, bool),
    /// A worker's word counts one message more. The flag as for the token.
    Count(u8, bool),
    /// My word counts one message less; what it counts now.
    Uncount(i8),
    /// A worker's word was notified: how many that woke.
    Notify(u8, u8),
    /// STOP was read in my word.
    ReadStop(bool),
    /// My word was read before a sleep, or after one. The flag: there is a reason not to sleep.
    Reasons(bool),
    /// PARKED was set in my word; false if it had changed.
    Park(bool),
    /// I sleep on my word; false if it had changed.
    Sleep(bool),
    /// PARKED and TOKEN were cleared in my word.
    Unpark,
    /// `held`: my bit was set; I am held, and idle.
    Held,
    /// `held`: my bit was cleared.
    HeldEnd,
    /// A worker left the loop for its event loop.
    Leave,
    /// A worker left the loop for good.
    Stopped,
    /// A task began.
    Run(u8),
    /// A task that somebody else had claimed, or cancelled, was dropped.
    Skip(u8),
    /// A script ended.
    End(u8),
    /// A task was claimed by whoever waits for it, and begins on the spot.
    Inline(u8),
    /// A worker sleeps until a task is settled; false if it is already.
    JoinSleep(u8, bool),
    /// A worker learned that a task is settled, or is not.
    Joined(u8, bool),
    /// Anything else: of the model only.
    Other(&'static str, u8),
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flag = |yes: bool| if yes { "yes" } else { "no" };
        match *self {
            What::Enter => f.write_str("enter"),
            What::Js(js) => write!(f, "js {js}"),
            What::Push(queue, count) => write!(f, "push {queue} {count}"),
            What::Pop(queue, count) => write!(f, "pop {queue} {count}"),
            What::Steal(victim, count) => write!(f, "steal r{victim} {count}"),
            What::StealEnd(victim) => write!(f, "steal-end r{victim}"),
            What::Cell(queue, count) => write!(f, "cell {queue} {count}"),
            What::Full => f.write_str("full"),
            What::Look(queue, some) => write!(f, "look {queue} {}", flag(some)),
            What::Idle(sleepers, searchers) => write!(f, "idle {sleepers:b} {searchers:b}"),
            What::Search => f.write_str("search"),
            What::SearchEnd(last) => write!(f, "search-end {}", flag(last)),
            What::Announce => f.write_str("announce"),
            What::Awake(claimed) => write!(f, "awake {}", flag(claimed)),
            What::Claim(mask) => write!(f, "claim {mask:b}"),
            What::ClaimFailed => f.write_str("claim-failed"),
            What::Token(worker, first) => write!(f, "token w{worker} {}", flag(first)),
            What::Stop(worker, first) => write!(f, "stop w{worker} {}", flag(first)),
            What::Count(worker, first) => write!(f, "count w{worker} {}", flag(first)),
            What::Uncount(js) => write!(f, "uncount {js}"),
            What::Notify(worker, woken) => write!(f, "notify w{worker} {woken}"),
            What::ReadStop(stop) => write!(f, "read-stop {}", flag(stop)),
            What::Reasons(some) => write!(f, "reasons {}", flag(some)),
            What::Park(done) => write!(f, "park {}", flag(done)),
            What::Sleep(done) => write!(f, "sleep {}", flag(done)),
            What::Unpark => f.write_str("unpark"),
            What::Held => f.write_str("held"),
            What::HeldEnd => f.write_str("held-end"),
            What::Leave => f.write_str("leave"),
            What::Stopped => f.write_str("stopped"),
            What::Run(task) => write!(f, "run {task}"),
            What::Skip(task) => write!(f, "skip {task}"),
            What::End(script) => write!(f, "end {script}"),
            What::Inline(task) => write!(f, "inline {task}"),
            What::JoinSleep(task, done) => write!(f, "join-sleep {task} {}", flag(done)),
            What::Joined(task, yes) => write!(f, "joined {task} {}", flag(yes)),
            What::Other(what, 0) => write!(f, "({what})"),
            What::Other(what, of) => write!(f, "({what} {of})"),
        }
    }
}

/// Why a line is no event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoEvent(pub String);

impl FromStr for What {
    type Err = NoEvent;

    fn from_str(line: &str) -> Result<What, NoEvent> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let wrong = || NoEvent(line.to_owned());
        let word = |index: usize| words.get(index).copied().ok_or_else(wrong);
        let number = |index: usize| word(index)?.parse::<u8>().map_err(|_| wrong());
        let mask = |index: usize| u8::from_str_radix(word(index)?, 2).map_err(|_| wrong());
        let count = |index: usize| word(index)?.parse::<i8>().map_err(|_| wrong());
        let flag = |index: usize| match word(index)? {
            "yes" => Ok(true),
            "no" => Ok(false),
            _ => Err(wrong()),
        };
        let after = |index: usize, letter: char| {
            let rest = word(index)?.strip_prefix(letter).ok_or_else(wrong)?;
            rest.parse::<u8>().map_err(|_| wrong())
        };
        let queue = |index: usize| match after(index, 'r') {
            Ok(worker) => Ok(Queue::Ring(worker)),
            Err(_) => after(index, 's').map(Queue::Shared),
        };
        Ok(match word(0)? {
            "enter" => What::Enter,
            "js" => What::Js(count(1)?),
            "push" => What::Push(queue(1)?, number(2)?),
            "pop" => What::Pop(queue(1)?, number(2)?),
            "steal" => What::Steal(after(1, 'r')?, number(2)?),
            "steal-end" => What::StealEnd(after(1, 'r')?),
            "cell" => What::Cell(queue(1)?, number(2)?),
            "full" => What::Full,
            "look" => What::Look(queue(1)?, flag(2)?),
            "idle" => What::Idle(mask(1)?, mask(2)?),
            "search" => What::Search,
            "search-end" => What::SearchEnd(flag(1)?),
            "announce" => What::Announce,
            "awake" => What::Awake(flag(1)?),
            "claim" => What::Claim(mask(1)?),
            "claim-failed" => What::ClaimFailed,
            "token" => What::Token(after(1, 'w')?, flag(2)?),
            "stop" => What::Stop(after(1, 'w')?, flag(2)?),
            "count" => What::Count(after(1, 'w')?, flag(2)?),
            "uncount" => What::Uncount(count(1)?),
            "notify" => What::Notify(after(1, 'w')?, number(2)?),
            "read-stop" => What::ReadStop(flag(1)?),
            "reasons" => What::Reasons(flag(1)?),
            "park" => What::Park(flag(1)?),
            "sleep" => What::Sleep(flag(1)?),
            "unpark" => What::Unpark,
            "held" => What::Held,
            "held-end" => What::HeldEnd,
            "leave" => What::Leave,
            "stopped" => What::Stopped,
            "run" => What::Run(number(1)?),
            "skip" => What::Skip(number(1)?),
            "end" => What::End(number(1)?),
            "inline" => What::Inline(number(1)?),
            "join-sleep" => What::JoinSleep(number(1)?, flag(2)?),
            "joined" => What::Joined(number(1)?, flag(2)?),
            other if other.starts_with('(') => What::Other("", 0),
            _ => return Err(wrong()),
        })
    }
}
