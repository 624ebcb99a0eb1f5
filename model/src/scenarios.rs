//! The scenarios: small pools, each there for something. Names say what happens, or with which race of the catalogue it deals.

use crate::scenario::{Op, Reach, Scenario, Start};

/// All of them.
pub fn all() -> Vec<Scenario> {
    let mut all = tasks();
    all.extend(messages());
    all.extend(joins());
    all.extend(closing());
    all.extend(holds());
    all.extend(deaths());
    all.extend(large());
    all
}

/// Tasks: publish and announce, claim and chain, steal and move.
fn tasks() -> Vec<Scenario> {
    vec![
        // Race 1.
        Scenario::new("race_1_one_worker_one_task", 1).producer(&[Op::Submit(1)]).reaches(&[
            Reach::Slept,
            Reach::Claimed,
            Reach::LookedAgain,
            Reach::ClaimFailed,
            Reach::NotifiedNobody,
        ]),
        Scenario::new("race_15_one_worker_two_producers", 1)
            .producer(&[Op::Submit(1)])
            .producer(&[Op::Submit(2)])
            .reaches(&[Reach::LookedAgainClaimed, Reach::Chained, Reach::HalfPublished]),
        Scenario::new("race_1_two_workers_one_task", 2).producer(&[Op::Submit(1)]).reaches(&[
            Reach::Slept,
            Reach::Claimed,
            Reach::LookedAgain,
        ]),
        // Race 10: the task that was found first lasts until the second is done.
        Scenario::new("race_10_two_tasks_one_long", 2)
            .asleep()
            .script(1, &[Op::Until(2)])
            .producer(&[Op::Submit(1), Op::Submit(2)])
            .reaches(&[Reach::Claimed, Reach::Chained, Reach::BatchMoved]),
        Scenario::new("race_10_two_producers_one_long_task", 2)
            .start(1, Start::Asleep)
            .script(1, &[Op::Until(2)])
            .producer(&[Op::Submit(1)])
            .producer(&[Op::Submit(2)])
            .reaches(&[Reach::Claimed, Reach::Chained, Reach::HalfPublished]),
        // Races 32 and 15: a batch on the move, cells that are claimed and not published.
        Scenario::new("race_32_a_batch_and_who_takes_it_is_busy", 2)
            .script(1, &[Op::Until(2)])
            .producer(&[Op::Batch(&[1, 2])])
            .reaches(&[Reach::BatchMoved, Reach::HalfPublished, Reach::LookedAgain, Reach::BatchClaim]),
        Scenario::new("race_24_forked_by_a_busy_worker", 2)
            .start(0, Start::Running(1))
            .script(1, &[Op::Submit(2), Op::Submit(3), Op::Until(2), Op::Until(3)])
            .reaches(&[Reach::Stole, Reach::LookedAgain]),
        // Race 52: a ring that is being stolen from looks empty.
        Scenario::new("race_52_three_workers_a_chain_of_forks", 3)
            .asleep()
            .start(0, Start::Running(1))
            .script(1, &[Op::Submit(2), Op::Submit(3), Op::Submit(4)])
            .script(2, &[Op::Until(3)])
            .script(3, &[Op::Until(4)])
            .reaches(&[Reach::Stole, Reach::StoleSeveral, Reach::BusyRingLooksEmpty, Reach::Chained]),
        // Race 25: half of the ring moves.
        Scenario::new("race_25_overflow", 2)
            .with(|s| s.ring = 2)
            .start(0, Start::Running(1))
            .script(1, &[Op::Submit(2), Op::Submit(3), Op::Submit(4)])
            .script(2, &[Op::Until(3)])
            .reaches(&[Reach::Overflowed, Reach::Stole, Reach::HalfPublished]),
    ]
}

