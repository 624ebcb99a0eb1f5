//! The protocol, whole: every scenario holds, and reaches what it is there for.

use weblane_model::explore::explore;
use weblane_model::scenarios;

/// More than any scenario has.
const LIMIT: usize = 100_000_000;

fn holds(name: &str) {
    let scenario = scenarios::all().into_iter().find(|scenario| scenario.name == name).expect("its name");
    let long = std::env::var_os("WEBLANE_MODEL_LONG").is_some();
    if scenario.long && !long {
        println!("{name}: only with --long");
        return;
    }
    let outcome = explore(&scenario, None, LIMIT);
    println!("{name}: {} states, {} steps", outcome.states, outcome.steps);
    if let Some(wrong) = outcome.wrong {
        panic!("{name}: {}\n{}", wrong.complaint, wrong.text());
    }
    assert!(!outcome.unfinished, "{name} has more than {LIMIT} states");
    for what in &scenario.reaches {
        assert!(outcome.reached & what.mask() != 0, "{name} does not reach {what:?}");
    }
}

macro_rules! holds {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                holds(stringify!($name));
            }
        )*

        #[test]
        fn every_scenario_is_a_test() {
            let tests = [$(stringify!($name)),*];
            let names: Vec<&str> = scenarios::all().iter().map(|scenario| scenario.name).collect();
            assert_eq!(names, tests);
        }
    };
}

holds! {
    race_1_one_worker_one_task
    race_15_one_worker_two_producers
    race_1_two_workers_one_task
    race_10_two_tasks_one_long
    race_10_two_producers_one_long_task
    race_32_a_batch_and_who_takes_it_is_busy
    race_24_forked_by_a_busy_worker
    race_52_three_workers_a_chain_of_forks
    race_25_overflow
    race_2_one_worker_one_message
    race_4_a_post_that_throws
    race_5_two_messages
    race_7_a_handler_that_throws
    race_8_claimed_and_leaves
    race_9_woken_for_a_message
    race_24_leaves_with_tasks_in_its_ring
    handlers_that_spawn_and_post
    race_53_a_message_that_does_not_come
    race_54_two_levels_of_priority
    race_54_the_urgent_level_alone
    race_20_join_ones_own_task
    join_a_running_task_that_needs_another
    joins_within_joins
    race_18_cancel_and_join
    lazy_join_promotion
    lazy_join_without_a_thief
    race_28_submit_against_close
    race_28_close_two_workers
    race_28_a_running_task_that_spawns
    race_29_close_while_out
    race_29_close_against_a_message
    race_28_discard
    race_28_discard_what_is_joined
    race_45_a_held_worker_runs_tasks
    race_37_two_holds_and_a_message
    a_hold_ends_when_it_is_picked
    a_held_worker_with_a_long_handler
    race_52_a_slice_that_steals
    a_held_worker_that_joins
    race_14_death_of_one_of_two
    race_14_death_as_a_waker
    race_14_a_dead_sleeper_is_claimed
    race_16_death_of_a_thief
    race_15_death_between_claim_and_publish
    race_47_death_between_post_and_count
    race_16_death_of_who_is_joined
    death_of_who_picked_a_held_worker
    death_of_a_held_worker
    race_28_death_while_closing
}
