//! The protocol, broken in one place each.

/// Makes the list of mutants with what each breaks.
macro_rules! mutants {
    ($($(#[$doc:meta])* $name:ident $code:literal $text:literal,)*) => {
        /// A place in which the protocol is broken on purpose, to see that the model notices.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Mutant { $(#[doc = $text] $name,)* }

        impl Mutant {
            /// All of them.
            pub const ALL: &[Mutant] = &[$(Mutant::$name),*];

            /// Its short name.
            pub fn code(self) -> &'static str {
                match self { $(Mutant::$name => $code),* }
            }

            /// What is broken.
            pub fn text(self) -> &'static str {
                match self { $(Mutant::$name => $text),* }
            }
        }
    };
}

mutants! {
    NoRecheck "M1" "no second look at the queues after announcing",
    NoHandOff "M2" "leaves for JS without handing on what it was woken for",
    CountFirst "M3" "counts a message before it is posted",
    CountFirstUndo "M3b" "counts a message before it is posted, and takes the count back if posting throws",
    FlagNotCount "M4" "a flag for messages, not a count",
    NoChain "M5" "the last searcher that finds something wakes nobody",
    StaysListed "M6" "woken by a message, it stays listed as a sleeper",
    NotSearcherAgain "M7" "finds something in the second look and does not become a searcher again",
    ForgetsClaim "M7b" "finds something in the second look and forgets that it had been claimed meanwhile",
    NoWakeAfterMove "M8" "moves a batch into its ring and wakes nobody",
    StopNotRead "M9" "STOP is not read before the sleep",
    NormaliseCount "M10" "sets a count of -1 to 0 when it re-enters",
    ReaperOnlyClears "M11" "the reaper clears the dead worker's bits and wakes nobody",
    HeldSearches "M12" "a held worker that is picked becomes a searcher",
    LeavesAsSearcher "M14" "leaves without clearing its searcher bit",
    ClaimKeepsSleeper "M15" "claiming a sleeper keeps its sleeper bit",
    BatchWakesNobody "M16" "a batch that is submitted wakes nobody",
    NoWakeAfterPromotion "M17" "a private branch of a join becomes public and wakes nobody",
    EndNotifiesNobody "M18" "a task's end does not notify who sleeps until then",
    JoinDoesNotCompare "M19" "a joiner goes to sleep without looking again whether the task is settled",
    JoinsWithoutHandingOver "M20" "a joiner goes to sleep on what it has queued",
    HeldNoRecheck "M21" "a held worker becomes idle without looking at the queues again",
    HoldEndsListed "M22" "a hold ends, and its worker stays listed as held and idle",
    OutWithoutSlices "M23" "a worker that waits for a message that does not come runs nothing meanwhile",
    ReaperWakesFirst "M24" "the reaper wakes the others before it clears the dead worker's bits",
    StealNotClosed "M25" "the reaper leaves a ring closed that the dead worker was stealing from",
    CellNotSkipped "M26" "the reaper leaves a cell that the dead worker had claimed and not published",
    PostNotSettled "M27" "the reaper does not settle the count of a message that the dead worker was posting",
    GateDoesNotWait "M28" "the reaper settles a count while others are posting",
    FlushCountedOnce "M29" "the reaper counts its last message once",
    ReaperForgetsHeld "M30" "the reaper does not notify held workers",
    RetrySeesItself "M31" "who claimed a worker that does not stir tries once more, and respects that worker as a searcher",
    RetriesForEver "M32" "who claimed a worker that does not stir tries again with the same one",
    NoRetry "M33" "who claimed a worker that does not stir does not try another",
    NoFinally "M34" "a message whose handler throws is not counted down",
    StopAtOnce "M35" "STOP is set when the pool is closed, not when nothing is left",
    DrainedByLooks "M36" "a cell that is claimed and not published counts as drained when the pool is closed",
    CloseWakesNobody "M37" "closing the pool wakes nobody",
    LevelNotLookedAt "M38" "the second look leaves out a level of priority",
    MessagesDoNotCount "M39" "a message under way does not keep a closed pool from being over",
    SliceLeavesRest "M40" "a held worker that stole in a slice does not look at what it left",
    JoinedWhileListed "M41" "a held worker that joins in a handler stays listed as held and idle",
    FlushPostedFirst "M42" "the reaper posts its last message before it counts it",
    LostThoughClaimed "M43" "the reaper gives up a task on the move that a joiner has claimed",
    LostAloneNotify "M44" "the reaper does not notify the joiners of a task that ended just before its worker died",
    StopWhileInFlight "M45" "STOP is set when the pool is closed, and heeded when nothing is in flight",
}

impl Mutant {
    /// The mutant with this short name.
    pub fn by_code(code: &str) -> Option<Mutant> {
        Mutant::ALL.iter().copied().find(|mutant| mutant.code().eq_ignore_ascii_case(code))
    }
}