/// Messages: counted in the word that is slept on.
fn messages() -> Vec<Scenario> {
    vec![
        // Races 2, 3, 6.
        Scenario::new("race_2_one_worker_one_message", 1).producer(&[Op::Post(0, 1)]).reaches(&[
            Reach::Slept,
            Reach::LeftForJs,
            Reach::Handled,
        ]),
        Scenario::new("race_4_a_post_that_throws", 1)
            .producer(&[Op::PostThrows(0, 1)])
            .producer(&[Op::Post(0, 2)])
            .reaches(&[Reach::Slept, Reach::PostThrew, Reach::Handled]),
        // Races 5, 6.
        Scenario::new("race_5_two_messages", 1).producer(&[Op::Post(0, 1)]).producer(&[Op::Post(0, 2)]).reaches(&[
            Reach::Slept,
            Reach::Handled,
            Reach::CountBelowZero,
        ]),
        Scenario::new("race_7_a_handler_that_throws", 1)
            .script(1, &[Op::Throw])
            .producer(&[Op::Post(0, 1), Op::Submit(2)])
            .reaches(&[Reach::HandlerThrew]),
        // A worker is claimed for a task and leaves for a message, whose handler lasts until the task is done.
        Scenario::new("race_8_claimed_and_leaves", 2)
            .asleep()
            .script(1, &[Op::Until(2)])
            .producer(&[Op::Submit(2)])
            .producer(&[Op::Post(0, 1)])
            .reaches(&[Reach::HandedOff, Reach::LeftForJs, Reach::Claimed]),
        Scenario::new("race_9_woken_for_a_message", 2)
            .asleep()
            .script(1, &[Op::Until(2)])
            .producer(&[Op::Post(0, 1), Op::Submit(2)])
            .reaches(&[Reach::LeftForJs, Reach::Claimed]),
        // What is in the ring of a worker that leaves.
        Scenario::new("race_24_leaves_with_tasks_in_its_ring", 2)
            .start(0, Start::Running(1))
            .start(1, Start::Asleep)
            .script(1, &[Op::Submit(2), Op::Submit(3)])
            .script(4, &[Op::Until(3)])
            .producer(&[Op::Post(0, 4)])
            .reaches(&[Reach::LeftForJs, Reach::HandedOff, Reach::Stole]),
        Scenario::new("handlers_that_spawn_and_post", 2)
            .asleep()
            .script(1, &[Op::Submit(3), Op::Post(1, 2)])
            .script(2, &[Op::Until(3)])
            .producer(&[Op::Post(0, 1)])
            .reaches(&[Reach::LeftForJs, Reach::Handled, Reach::Claimed]),
        // A message is counted and cannot come before a task has run that only its worker can run.
        Scenario::new("race_53_a_message_that_does_not_come", 1)
            .with(|s| s.deliver_after = 2)
            .script(2, &[])
            .with(|s| s.awaited |= 1 << 2)
            .producer(&[Op::Post(0, 1), Op::Submit(2)])
            .reaches(&[Reach::SliceBesideMessage, Reach::LeftForJs]),
        Scenario::new("race_54_two_levels_of_priority", 2)
            .with(|s| s.levels = 2)
            .start(1, Start::Asleep)
            .script(1, &[Op::Until(2)])
            .producer(&[Op::SubmitAt(0, 1), Op::SubmitAt(1, 2)])
            .reaches(&[Reach::LookedAtLastLevel, Reach::LookedAgain, Reach::Chained]),
        Scenario::new("race_54_the_urgent_level_alone", 1)
            .with(|s| s.levels = 2)
            .producer(&[Op::SubmitAt(1, 1), Op::SubmitAt(0, 2)])
            .reaches(&[Reach::LookedAtLastLevel, Reach::LookedAgain]),
    ]
}

/// Joins: claimed and run inline, slept for, cancelled, promoted.
fn joins() -> Vec<Scenario> {
    vec![
        Scenario::new("race_20_join_ones_own_task", 2)
            .start(0, Start::Running(1))
            .start(1, Start::Asleep)
            .script(1, &[Op::Submit(2), Op::Join(2)])
            .reaches(&[Reach::Inlined, Reach::StaleEntry, Reach::JoinSlept, Reach::Stole]),
        Scenario::new("join_a_running_task_that_needs_another", 3)
            .asleep()
            .start(0, Start::Running(1))
            .script(1, &[Op::Submit(2), Op::Submit(3), Op::Join(2)])
            .script(2, &[Op::Until(3)])
            .reaches(&[Reach::JoinSlept, Reach::Stole]),
        Scenario::new("joins_within_joins", 2)
            .start(0, Start::Running(1))
            .start(1, Start::Asleep)
            .script(1, &[Op::Submit(2), Op::Join(2)])
            .script(2, &[Op::Submit(3), Op::Join(3)])
            .reaches(&[Reach::Inlined, Reach::StaleEntry, Reach::JoinSlept, Reach::Stole]),
        Scenario::new("race_18_cancel_and_join", 2)
            .start(0, Start::Running(1))
            .start(1, Start::Asleep)
            .script(1, &[Op::Submit(2), Op::Cancel(2), Op::Join(2)])
            .reaches(&[Reach::Cancelled, Reach::StaleEntry, Reach::JoinSlept]),
        // A branch that nobody can see becomes public.
        Scenario::new("lazy_join_promotion", 2)
            .start(0, Start::Running(1))
            .start(1, Start::Asleep)
            .script(1, &[Op::Fork(2), Op::Fork(3), Op::Until(2), Op::Poll, Op::Until(3), Op::Join(3), Op::Join(2)])
            .reaches(&[Reach::Promoted, Reach::Stole, Reach::Slept]),
        Scenario::new("lazy_join_without_a_thief", 2)
            .start(0, Start::Running(1))
            .start(1, Start::Asleep)
            .script(1, &[Op::Fork(2), Op::Fork(3), Op::Poll, Op::Join(3), Op::Join(2)])
            .script(3, &[Op::Submit(4)])
            .reaches(&[Reach::Promoted, Reach::Stole, Reach::Inlined, Reach::StaleEntry]),
    ]
}

