//! What a worker may do next.

use super::{Acceptor, At, TURN, Then, must};
use crate::event::{Queue, What};
use crate::words::{Word, bit};

impl Acceptor {
    pub(super) fn worker(&mut self, index: usize, me: usize, at: At, what: What) -> Result<At, String> {
        match at {
            At::Script => self.script(index, me, what),
            At::Turn { shared, rings, limited } => self.turn(index, me, (shared, rings, limited), what),
            At::Found { more, from } => self.found(index, me, (more, from), what),
            At::Ready => match what {
                What::Run(_) => Ok(At::Script),
                What::Skip(_) => Ok(TURN),
                _ => Err("it has a task, and does not run it".to_owned()),
            },
            At::Announced { seen } => self.announced(me, seen, what),
            At::Held { seen } => {
                let What::Look(queue, some) = what else { return Err("it must look at all queues again".to_owned()) };
                self.answer(queue, some)?;
                let seen = seen | self.place(queue);
                let all = seen | self.place(Queue::Ring(me as u8)) == self.places();
                Ok(match some {
                    true => At::HeldSomething,
                    false if all => At::Script,
                    false => At::Held { seen },
                })
            }
            At::HeldSomething => {
                must(what == What::HeldEnd, || "it is held, saw something, and stays listed as idle".to_owned())?;
                Ok(TURN)
            }
            At::Something => {
                let claimed = self.awake(index, me, what)?;
                Ok(if claimed { TURN } else { At::SearchAgain })
            }
            At::SearchAgain => {
                must(what == What::Search, || "it saw something and must be a searcher again".to_owned())?;
                self.search(index, me)?;
                Ok(TURN)
            }
            At::Nothing => match what {
                What::Reasons(some) => self.reasons(me, some),
                // Its own ring, which it may leave out, comes last.
                What::Look(queue, some) if queue == Queue::Ring(me as u8) => {
                    self.answer(queue, some)?;
                    Ok(if some { At::Something } else { At::Nothing })
                }
                // Whether everybody sleeps, in a closed pool.
                What::Idle(..) => self.idle_is(what).map(|()| At::Nothing),
                What::Notify(..) => Ok(At::Nothing),
                What::Slept if self.coarse => Ok(At::Unparked),
                What::Awake(_) => {
                    must(self.coarse || self.words[me].flags & Word::STOP != 0, || {
                        "it neither sleeps nor stops".to_owned()
                    })?;
                    self.awake(index, me, what)?;
                    Ok(At::Leaving)
                }
                _ => Err("it has announced sleep, and nothing is queued".to_owned()),
            },
            At::Parked => self.parked(me, what),
            At::Reason => {
                must(what == What::Unpark, || "there is a reason not to sleep".to_owned())?;
                must(self.words[me].has_reason(), || format!("its word is {:?}", self.words[me]))?;
                self.words[me].flags &= !(Word::PARKED | Word::TOKEN);
                Ok(At::Unparked)
            }
            At::Unparked => {
                self.awake(index, me, what)?;
                Ok(TURN)
            }
            At::Leaving => match what {
                What::SearchEnd(last) if self.threads[index].searching => {
                    self.search_end(index, me, last)?;
                    Ok(At::Looking { seen: 0, then: Then::Left })
                }
                _ => {
                    must(!self.threads[index].searching, || "it leaves as a searcher".to_owned())?;
                    self.looking(0, Then::Left, what)
                }
            },
            At::Left => match what {
                What::Leave | What::Stopped => Ok(At::Script),
                _ => Err("it is leaving".to_owned()),
            },
            At::Looking { .. } | At::Wake { .. } | At::Claiming { .. } | At::Telling { .. } | At::Retry { .. } => {
                Err("not for workers alone".to_owned())
            }
        }
    }

