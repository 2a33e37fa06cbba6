//! Rules that are better here than they were elsewhere, in the order of their description: queue, scheduler,
//! pool and workers, ssh, runner.

pub(super) type Rule = (&'static str, &'static [&'static str]);

#[rustfmt::skip]
pub(super) const STARRED: &[Rule] = &[
    // ---------------------------------------------------------------- queue
    ("an older poll never undoes a newer change, nor touches what is in flight", &[
        "an_older_poll_never_undoes_a_newer_change_and_touches_nothing_in_flight",
        "an_older_poll_does_not_bring_back_what_was_dropped_meanwhile",
        "a_container_that_is_being_locked_is_not_dropped_by_a_poll_that_lacks_it",
        "a_container_that_is_being_locked_is_not_dropped_by_a_poll_that_shows_it_under_another_lock",
        "a_container_that_is_being_changed_is_not_made_unreadable_by_an_older_poll",
        "a_poll_that_began_during_a_change_does_not_undo_it_either",
    ]),
    ("new containers' details hold nothing else up", &[
        "while_mounts_are_read_polls_go_on_in_time",
        "a_new_container_is_news_before_its_mounts_are_read",
        "those_that_came_meanwhile_are_asked_for_together_as_soon_as_the_answer_is_in",
    ]),
    ("a container without a type is cancelled with its reason in one call", &[
        "every_recorded_exchange_is_asked_for_and_understood",
        "a_container_that_fits_nowhere_is_cancelled_once_with_what_there_is",
    ]),
    ("a Running container without a type is kept as it is", &[
        "a_container_without_a_suitable_type_is_cancelled_unless_it_runs",
        "a_running_container_outlives_the_removal_of_every_type_that_fits_it",
    ]),
    ("after a failed call the record is read before anything is decided", &[
        "every_operation_comes_to_what_its_answers_say",
        "an_operation_without_any_answer_leaves_the_container_alone_until_a_poll_tells",
    ]),
    ("every unlock is counted, per container and by reason", &[
        "unlocks_are_counted",
        "an_unlock_is_counted_with_its_reason",
    ]),
    ("what fails for one container stops no other", &[
        "after_a_failure_nothing_is_begun_before_a_later_poll_and_the_end_of_the_back_off",
        "nothing_is_reserved_for_a_container_whose_lock_failed",
        "when_its_back_off_is_over_it_has_one_try_at_its_own_rank",
    ]),
    ("what fails for many pauses operations, and the end of an outage ends every back-off", &[
        "two_containers_within_a_minute_are",
        "the_pause_doubles_and_failures_in_flight_together_count_once",
        "the_end_of_an_outage_ends_the_back_off_of_those_who_shared_in_it",
        "locks_and_unlocks_that_fail_wait_for_the_next_poll",
    ]),
    ("after a mass cancel a poll comes before the next lock", &[
        "after_a_mass_cancel_a_poll_is_made_before_the_others_are_tried",
        "at_most_one_poll_an_interval_is_made_for_that",
        "after_a_mass_cancel_the_first_refused_lock_asks_for_a_poll",
    ]),
    ("what cannot be placed does not hide what can", &[
        "what_cannot_be_placed_does_not_hide_what_can",
        "if_nothing_can_be_placed_one_page_is_enough",
        "a_poll_reads_at_most_twenty_pages_and_the_next_goes_on_from_there",
        "what_can_be_placed_is_found_behind_a_thousand_that_cannot",
    ]),
    // ---------------------------------------------------------------- scheduler
    ("instances that are ready are preferred", &["preferences_are_ready_then_full_then_cheap_then_id"]),
    ("not the worker of its own last failed attempt while another fits", &[
        "the_worker_of_its_last_failed_attempt_is_the_last_resort",
    ]),
    ("types at capacity are skipped, others go on", &["what_cannot_be_had_is_skipped_and_later_ones_go_on"]),
    ("a create is counted once, whatever shows it first", &[
        "a_create_is_counted_once_when_a_listing_shows_it_first",
        "a_vm_that_is_listed_before_its_create_returns_is_counted_once",
        "a_create_whose_answer_shows_no_secret_is_counted_once_too",
    ]),
    ("a quota is a property of an offering and limits creates only", &[
        "a_spot_quota_does_not_stop_on_demand_creates",
        "a_spot_quota_stops_spot_and_nothing_else",
        "at_quota_what_fits_existing_instances_still_starts",
    ]),
    ("the first in line keeps its lock", &["over_quota_all_but_the_first_in_line_give_their_locks_back"]),
    ("no container is unlocked so that it uses up its attempts", &[
        "every_operation_comes_to_what_its_answers_say",
        "a_lock_that_would_use_the_attempts_up_is_kept",
        "no_lock_that_can_as_well_be_kept_is_given_back_with_the_last_attempt",
    ]),
    ("at quota without an instance retries go round, and each who waits is told why", &[
        "with_nothing_running_retries_go_round_so_that_one_blocks_nobody",
        "with_nothing_running_a_retry_comes_every_minute_and_one_at_a_time",
        "every_container_that_waits_has_a_reason_and_no_other_has",
    ]),
    ("the ceiling loses no more width than needed and comes back fast", &[
        "a_503_costs_half_of_what_runs",
        "a_minute_of_503s_is_made_good_within_twenty_seconds",
        "full_width_is_back_within_a_minute",
        "bursts_of_503s_cost_time_and_nothing_else",
    ]),
    ("creates go one beyond what fitted the quota until more are seen running", &[
        "after_a_quota_creates_go_one_beyond_it_until_more_are_seen_running",
        "what_is_held_to_fit_the_quota_is_one_instance_at_least",
        "no_more_is_locked_or_created_than_the_limits_leave",
    ]),
    ("a Running container without a process needs two later listings (we: three)", &[
        "absence_from_all_workers_needs_three_listings_after_the_first_poll_and_a_later_poll",
    ]),
    ("before a cancel the record is read again, its state and its lock", &[
        "every_operation_comes_to_what_its_answers_say",
        "before_a_cancel_the_record_is_read_again",
        "a_container_that_was_queued_and_has_ended_is_not_cancelled",
    ]),
    ("a lock of before the start is not touched while any worker is unknown", &[
        "what_was_locked_before_the_start_is_not_touched_while_any_worker_is_unknown",
        "a_lock_that_is_not_of_this_process_was_there_before_it_whichever_poll_shows_it_first",
        "one_that_never_answered_stays_unknown_while_it_is_being_destroyed_and_no_longer",
        "a_worker_on_hold_that_never_answers_is_an_error_every_minute",
        "a_worker_on_hold_that_never_answers_is_told_as_an_error_every_minute",
    ]),
    ("a lock is given back only for a higher priority", &[
        "over_quota_no_lock_is_given_back_if_nobody_of_higher_priority_waits",
        "a_lock_of_before_the_start_is_kept_for_a_minute_and_then_given_up_only_for_a_higher_priority",
        "three_kills_at_quota_cost_no_attempt",
    ]),
    ("starts of one container back off, and its user reads why the last one failed", &[
        "the_wait_begins_after_the_second_failure_and_doubles_to_five_minutes",
        "starts_that_failed_twice_wait_and_reserve_nothing",
        "a_container_that_failed_elsewhere_is_to_blame_itself",
        "a_failed_attempt_gives_the_lock_back_and_the_last_one_cancels",
        "the_user_reads_what_the_runner_said_when_the_last_start_failed",
        "starts_that_fail_again_and_again_come_less_and_less_often",
    ]),
    ("no room is made in vain", &[
        "at_the_limit_nothing_is_ended_for_a_container_whose_types_were_refused_lately",
        "no_room_is_made_for_ten_minutes_for_what_was_refused_for_another_reason_than_a_limit",
        "no_room_is_made_for_what_is_at_quota_while_none_of_it_exists",
    ]),
    ("an instance with a place for a container that cannot be started yet is not idle", &[
        "a_worker_with_a_place_for_a_container_that_cannot_be_started_yet_is_not_idle",
        "a_worker_is_told_what_it_is_kept_for_and_when_for_nothing_any_more",
    ]),
    ("what was Locked before the start reserves nothing for longer than a restart takes", &[
        "a_container_that_may_run_unseen_reserves_nothing_for_longer_than_a_restart_takes",
    ]),
    ("a lone 503 while few run changes nothing", &[
        "a_lone_503_while_one_or_two_run_costs_nothing",
    ]),
    ("a process that comes back after each kill is given up", &[
        "a_process_that_is_listed_again_after_each_kill_is_given_up_and_the_worker_drained",
    ]),
    // ---------------------------------------------------------------- pool and workers
    ("an instance whose type is not configured is managed and drained", &[
        "a_behaviour_tag_is_restored_and_an_unconfigured_type_drains_unless_held",
        "an_instance_whose_type_is_not_configured_is_managed_and_drained",
    ]),
    ("an instance absent from a listing is missing, and gone after a second one", &[
        "an_instance_that_two_listings_lack_without_a_sign_of_life_between_them_is_gone",
        "a_listing_that_began_before_our_last_news_proves_nothing",
        "a_probe_that_succeeds_in_between_is_a_sign_of_life",
        "a_start_is_refused_while_it_is_missing",
        "an_acknowledged_destroy_needs_one_listing_that_began_after_it",
        "a_probe_is_made_at_once_when_there_is_reason_to",
    ]),
    ("an unanswered start is ended only by a list after its deadline and 2 s", &[
        "an_unanswered_start_is_ended_only_by_a_list_a_deadline_and_two_seconds_after_we_gave_up",
        "an_unanswered_start_may_have_taken_effect_and_is_not_repeated",
        "a_list_begun_before_a_start_failed_proves_nothing",
    ]),
    ("a worker is probed when there is reason to, first of all, and within the rate", &[
        "a_probe_is_made_at_once_when_there_is_reason_to",
        "after_a_final_record_probes_follow_each_other_less_and_less_often",
        "those_that_a_listing_lacks_go_first_and_then_those_with_another_reason",
        "probes_are_granted_within_the_rate_and_the_next_moment_is_never_one_that_loops",
        "a_broken_connection_is_a_reason_to_probe_and_flapping_is_not",
    ]),
    ("an end that is told is asked for at once, and a line alone ends, kills and unlocks nothing", &[
        "an_end_that_is_told_makes_it_be_asked_at_once_and_again_while_it_is_listed",
        "nothing_is_started_on_hold_or_drain_twice_or_in_shutdown_and_holds_are_kept",
        "a_line_during_a_probe_makes_one_more_and_many_lines_make_no_more_than_one",
        "lines_of_others_of_earlier_watches_and_of_those_that_have_ended_are_dropped",
        "an_end_is_seen_at_once_and_its_place_is_taken_at_once",
        "a_false_line_ends_nothing_and_costs_a_few_lists",
        "the_end_of_a_process_is_told_within_a_second_and_no_sooner",
    ]),
    ("an end is acted upon only by a picture that was asked for a second after it", &[
        "a_picture_that_was_asked_for_within_a_second_of_the_end_proves_nothing",
    ]),
    ("a watch that fails is given up for a while, and is never held against its VM", &[
        "one_that_fails_at_once_is_tried_three_times_and_then_not_for_ten_minutes",
        "whoever_has_no_session_for_it_floods_hangs_or_lingers_is_left_alone_for_ten_minutes",
        "a_watch_that_fails_is_no_reason_to_call_its_vm_silent_or_broken",
        "a_server_of_few_sessions_has_them_for_commands",
        "a_client_that_is_killed_leaves_nothing_on_the_vm",
        "whatever_befalls_watches_costs_time_only",
    ]),
    ("ends that are told together do not wait for each other within the rate", &[
        "ends_that_are_told_together_share_the_second_and_no_second_has_more_than_the_rate",
    ]),
    ("a VM that never booted is logged with its boot probe's last output", &[
        "a_shutdown_for_silence_tells_the_last_failure_and_counts_as_a_failed_boot",
        "a_vm_that_never_boots_is_given_up_with_its_last_output_and_what_to_try",
    ]),
    ("if most are silent the fault is ours", &[
        "if_most_are_silent_at_once_none_is_destroyed",
        "half_is_not_more_than_half_and_two_are_not_three",
        "when_a_silent_one_answers_destroying_goes_on_after_one_more_chance",
        "it_lasts_for_days_if_none_of_them_answers_and_ends_with_the_first_answer_of_a_new_one",
        "an_outage_of_ours_is_told_as_an_error_and_nobody_is_destroyed",
    ]),
    ("three starts in a row that come to nothing drain a worker", &[
        "three_failed_starts_in_a_row_drain_and_each_is_counted_once",
        "starts_that_end_with_the_record_still_locked_count_as_well",
        "a_start_that_left_locked_makes_the_failures_before_it_good",
    ]),
    ("a create of unknown outcome stays pending until a listing a minute later", &[
        "a_create_of_unknown_outcome_stays_pending_until_a_listing_a_minute_later_lacks_it",
    ]),
    ("boot failures ration the creates of an offering", &[
        "three_boot_failures_ration_the_creates_of_an_offering",
        "a_bad_image_is_tried_by_one_at_a_time_less_and_less_often_up_to_half_an_hour",
        "one_success_ends_the_rationing",
        "a_pause_is_explained_by_its_cause",
        "a_bad_image_does_not_cost_for_ever",
        "boot_failures_that_limit_creates_are_told_as_an_error",
    ]),
    ("a quota is tried again from time to time", &[
        "one_create_is_tried_after_five_minutes_and_then_after_twice_as_long_up_to_half_an_hour",
        "a_quota_that_is_raised_is_noticed_without_any_vm_ending",
    ]),
    ("a lack of capacity is of an offering, or of a group and market", &[
        "a_lack_of_capacity_holds_its_scope_for_a_minute",
        "entries_of_one_offering_share_its_hold",
    ]),
    // ---------------------------------------------------------------- ssh
    ("every connect, handshake and command has a deadline, here and on the VM", &[
        "each_command_has_its_deadline",
        "the_timeout_is_inside_the_sudo",
        "a_server_that_hangs_in_key_exchange_is_given_up",
        "an_ssh_client_that_hangs_is_given_up",
        "connecting_and_the_proof_of_identity_have_thirty_seconds_each",
        "a_secret_file_that_hangs_is_unreadable_even_if_the_vm_keeps_no_deadline",
        "a_cloud_that_does_not_answer_about_a_host_key_is_given_up",
        "a_hanging_command_is_ended_on_the_vm_and_the_connection_stays",
        "a_command_that_outlives_its_timeout_costs_the_connection",
        "a_hung_command_does_not_end_the_probes",
    ]),
    ("an answer that was cut is none, whatever its status", &[
        "a_status_before_the_output_has_come_to_its_end_is_none",
    ]),
    ("a server cannot flood us, nor ask anything of us", &[
        "a_server_that_floods_us_loses_its_connection_and_is_told",
        "whatever_channel_a_server_asks_for_is_refused_and_commands_go_on",
        "requests_without_end_overflow_and_output_does_not",
        "the_client_has_an_environment_of_its_own_and_writes_no_core_file",
    ]),
    // ---------------------------------------------------------------- runner
    ("a half-written runner is never executed, one in use never truncated", &[
        "a_runner_that_arrives_damaged_is_refused_and_leaves_nothing",
        "a_runner_in_use_is_replaced_and_never_written_to",
        "a_damaged_copy_does_not_touch_the_runner_that_is_there",
    ]),
    ("a start that comes to nothing without a word is told with what the VM's journal has of it", &[
        "a_process_that_ended_and_left_its_container_locked_is_asked_for_once",
        "a_start_command_that_fails_without_a_word_is_asked_for_at_once_and_not_again",
        "whatever_the_journal_says_is_told_or_nothing_and_is_no_news_of_the_vm",
        "a_start_that_came_to_nothing_without_a_word_is_told_with_the_journals_last_lines",
    ]),
    (
        "spare VMs are kept or created only if nobody waits for a quota, and are given back first",
        &[
            "spares_are_given_back_first_when_somebody_waits_for_a_quota",
            "a_spare_vm_makes_room_for_whoever_waits_for_a_quota_and_comes_back_after",
            "nothing_is_created_that_would_take_something_from_somebody_or_burn_money",
        ],
    ),
    ("a job from which the spot market has taken enough is placed on demand, and waits for no answer about its requests", &[
        "a_job_from_which_the_market_has_taken_enough_runs_on_demand",
        "a_process_that_ends_in_order_when_its_vm_is_taken_has_lost_it_to_the_market",
        "a_loss_that_is_told_after_the_successor_was_sized_counts_for_that",
        "who_is_placed_on_which_market_is_as_the_rule_says",
        "a_call_about_requests_that_hangs_keeps_nothing_waiting_for_longer_than_ten_seconds",
    ]),
    ("where listings have been wrong about a VM, one connection that breaks is no proof that it is gone", &[
        "where_listings_have_been_wrong_one_probe_that_fails_is_no_proof_and_two_in_a_row_are",
        "one_connection_that_breaks_while_listings_omit_a_vm_that_answers_ends_no_job",
    ]),
    (
        "a VM with a spot notice is drained, and among types of one price the one is created that lasts",
        &[
            "a_vm_that_will_be_taken_is_drained_and_ends_as_soon_as_it_is_empty",
            "a_hold_is_stronger_than_a_notice",
            "of_two_types_at_one_price_the_one_is_used_that_the_market_leaves",
        ],
    ),
];
