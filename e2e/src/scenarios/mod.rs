//! What must hold on a cluster, one file a theme. A scenario's name says what is done and what must hold.

mod accounts;
pub(crate) mod api_server;
mod backup;
mod browser;
mod chat;
mod chronicle;
mod collector;
mod data;
pub(crate) mod deletion;
mod documents;
mod exposure;
mod external;
pub(crate) mod faults;
mod firebase;
pub(crate) mod forward;
mod gateway;
mod healing;
mod identity;
mod interface;
mod lifecycle;
mod listener;
pub(crate) mod load;
mod logins;
mod mail;
mod media;
mod messages;
mod mongodb;
mod neighbours;
mod network;
mod notifications;
mod object_storage;
mod on_demand;
mod onlooker;
mod operator;
mod people;
pub(crate) mod process;
pub(crate) mod production;
mod quiet;
mod rabbitmq;
mod recovery;
mod redis;
mod refusals;
pub(crate) mod replica_set;
mod rest;
mod rights;
mod rolling;
mod rotation;
mod scaling;
mod search;
mod secrecy;
pub(crate) mod site;
mod socket;
mod stage;
mod status;
mod tracing;
mod trespass;
mod upgrade;
pub(crate) mod wait;
mod watched;

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
    /// Its file and its name, `theme::name`.
    path: &'static str,
    run: fn(&Stage) -> Result<()>,
}

impl Scenario {
    /// Whether a text that a person wrote is part of its name or of its theme.
    pub(crate) fn is_called(&self, text: &str) -> bool {
        self.path.contains(text)
    }
}

macro_rules! scenarios {
    ($($theme:ident :: $name:ident,)+) => {
        &[$(Scenario {
            name: stringify!($name),
            path: concat!(stringify!($theme), "::", stringify!($name)),
            run: $theme::$name,
        }),+]
    };
}