    /// A task, or a handler; or the next turn begins.
    fn script(&mut self, index: usize, me: usize, what: What) -> Result<At, String> {
        match what {
            What::Enter => Ok(TURN),
            What::Held => Ok(At::Held { seen: 0 }),
            // A slice; or the hold is over, and it will enter the loop.
            What::HeldEnd => Ok(At::Script),
            What::Full => {
                self.threads[index].overflows = true;
                Ok(At::Script)
            }
            What::Pop(queue @ Queue::Ring(_), count) if self.threads[index].overflows => {
                self.threads[index].overflows = false;
                self.pop(queue, count)?;
                Ok(At::Script)
            }
            What::Push(queue, count) if queue == Queue::Ring(me as u8) => {
                self.push(queue, count)?;
                Ok(At::Wake { then: Then::Script })
            }
            What::Inline(_) => Ok(At::Script),
            What::Look(..) => self.looking(0, Then::Script, what),
            What::Js(_) | What::Pop(..) | What::Steal(..) | What::StealLost(_) => {
                self.turn(index, me, (0, 0, false), what)
            }
            _ => self.outsider(index, what),
        }
    }

    fn turn(
        &mut self,
        index: usize,
        me: usize,
        (mut shared, mut rings, mut limited): (u8, u8, bool),
        what: What,
    ) -> Result<At, String> {
        match what {
            What::Enter => return Ok(TURN),
            What::Js(js) => {
                must(self.coarse || self.words[me].js == js, || format!("its word is {:?}", self.words[me]))?;
                return Ok(if js > 0 { At::Leaving } else { TURN });
            }
            What::Pop(queue, count) => {
                must(queue == Queue::Ring(me as u8) || matches!(queue, Queue::Shared(_)), || {
                    "not its ring".to_owned()
                })?;
                self.pop(queue, count)?;
                if count > 0 {
                    return Ok(At::Found { more: count - 1, from: 0 });
                }
                if let Queue::Shared(level) = queue {
                    shared |= 1 << level;
                }
            }
            What::Idle(_, searchers) => {
                self.idle_is(what)?;
                limited = 2 * searchers.count_ones() as usize >= self.workers;
            }
            What::Search => {
                must(!limited, || "half of the workers search already".to_owned())?;
                self.search(index, me)?;
                shared = 0;
            }
            What::Steal(victim, count) => {
                let queue = Queue::Ring(victim);
                if count == 0 {
                    self.answer(queue, false)?;
                    rings |= 1 << victim;
                } else {
                    self.answer(queue, true)?;
                    self.pop(queue, count)?;
                    self.thieves[usize::from(victim)] = true;
                    return Ok(At::Found { more: count - 1, from: victim + 1 });
                }
            }
            What::StealLost(victim) => rings |= 1 << victim,
            What::Announce => {
                let all = |mask: u8, count: usize| u32::from(mask).count_ones() as usize >= count;
                must(self.rings[me] == 0, || "it announces sleep with tasks in its ring".to_owned())?;
                must(all(shared, self.shared.len()), || "it has not looked at all shared queues".to_owned())?;
                let searched = self.threads[index].searching && all(rings & !bit(me), self.workers - 1);
                must(searched || limited, || "it has not searched".to_owned())?;
                self.idle.sleepers |= bit(me);
                self.idle.searchers &= !bit(me);
                self.threads[index].searching = false;
                return Ok(At::Announced { seen: 0 });
            }
            // The end of a slice.
            What::Held => return Ok(At::Held { seen: 0 }),
            _ => return Err("it looks for a task".to_owned()),
        }
        Ok(At::Turn { shared, rings, limited })
    }