/// Closing.
fn closing() -> Vec<Scenario> {
    use crate::state::Closed::{Discard, Drain};
    vec![
        Scenario::new("race_28_submit_against_close", 1)
            .producer(&[Op::Submit(1)])
            .producer(&[Op::Close(Drain)])
            .reaches(&[Reach::Refused, Reach::StoppedAll, Reach::HalfPublished]),
        Scenario::new("race_28_close_two_workers", 2)
            .start(1, Start::Asleep)
            .producer(&[Op::Submit(1), Op::Close(Drain)])
            .reaches(&[Reach::StoppedAll, Reach::Claimed]),
        Scenario::new("race_28_a_running_task_that_spawns", 2)
            .start(0, Start::Running(1))
            .start(1, Start::Asleep)
            .script(1, &[Op::Submit(2), Op::Until(2)])
            .producer(&[Op::Close(Drain)])
            .reaches(&[Reach::StoppedAll, Reach::Stole]),
        Scenario::new("race_29_close_while_out", 2)
            .asleep()
            .script(1, &[Op::Submit(2), Op::Until(2)])
            .producer(&[Op::Post(0, 1), Op::Close(Drain)])
            .reaches(&[Reach::StoppedAll, Reach::LeftForJs, Reach::Handled]),
        Scenario::new("race_29_close_against_a_message", 2)
            .asleep()
            .script(1, &[Op::Submit(2)])
            .producer(&[Op::Post(0, 1)])
            .producer(&[Op::Close(Drain)])
            .reaches(&[Reach::StoppedAll, Reach::LeftForJs, Reach::Handled]),
        Scenario::new("race_28_discard", 1)
            .script(1, &[Op::Submit(3)])
            .producer(&[Op::Batch(&[1, 2]), Op::Submit(4)])
            .producer(&[Op::Close(Discard)])
            .reaches(&[Reach::StoppedAll, Reach::Refused, Reach::Discarded]),
        Scenario::new("race_28_discard_what_is_joined", 2)
            .start(0, Start::Running(1))
            .start(1, Start::Asleep)
            .script(1, &[Op::Submit(2), Op::Submit(3), Op::Join(2), Op::Join(3)])
            .producer(&[Op::Close(Discard)])
            .reaches(&[Reach::StoppedAll, Reach::Refused, Reach::Discarded, Reach::Inlined]),
    ]
}