/// All of them. Those that disturb the platform come last; then a larger one takes its place, and the one that deletes that comes at
/// the very end. A container that crashes twice within minutes waits before it starts again, so scenarios that kill one process stand
/// between those that make its pod anew.
pub(crate) const ALL: &[Scenario] = scenarios![
    status::the_platform_is_ready_45_seconds_after_it_is_applied,
    status::kubectl_shows_phase_version_and_url,
    status::every_condition_says_why,
    refusals::a_wrong_enum_value_is_refused_and_the_field_named,
    refusals::a_misspelt_field_is_refused_and_named,
    refusals::an_even_number_of_mongodb_members_is_refused_and_the_field_named,
    refusals::every_example_is_accepted,
    refusals::every_bad_document_is_refused_by_the_api_server_and_the_field_named,
    quiet::at_rest_nothing_changes_for_a_minute,
    quiet::an_idle_operator_takes_at_most_12_mebibytes,
    accounts::two_people_register_and_log_in,
    accounts::a_log_out_ends_the_access_token_at_once,
    accounts::a_reused_refresh_token_revokes_its_family,
    accounts::who_has_no_token_is_refused_with_a_problem_body,
    identity::one_link_verifies_an_address_and_another_lets_choose_a_new_password,
    identity::a_command_makes_an_admin_who_locks_somebody_out_at_once,
    identity::an_account_that_is_deleted_hands_its_group_over_and_takes_its_picture_along,
    messages::three_hundred_messages_emitted_without_waiting_arrive_complete_and_in_order,
    messages::the_same_nonce_twice_gives_one_message,
    messages::a_request_that_is_sent_again_under_its_key_is_carried_out_once,
    messages::who_missed_twenty_messages_resumes_and_has_them,
    messages::an_edit_and_a_deletion_reach_the_other_member,
    messages::a_stranger_is_refused_in_rest_and_socket_io,
    messages::a_log_out_disconnects_the_socket_of_its_session,
    messages::the_database_holds_no_plaintext_of_any_message,
    media::a_file_comes_back_byte_for_byte_and_by_range,
    media::a_file_is_refused_to_who_does_not_own_it,
    notifications::who_was_away_finds_a_notification_and_an_e_mail,
    notifications::who_was_there_gets_no_notification,
    notifications::who_reads_a_conversation_has_read_its_notifications,
    tracing::one_trace_goes_from_the_edge_to_the_consumer_in_logs_and_to_the_collector,
    browser::two_people_register_in_a_browser_and_chat_live,
    browser::a_page_shows_what_every_service_answers_and_loads_nothing_from_elsewhere,
    interface::made_up_requests_are_answered_as_described_and_never_by_a_server_error,
    exposure::a_kind_that_the_cluster_does_not_know_is_told_and_what_runs_is_not_touched,
    exposure::a_renewed_certificate_is_live_within_a_minute_a_broken_one_never_and_no_connection_is_closed,
    exposure::an_ingress_is_made_healed_and_pruned_and_its_controller_finds_the_edge,
    recovery::nothing_acknowledged_is_missing_after_the_chat_pod_is_deleted,
    gateway::requests_are_spread_over_every_pod_of_a_service,
    notifications::who_was_away_gets_a_push_on_their_phone_that_holds_nothing_of_the_message,
    chat::kubectl_scale_makes_two_chat_pods_whose_people_see_one_another_live_and_one_pod_again,
    chat::who_was_on_a_chat_pod_that_died_goes_on_with_the_other_and_misses_nothing,
    rotation::a_new_revision_rotates_the_signing_keys_under_load_and_nobody_notices,
    rotation::message_keys_rotate_and_every_data_key_is_wrapped_by_the_new_one,
    rotation::credentials_rotate_under_load_nobody_notices_and_the_old_ones_are_refused,
    scaling::an_autoscaler_switched_on_and_off_never_leaves_fewer_pods_than_wanted,
    scaling::what_others_write_on_pods_and_what_the_document_adds_to_them_are_both_kept,
    scaling::affinity_that_no_pod_can_have_is_told_of_and_nothing_restarts,
    healing::a_deleted_configmap_is_back_within_ten_seconds,
    healing::a_deleted_service_is_back_within_ten_seconds,
    healing::a_deleted_deployment_is_back_within_ten_seconds,
    healing::a_deleted_statefulset_is_back_within_ten_seconds_and_its_data_are_kept,
    object_storage::a_killed_store_comes_back_with_every_file,
    lifecycle::a_paused_platform_ignores_edits_and_converges_afterwards,
    lifecycle::foreign_labels_and_annotations_survive_a_repair_which_an_event_tells_of,
    refusals::a_document_from_before_a_rule_is_told_of_and_nothing_that_runs_is_touched,
    neighbours::a_platform_without_images_says_which_and_does_not_delay_the_one_beside,
    neighbours::two_platforms_in_one_namespace_do_not_meet_and_what_is_others_stays,
    neighbours::a_quota_is_told_of_and_a_namespace_with_a_platform_in_it_is_gone_within_a_minute,
    operator::an_operator_killed_in_the_middle_of_a_change_is_followed_by_one_that_finishes_it,
    operator::an_operator_of_one_namespace_needs_a_role_alone_and_tells_of_a_right_it_lacks,
    operator::an_api_server_away_for_a_minute_stops_nobody_from_chatting_and_the_operator_recovers,
    upgrade::a_platform_that_names_no_release_keeps_its_own_and_one_that_is_older_or_skips_is_refused,
    upgrade::a_release_whose_images_cannot_be_pulled_stops_before_anything_changes_and_is_returned_from,
    upgrade::an_upgrade_that_stops_at_the_gateway_leaves_the_old_one_serving_and_goes_on_with_the_next_release,
    upgrade::an_upgrade_under_load_loses_no_message_and_changes_one_group_after_the_other,
    deletion::a_deleted_platform_leaves_only_its_data_which_a_new_one_takes_up,
    data::one_of_each_grows_to_three_of_each_under_continuous_writes,
    mongodb::three_members_become_five_and_three_again_under_continuous_writes,
    data::a_volume_that_its_class_does_not_let_grow_is_told_of_and_nothing_restarts,
    production::three_of_each_become_ready,
    data::every_component_of_several_pods_has_a_disruption_budget,
    data::what_cannot_shrink_is_refused_and_the_field_named,
    trespass::a_service_is_refused_in_another_services_database,
    trespass::a_service_is_refused_under_another_services_keys_and_channels,
    trespass::a_service_is_refused_at_another_services_queues_and_in_another_virtual_host,
    lifecycle::a_hibernated_platform_keeps_its_data_and_comes_back_to_the_same_sizes,
    external::a_platform_on_others_servers_deploys_none_and_tells_when_they_refuse_it,
    mongodb::each_member_killed_in_turn_loses_nothing_that_was_acknowledged,
    mongodb::a_deleted_statefulset_of_three_members_is_made_anew_with_its_data,
    mongodb::all_members_killed_at_once_come_back_with_everything,
    mongodb::a_rolling_change_restarts_the_secondaries_first_and_the_primary_last,
    mongodb::a_version_that_does_not_exist_stops_at_the_first_member_while_the_others_serve,
    mongodb::a_primary_killed_while_the_operator_is_away_is_replaced_all_the_same,
    mongodb::a_member_whose_volume_is_lost_is_filled_anew,
    mongodb::a_member_that_is_back_before_names_are_known_joins_again_and_nothing_is_lost,
    redis::a_killed_master_is_replaced_within_ten_seconds_and_comes_back_as_replica,
    redis::a_master_whose_pod_is_gone_is_replaced_within_ten_seconds,
    rabbitmq::a_node_killed_under_load_loses_no_event,
    rabbitmq::a_broker_away_for_a_minute_delays_events_and_loses_none,
    data::volumes_grow_where_their_class_allows_it_and_nothing_restarts,
    deletion::a_platform_deleted_with_the_policy_delete_leaves_nothing,
];

/// Installs what some of them need of this machine.
pub(crate) fn prepare() -> Result<()> {
    browser::prepare()
}

/// Those that run only when they are named: they have not been seen to hold on a cluster yet, or want more of it than every cluster has.
pub(crate) const BY_NAME: &[Scenario] = scenarios![
    secrecy::no_server_log_or_trace_has_a_word_of_what_people_write,
    secrecy::no_secret_of_the_platform_is_told_by_anything_but_its_secrets,
    scaling::chat_is_scaled_by_its_connections_where_an_adapter_tells_of_them,
    network::a_pod_that_is_not_of_the_platform_reaches_no_server,
    network::a_platform_all_of_whose_pods_start_anew_under_enforced_policies_serves_people,
    backup::a_backup_that_fails_is_told_in_the_status_and_by_an_event,
    backup::a_backup_restored_into_a_new_platform_has_every_message,
    rights::an_operator_that_begins_without_rights_asks_for_exactly_those_that_its_chart_gives,
    rolling::every_part_of_one_pod_is_replaced_under_load_and_no_request_fails,
    rolling::every_part_of_several_pods_is_replaced_under_load_and_no_request_fails,
    exposure::a_certificate_is_asked_of_cert_manager_and_shown_once_it_is_issued,
    exposure::traefik_takes_the_ingress_and_people_chat_by_way_of_it,
    exposure::traefik_takes_the_route_of_a_gateway_and_people_chat_by_way_of_it,
    search::messages_are_found_by_way_of_opensearch_which_holds_no_word_of_them,
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
