//! Sleeping on the own word, which carries every reason not to.
//!
//! ```text
//! park(me)  x = word.load; loop: if reasons(x): out; if CAS(x -> x|PARKED): break     ParkLoad, ParkSet
//!           while not reasons(x): wait32(&word, x); x = word.load                     ParkWait, Asleep, ParkAgain
//!      out: word.fetch_and(!(PARKED|TOKEN))                                           ParkClear
//! ```

use crate::event::What;
use crate::machine::Machine;
use crate::mutant::Mutant;
use crate::scenario::Reach;
use crate::state::{Pc, State};
use crate::words::Word;

impl Machine<'_> {
    /// A step on the way to sleep, or back.
    pub(crate) fn park(&mut self, s: &mut State, me: usize) {
        let word = s.word[me];
        match s.actor[me].pc {
            Pc::ParkLoad => {
                self.have_read(s, me, Pc::ParkSet);
                self.step(s, me, What::Reasons(word.has_reason()));
            }
            Pc::ParkSet => {
                let done = word == Word { flags: 0, js: s.actor[me].js_seen };
                if done {
                    s.word[me].flags = Word::PARKED;
                    s.actor[me].pc = Pc::ParkWait;
                } else {
                    self.have_read(s, me, Pc::ParkSet);
                }
                self.step(s, me, What::Park(done));
            }
            // One step of the machine: compares, and sleeps.
            Pc::ParkWait => {
                let done = word == Word { flags: Word::PARKED, js: s.actor[me].js_seen };
                s.actor[me].js_seen = 0;
                s.actor[me].pc = if done { Pc::Asleep } else { Pc::ParkAgain };
                self.reach_if(done, Reach::Slept);
                self.step(s, me, What::Sleep(done));
            }
            Pc::ParkAgain => {
                self.have_read(s, me, Pc::ParkWait);
                self.step(s, me, What::Reasons(word.has_reason()));
            }
            // Both at once. STOP stays.
            Pc::ParkClear => {
                self.reach_if(word.flags & Word::TOKEN != 0, Reach::Token);
                s.word[me].flags &= !(Word::PARKED | Word::TOKEN);
                let listed = word.js > 0 && self.broken(Mutant::StaysListed);
                self.go(s, me, if listed { Pc::Top } else { Pc::EndSleep });
                self.step(s, me, What::Unpark);
            }
            pc => unreachable!("{pc:?} is no step of a sleep"),
        }
    }

    fn have_read(&mut self, s: &mut State, me: usize, no_reason: Pc) {
        let word = s.word[me];
        let a = &mut s.actor[me];
        (a.js_seen, a.pc) = if word.has_reason() { (0, Pc::ParkClear) } else { (word.js, no_reason) };
    }

    /// Wakes a thread that sleeps on its word; how many that were.
    pub(crate) fn notify(&mut self, s: &mut State, worker: usize) -> u8 {
        let asleep = s.actor[worker].pc == Pc::Asleep;
        if asleep {
            s.actor[worker].pc = Pc::ParkAgain;
        }
        self.reach_if(!asleep, Reach::NotifiedNobody);
        u8::from(asleep)
    }
}