/// Holds: workers that are kept out.
fn holds() -> Vec<Scenario> {
    vec![
        Scenario::new("race_45_a_held_worker_runs_tasks", 1)
            .script(1, &[Op::Hold(2)])
            .after(3, |s| &mut s.timers_after)
            .producer(&[Op::Post(0, 1)])
            .producer(&[Op::Submit(3)])
            .reaches(&[Reach::Held, Reach::HeldPicked, Reach::HeldSlice, Reach::HoldEnded]),
        Scenario::new("race_37_two_holds_and_a_message", 1)
            .start(0, Start::Held(2))
            .script(1, &[Op::Hold(4), Op::Submit(3)])
            .script(4, &[Op::Submit(5)])
            .producer(&[Op::Post(0, 1)])
            .reaches(&[Reach::HeldSlice, Reach::HoldEnded, Reach::Handled]),
        // A hold ends just when its worker is picked.
        Scenario::new("a_hold_ends_when_it_is_picked", 2)
            .start(0, Start::Held(2))
            .start(1, Start::Asleep)
            .script(1, &[Op::Until(3)])
            .producer(&[Op::Submit(1), Op::Submit(3)])
            .reaches(&[Reach::HeldPicked, Reach::HoldEnded, Reach::Claimed]),
        // Picked, and then it gets a message whose handler is long; the other worker takes what it was picked for, and sleeps.
        Scenario::new("a_held_worker_with_a_long_handler", 2)
            .start(0, Start::Held(2))
            .after(6, |s| &mut s.timers_after)
            .script(4, &[Op::Until(6)])
            .producer(&[Op::Submit(3), Op::Submit(6)])
            .producer(&[Op::Post(0, 4)])
            .reaches(&[Reach::HeldPicked, Reach::Claimed, Reach::HoldEnded]),
        // A slice steals, and leaves something.
        Scenario::new("race_52_a_slice_that_steals", 3)
            .start(0, Start::Running(1))
            .start(1, Start::Held(5))
            .after(3, |s| &mut s.timers_after)
            .script(1, &[Op::Submit(2), Op::Submit(3), Op::Until(3)])
            .script(2, &[Op::Until(3)])
            .reaches(&[Reach::HeldPicked, Reach::HeldSlice, Reach::Stole]),
        // A held worker waits in a handler: it is not idle.
        Scenario::new("a_held_worker_that_joins", 3)
            .start(0, Start::Held(2))
            .start(1, Start::Asleep)
            .start(2, Start::Held(3))
            .after(6, |s| &mut s.timers_after)
            .script(4, &[Op::Submit(5), Op::Join(5)])
            .script(5, &[Op::Submit(6), Op::Until(6)])
            .producer(&[Op::Post(0, 4)])
            .reaches(&[Reach::HeldPicked, Reach::JoinSlept, Reach::Inlined]),
    ]
}

/// Deaths, and the reaper. One worker may die, at any moment.
fn deaths() -> Vec<Scenario> {
    vec![
        Scenario::new("race_14_death_of_one_of_two", 2)
            .mortal(0)
            .start(1, Start::Asleep)
            .producer(&[Op::Submit(1)])
            .reaches(&[Reach::Died, Reach::Reaped, Reach::DiedSearching, Reach::DiedAsleep]),
        Scenario::new("race_14_death_as_a_waker", 2)
            .mortal(0)
            .start(0, Start::Running(1))
            .start(1, Start::Asleep)
            .script(1, &[Op::Submit(2), Op::Submit(3)])
            .producer(&[Op::Submit(4)])
            .reaches(&[Reach::DiedAsWaker, Reach::Reaped, Reach::Stole]),
        // A worker that died asleep is claimed, and who would call the reaper waits for the task.
        Scenario::new("race_14_a_dead_sleeper_is_claimed", 2)
            .asleep()
            .start(0, Start::DiedAsleep)
            .after(1, |s| &mut s.reaper_after)
            .producer(&[Op::Submit(1), Op::Submit(2)])
            .reaches(&[Reach::DeadClaimed, Reach::NotifiedNobody, Reach::Reaped]),
        Scenario::new("race_16_death_of_a_thief", 3)
            .asleep()
            .mortal(1)
            .start(0, Start::Running(1))
            .script(1, &[Op::Submit(2), Op::Submit(3), Op::Until(3)])
            .reaches(&[Reach::DiedStealing, Reach::Reaped, Reach::Stole]),
        Scenario::new("race_15_death_between_claim_and_publish", 2)
            .mortal(0)
            .with(|s| s.ring = 1)
            .start(0, Start::Running(1))
            .start(1, Start::Asleep)
            .script(1, &[Op::Submit(2), Op::Submit(3)])
            .producer(&[Op::Submit(4)])
            .reaches(&[Reach::Overflowed, Reach::HalfPublished, Reach::Reaped]),
        Scenario::new("race_47_death_between_post_and_count", 2)
            .mortal(0)
            .start(0, Start::Running(1))
            .start(1, Start::Asleep)
            .script(1, &[Op::Post(1, 2)])
            .producer(&[Op::Post(1, 3), Op::Post(1, 4)])
            .reaches(&[Reach::DiedPosting, Reach::Reaped, Reach::Flushed, Reach::Handled]),
        Scenario::new("race_16_death_of_who_is_joined", 2)
            .mortal(1)
            .start(0, Start::Running(1))
            .start(1, Start::Asleep)
            .script(1, &[Op::Submit(2), Op::Join(2), Op::Submit(3)])
            .reaches(&[Reach::JoinSlept, Reach::Reaped, Reach::Inlined]),
        Scenario::new("death_of_who_picked_a_held_worker", 2)
            .mortal(0)
            .start(0, Start::Running(1))
            .start(1, Start::Held(4))
            .after(3, |s| &mut s.timers_after)
            .script(1, &[Op::Submit(3)])
            .reaches(&[Reach::HeldPicked, Reach::HeldSlice, Reach::Reaped]),
        Scenario::new("death_of_a_held_worker", 2)
            .mortal(0)
            .start(0, Start::Held(4))
            .start(1, Start::Held(5))
            .after(3, |s| &mut s.timers_after)
            .producer(&[Op::Submit(3)])
            .reaches(&[Reach::HeldPicked, Reach::HeldSlice, Reach::Reaped]),
        Scenario::new("race_28_death_while_closing", 2)
            .asleep()
            .mortal(0)
            .producer(&[Op::Submit(1), Op::Close(crate::state::Closed::Drain)])
            .reaches(&[Reach::Reaped, Reach::StoppedAll]),
    ]
}