    fn found(&mut self, index: usize, me: usize, (more, from): (u8, u8), what: What) -> Result<At, String> {
        let searching = self.threads[index].searching;
        match what {
            What::StealEnd(victim) if from == victim + 1 => {
                self.thieves[usize::from(victim)] = false;
                // In a slice nobody chains: it looks at what it has left.
                let slice = more == 0 && !searching;
                Ok(if slice { At::Looking { seen: 0, then: Then::Ready } } else { At::Found { more, from: 0 } })
            }
            What::Push(queue, count) if queue == Queue::Ring(me as u8) && from == 0 && count == more => {
                self.push(queue, count)?;
                Ok(if searching { At::Found { more: 0, from: 0 } } else { At::Wake { then: Then::Ready } })
            }
            What::SearchEnd(last) if from == 0 && more == 0 => {
                self.search_end(index, me, last)?;
                Ok(if last { At::Looking { seen: 0, then: Then::Ready } } else { At::Ready })
            }
            // More often than it must: it is a searcher itself, or has moved nothing.
            What::Idle(..) if from == 0 && more == 0 && searching => {
                self.idle_is(what).map(|()| At::Found { more, from })
            }
            What::Idle(..) if from == 0 && more == 0 => self.wake(index, Then::Ready, what),
            _ if from == 0 && more == 0 && !searching => self.worker(index, me, At::Ready, what),
            _ => Err("what it moved is not in its ring yet, or it is still a searcher".to_owned()),
        }
    }

    fn announced(&mut self, me: usize, seen: u16, what: What) -> Result<At, String> {
        match what {
            What::ReadStop(stop) => {
                let is = self.words[me].flags & Word::STOP != 0;
                must(self.coarse || stop == is, || format!("its word is {:?}", self.words[me]))?;
                Ok(At::Announced { seen })
            }
            What::Look(queue, some) => {
                self.answer(queue, some)?;
                let seen = seen | self.place(queue);
                let all = seen | self.place(Queue::Ring(me as u8)) == self.places();
                Ok(match some {
                    true => At::Something,
                    false if all => At::Nothing,
                    false => At::Announced { seen },
                })
            }
            _ => Err("it has announced sleep and must look at all queues again".to_owned()),
        }
    }

    fn parked(&mut self, me: usize, what: What) -> Result<At, String> {
        let word = self.words[me];
        match what {
            What::Park(true) => {
                must(!word.has_reason() && !word.parked(), || format!("its word is {word:?}"))?;
                self.words[me].flags |= Word::PARKED;
                Ok(At::Parked)
            }
            What::Sleep(true) => {
                must(!word.has_reason() && word.parked(), || format!("its word is {word:?}"))?;
                Ok(At::Parked)
            }
            What::Park(false) => Ok(if word.has_reason() { At::Reason } else { At::Parked }),
            What::Sleep(false) => Ok(At::Parked),
            What::Reasons(some) => self.reasons(me, some),
            _ => Err("it sleeps, or is about to".to_owned()),
        }
    }

    fn reasons(&self, me: usize, some: bool) -> Result<At, String> {
        must(self.words[me].has_reason() == some, || format!("its word is {:?}", self.words[me]))?;
        Ok(if some { At::Reason } else { At::Parked })
    }

    fn awake(&mut self, index: usize, me: usize, what: What) -> Result<bool, String> {
        let claimed = !self.idle.sleeps(me);
        must(what == What::Awake(claimed), || format!("it must clear its sleeper bit: {:?}", self.idle))?;
        self.idle.sleepers &= !bit(me);
        self.threads[index].searching = claimed;
        Ok(claimed)
    }

    fn search(&mut self, index: usize, me: usize) -> Result<(), String> {
        must(!self.idle.searches(me) && !self.idle.sleeps(me), || format!("{:?}", self.idle))?;
        self.idle.searchers |= bit(me);
        self.threads[index].searching = true;
        Ok(())
    }

    fn search_end(&mut self, index: usize, me: usize, last: bool) -> Result<(), String> {
        must(self.threads[index].searching, || "it is no searcher".to_owned())?;
        must(last == (self.idle.searchers == bit(me)), || format!("{:?}", self.idle))?;
        self.idle.searchers &= !bit(me);
        self.threads[index].searching = false;
        Ok(())
    }
}
