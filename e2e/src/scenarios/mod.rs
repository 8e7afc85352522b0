//! What must hold on a cluster, one file a theme. A scenario's name says what is done and what must hold.

mod accounts;
mod browser;
mod deletion;
mod documents;
mod healing;
mod mail;
mod media;
mod messages;
mod notifications;
mod people;
mod quiet;
mod recovery;
mod refusals;
mod rest;
mod site;
mod socket;
mod stage;
mod status;
mod tracing;
mod wait;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use anyhow::{Result, anyhow};

use crate::interrupt;
use crate::progress::{Progress, seconds};
use crate::test::Tally;

pub(crate) use stage::Stage;

/// One thing that must hold.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    run: fn(&Stage) -> Result<()>,
}

macro_rules! scenarios {
    ($($theme:ident :: $name:ident,)+) => {
        &[$(Scenario { name: stringify!($name), run: $theme::$name }),+]
    };
}

/// All of them. Those that disturb the platform come last, and the one that deletes it at the very end.
pub(crate) const ALL: &[Scenario] = scenarios![
    status::the_platform_is_ready_45_seconds_after_it_is_applied,
    status::kubectl_shows_phase_version_and_url,
    status::every_condition_says_why,
    refusals::a_wrong_enum_value_is_refused_and_the_field_named,
    refusals::a_misspelt_field_is_refused_and_named,
    refusals::an_even_number_of_mongodb_members_is_refused_and_the_field_named,
    refusals::every_example_is_accepted,
    accounts::two_people_register_and_log_in,
    accounts::a_log_out_ends_the_access_token_at_once,
    accounts::a_reused_refresh_token_revokes_its_family,
    accounts::who_has_no_token_is_refused_with_a_problem_body,
    messages::three_hundred_messages_emitted_without_waiting_arrive_complete_and_in_order,
    messages::the_same_nonce_twice_gives_one_message,
    messages::who_missed_twenty_messages_resumes_and_has_them,
    messages::an_edit_and_a_deletion_reach_the_other_member,
    messages::a_stranger_is_refused_in_rest_and_socket_io,
    messages::a_log_out_disconnects_the_socket_of_its_session,
    messages::the_database_holds_no_plaintext_of_any_message,
    media::a_file_comes_back_byte_for_byte_and_by_range,
    media::a_file_is_refused_to_who_does_not_own_it,
    notifications::who_was_away_finds_a_notification_and_an_e_mail,
    notifications::who_was_there_gets_no_notification,
    tracing::one_trace_id_goes_from_the_edge_to_the_consumer,
    browser::two_people_register_in_a_browser_and_chat_live,
    quiet::at_rest_nothing_changes_for_a_minute,
    quiet::an_idle_operator_takes_at_most_12_megabytes,
    recovery::nothing_acknowledged_is_missing_after_the_chat_pod_is_deleted,
    healing::a_deleted_configmap_is_back_within_ten_seconds,
    healing::a_deleted_service_is_back_within_ten_seconds,
    healing::a_deleted_deployment_is_back_within_ten_seconds,
    healing::a_deleted_statefulset_is_back_within_ten_seconds_and_its_data_are_kept,
    deletion::a_deleted_platform_leaves_only_its_data_which_a_new_one_takes_up,
];

/// Runs `scenarios` one after the other, printing how each went.
pub(crate) fn run(scenarios: &[&Scenario], stage: &Stage, progress: &Progress) -> Tally {
    let mut total = Tally::default();
    for scenario in scenarios {
        if interrupt::interrupted() {
            break;
        }
        let began = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| (scenario.run)(stage)))
            .unwrap_or_else(|panic| Err(anyhow!("it panicked: {:?}", panic.downcast_ref::<String>())));
        let took = [vec![seconds(began.elapsed())], stage.take_notes()].concat().join("; ");
        match &result {
            Ok(()) => progress.say(format!("ok      {} ({took})", scenario.name)),
            Err(error) => {
                progress.say(format!("FAILED  {} ({took})\n{error:#}\n{}", scenario.name, stage.evidence()));
            }
        }
        total += Tally::of(result.is_ok());
    }
    total
}