/// Larger pools, for `--long`: whatever the small ones may have been too small for.
fn large() -> Vec<Scenario> {
    use crate::state::Closed::Drain;
    let large = vec![
        Scenario::new("long_two_fresh_workers_two_producers", 2)
            .producer(&[Op::Submit(1)])
            .producer(&[Op::Submit(2)])
            .reaches(&[Reach::Slept, Reach::Claimed, Reach::Chained, Reach::LookedAgainClaimed]),
        Scenario::new("long_three_workers_two_producers", 3)
            .asleep()
            .script(1, &[Op::Until(2)])
            .producer(&[Op::Submit(1)])
            .producer(&[Op::Submit(2)])
            .reaches(&[Reach::Claimed, Reach::Chained, Reach::HalfPublished]),
        Scenario::new("long_three_workers_a_batch", 3)
            .start(1, Start::Asleep)
            .start(2, Start::Asleep)
            .script(1, &[Op::Until(3)])
            .script(2, &[Op::Until(3)])
            .producer(&[Op::Batch(&[1, 2, 3])])
            .reaches(&[Reach::BatchClaim, Reach::BatchMoved, Reach::Stole]),
        Scenario::new("long_messages_and_tasks", 2)
            .asleep()
            .script(4, &[Op::Submit(2), Op::Until(1)])
            .script(5, &[Op::Until(1)])
            .producer(&[Op::Post(0, 4), Op::Submit(1)])
            .producer(&[Op::Post(0, 5)])
            .reaches(&[Reach::LeftForJs, Reach::HandedOff, Reach::CountBelowZero]),
        Scenario::new("long_forks_messages_and_closing", 2)
            .start(0, Start::Running(1))
            .start(1, Start::Asleep)
            .script(1, &[Op::Submit(2), Op::Submit(3), Op::Join(2)])
            .script(3, &[Op::Until(2)])
            .script(4, &[Op::Submit(5)])
            .producer(&[Op::Post(0, 4), Op::Close(Drain)])
            .reaches(&[Reach::StoppedAll, Reach::JoinSlept, Reach::LeftForJs]),
        Scenario::new("long_death_of_one_of_three", 3)
            .asleep()
            .mortal(0)
            .script(1, &[Op::Until(2)])
            .producer(&[Op::Submit(1), Op::Submit(2)])
            .reaches(&[Reach::DiedAsleep, Reach::DiedSearching, Reach::DeadClaimed, Reach::Reaped]),
        Scenario::new("long_death_beside_messages", 2)
            .mortal(0)
            .start(0, Start::Running(1))
            .start(1, Start::Asleep)
            .script(1, &[Op::Post(1, 2), Op::Submit(3), Op::Post(1, 4)])
            .script(2, &[Op::Submit(6)])
            .producer(&[Op::Post(1, 5)])
            .reaches(&[Reach::DiedPosting, Reach::Reaped, Reach::Flushed, Reach::Handled]),
        Scenario::new("long_holds_and_closing", 2)
            .start(0, Start::Held(4))
            .start(1, Start::Asleep)
            .script(4, &[Op::Submit(5)])
            .producer(&[Op::Submit(1), Op::Close(Drain)])
            .producer(&[Op::Post(0, 6)])
            .reaches(&[Reach::StoppedAll, Reach::HoldEnded, Reach::HeldSlice]),
    ];
    large.into_iter().map(Scenario::long).collect()
}
