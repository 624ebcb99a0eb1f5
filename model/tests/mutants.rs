//! The protocol, broken in one place each: the scenario that is named notices.

use weblane_model::explore::explore;
use weblane_model::mutant::Mutant;
use weblane_model::scenarios;

/// What a broken protocol comes to.
const LOST: &str = "a task is queued and a worker sleeps";
const BUSY: &str = "can go round for ever without getting anything done";

fn killed(mutant: Mutant, name: &str, how: &str) {
    let scenario = scenarios::all().into_iter().find(|scenario| scenario.name == name).expect("its name");
    let outcome = explore(&scenario, Some(mutant), 20_000_000);
    let Some(wrong) = outcome.wrong else { panic!("{}: {name} does not notice: {}", mutant.code(), mutant.text()) };
    println!("{} ({}): {name}, {} steps: {}", mutant.code(), mutant.text(), wrong.trace.len(), wrong.complaint);
    assert!(
        wrong.complaint.contains(how),
        "{} is killed by {name}, and by something else: {}",
        mutant.code(),
        wrong.text()
    );
}

/// A joiner that hands nothing on is as good: whatever is queued has a worker that is awake, or a searcher that will chain, without its help. It is
/// a matter of how soon. If this fails, it has become necessary.
#[test]
fn m20_is_equivalent() {
    for scenario in scenarios::all().iter().filter(|scenario| scenario.name.contains("join") && !scenario.long) {
        let outcome = explore(scenario, Some(Mutant::JoinsWithoutHandingOver), 20_000_000);
        assert!(
            outcome.wrong.is_none(),
            "{}: {}",
            scenario.name,
            outcome.wrong.map(|wrong| wrong.text()).unwrap_or_default()
        );
    }
}

macro_rules! killed {
    ($($test:ident: $mutant:ident by $name:ident, $how:expr;)*) => {
        $(
            #[test]
            fn $test() {
                killed(Mutant::$mutant, stringify!($name), $how);
            }
        )*

        #[test]
        fn every_mutant_is_killed_by_name() {
            let tests = [$(Mutant::$mutant),*];
            for mutant in Mutant::ALL.iter().filter(|mutant| **mutant != Mutant::JoinsWithoutHandingOver) {
                assert!(tests.contains(mutant), "nothing kills {}: {}", mutant.code(), mutant.text());
            }
        }
    };
}

killed! {
    m1_no_recheck: NoRecheck by race_1_two_workers_one_task, LOST;
    m2_no_hand_off: NoHandOff by race_8_claimed_and_leaves, LOST;
    m3_count_first: CountFirst by race_4_a_post_that_throws, "w0 is out, and nothing will bring it back";
    m3b_count_first_undo: CountFirstUndo by race_4_a_post_that_throws, "w0 is out, and nothing will bring it back";
    m4_flag_not_count: FlagNotCount by race_5_two_messages, "w0 is out, and nothing will bring it back";
    m5_no_chain: NoChain by race_10_two_tasks_one_long, LOST;
    m6_stays_listed: StaysListed by race_9_woken_for_a_message, LOST;
    m7_not_searcher_again: NotSearcherAgain by race_32_a_batch_and_who_takes_it_is_busy, BUSY;
    m7b_forgets_claim: ForgetsClaim by race_10_two_producers_one_long_task, LOST;
    m8_no_wake_after_move: NoWakeAfterMove by race_32_a_batch_and_who_takes_it_is_busy, LOST;
    m9_stop_not_read: StopNotRead by race_28_submit_against_close, BUSY;
    m10_normalise_count: NormaliseCount by race_5_two_messages, "w0 is out, and nothing will bring it back";
    m11_reaper_only_clears: ReaperOnlyClears by race_14_death_as_a_waker, LOST;
    m12_held_searches: HeldSearches by a_held_worker_with_a_long_handler, LOST;
    m14_leaves_as_searcher: LeavesAsSearcher by race_8_claimed_and_leaves, LOST;
    m15_claim_keeps_sleeper: ClaimKeepsSleeper by race_10_two_tasks_one_long, LOST;
    m16_batch_wakes_nobody: BatchWakesNobody by race_32_a_batch_and_who_takes_it_is_busy, LOST;
    m17_no_wake_after_promotion: NoWakeAfterPromotion by lazy_join_promotion, LOST;
    m18_end_notifies_nobody: EndNotifiesNobody by race_20_join_ones_own_task, "w0 waits for ever";
    m19_join_does_not_compare: JoinDoesNotCompare by race_20_join_ones_own_task, "w0 waits for ever";
    m21_held_no_recheck: HeldNoRecheck by race_45_a_held_worker_runs_tasks, LOST;
    m22_hold_ends_listed: HoldEndsListed by race_45_a_held_worker_runs_tasks, "w0 is listed as held, and is not";
    m23_out_without_slices: OutWithoutSlices by race_53_a_message_that_does_not_come, LOST;
    m24_reaper_wakes_first: ReaperWakesFirst by race_14_death_of_one_of_two, LOST;
    m25_steal_not_closed: StealNotClosed by race_16_death_of_a_thief, LOST;
    m26_cell_not_skipped: CellNotSkipped by race_15_death_between_claim_and_publish, LOST;
    m27_post_not_settled: PostNotSettled by race_47_death_between_post_and_count, "w1 never gets a message that was posted to it";
    m28_gate_does_not_wait: GateDoesNotWait by race_47_death_between_post_and_count, "w1 is out, and nothing will bring it back";
    m29_flush_counted_once: FlushCountedOnce by race_47_death_between_post_and_count, "w1 never gets a message that was posted to it";
    m30_reaper_forgets_held: ReaperForgetsHeld by death_of_who_picked_a_held_worker, LOST;
    m31_retry_sees_itself: RetrySeesItself by race_14_a_dead_sleeper_is_claimed, LOST;
    m32_retries_for_ever: RetriesForEver by race_1_one_worker_one_task, BUSY;
    m33_no_retry: NoRetry by race_14_a_dead_sleeper_is_claimed, LOST;
    m34_no_finally: NoFinally by race_7_a_handler_that_throws, LOST;
    m35_stop_at_once: StopAtOnce by race_28_a_running_task_that_spawns, "a task is queued for ever";
    m36_drained_by_looks: DrainedByLooks by race_28_submit_against_close, "a task is queued for ever";
    m37_close_wakes_nobody: CloseWakesNobody by race_28_submit_against_close, "w0 sleeps, and the pool was closed";
    m38_level_not_looked_at: LevelNotLookedAt by race_54_the_urgent_level_alone, LOST;
    m39_messages_do_not_count: MessagesDoNotCount by race_29_close_while_out, "a task is queued for ever";
    m40_slice_leaves_rest: SliceLeavesRest by race_52_a_slice_that_steals, LOST;
    m41_joined_while_listed: JoinedWhileListed by a_held_worker_that_joins, LOST;
    m42_flush_posted_first: FlushPostedFirst by race_47_death_between_post_and_count, "w1 is out, and nothing will bring it back";
    m43_lost_though_claimed: LostThoughClaimed by race_16_death_of_who_is_joined, "a script ends that was not running";
    m45_stop_while_in_flight: StopWhileInFlight by race_28_a_running_task_that_spawns, BUSY;
    m44_lost_alone_notify: LostAloneNotify by race_16_death_of_who_is_joined, "w0 waits for ever";
}
