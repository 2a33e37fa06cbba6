//! Number, lesson, tests.

pub(super) type Lesson = (u8, &'static str, &'static [&'static str]);

#[rustfmt::skip]
pub(super) const LEARNED: &[Lesson] = &[
    (1, "locks taken and given back at quota burn the user's attempts", &[
        "no_more_is_locked_or_created_than_the_limits_leave",
        "while_paused_locked_ones_wait_and_no_queued_one_is_locked_against_a_create",
        "a_lock_that_would_use_the_attempts_up_is_kept",
        "unlocks_are_counted",
        "a_quota_that_flaps_burns_no_attempts",
    ]),
    (2, "supervisors fill the cluster and none can start its steps", &[
        "supervisors_get_their_share_and_at_least_one",
        "supervisors_take_their_share_and_block_nobody",
        "supervisors_that_run_count_first",
        "supervisors_that_fill_the_cluster_leave_room_for_their_steps",
    ]),
    (3, "503s, retries, more 503s", &[
        "a_burst_of_503s_halves_once_and_is_followed_by_a_quiet_second",
        "a_503_halves_the_width_and_nothing_is_sent_for_a_second",
        "beyond_the_ceiling_nothing_is_touched",
        "the_ceiling_follows_503s_and_comes_back",
        "bursts_of_503s_cost_time_and_nothing_else",
    ]),
    (4, "one unavailable type, family or market blocks all others", &[
        "what_cannot_be_had_is_skipped_and_later_ones_go_on",
        "a_lack_of_capacity_holds_its_scope_for_a_minute",
        "one_type_without_capacity_does_not_block_the_others",
    ]),
    (5, "after a restart running containers are cancelled before their VMs were probed", &[
        "nothing_running_is_cancelled_while_a_worker_has_not_answered",
        "absence_from_all_workers_needs_three_listings_after_the_first_poll_and_a_later_poll",
        "a_vm_that_was_found_is_unknown_until_it_answers",
        "after_a_restart_nobody_is_judged_before_the_last_vm_has_answered",
    ]),
    (6, "a busy VM is destroyed because its boot probe fails after a restart", &[
        "an_unknown_worker_is_listed_although_its_boot_probe_fails",
        "a_busy_worker_found_after_a_restart_is_alive_although_its_boot_probe_fails",
        "after_a_restart_a_busy_vm_with_a_failing_boot_probe_is_not_destroyed",
    ]),
    (7, "a requeued container runs twice, its old process was still exiting", &[
        "nothing_is_started_or_locked_while_an_earlier_process_exists",
        "a_container_counts_from_the_moment_its_start_is_sent_and_is_started_nowhere_else",
        "every_row_of_the_table",
    ]),
    (8, "signal 9 leaves the container running, invisible", &[
        "no_command_sends_another_signal_than_15",
        "after_timeout_term_it_is_given_up_and_the_worker_drained_and_shut_down",
    ]),
    (9, "a VM with a broken container engine swallows one job after another", &[
        "a_broken_worker_is_drained_at_the_first_evidence",
        "a_broken_vm_gets_nothing_more",
        "a_broken_instance_says_so",
    ]),
    (10, "a helper keeps a dead runner's lock, the VM looks busy for ever", &[
        "stale_broken_and_foreign_lines_are_told_apart",
        "a_stale_lock_is_no_process_starts_nothing_and_drains_in_the_end",
        "a_dead_runner_whose_helper_holds_the_lock_is_stale",
        "a_stale_lock_for_ever_does_not_keep_its_vm",
    ]),
    (11, "a hold ends and nobody wakes the scheduler", &[
        "each_hold_says_when_it_ends",
        "the_end_of_a_rate_limit_wakes_the_scheduler",
        "the_end_of_a_lack_of_capacity_wakes_the_scheduler",
        "the_end_of_a_quota_hold_wakes_the_scheduler",
        "the_end_of_a_pause_after_a_failure_wakes_the_scheduler",
    ]),
    (12, "a new VM is listed before its create returns and counted twice", &[
        "a_create_is_counted_once_when_its_answer_comes_first",
        "a_create_is_counted_once_when_a_listing_shows_it_first",
        "a_vm_that_is_listed_before_its_create_returns_is_counted_once",
    ]),
    (13, "a lost destroy call leaves a VM running for ever", &[
        "destroy_is_called_again_while_a_listing_still_shows_it",
        "what_is_shut_down_and_still_listed_is_told_so",
        "without_good_news_every_worker_is_destroyed_in_the_end_and_again_until_it_is_gone",
        "a_destroy_that_is_lost_or_ignored_is_asked_for_again",
    ]),
    (14, "priority-0 containers never leave the queue, deleted ones loop for ever", &[
        "every_row_of_the_table",
        "what_is_deleted_or_foreign_is_dropped_and_final_records_stay_until_forgotten",
        "containers_that_are_deleted_leave_nothing_behind",
    ]),
    (15, "the answer to a lock re-adds a container that was judged unrunnable", &[
        "an_answer_never_creates_an_entry",
        "no_late_answer_whatever_it_is_creates_an_entry",
        "an_older_poll_does_not_bring_back_what_was_dropped_meanwhile",
    ]),
    (16, "the polled columns lack one that sizing needs", &[
        "every_recorded_exchange_is_asked_for_and_understood",
        "a_full_record_is_decoded_to_its_last_field",
        "needs_agree_with_the_recording_of_the_reference",
    ]),
    (17, "new work is placed on held or draining VMs", &[
        "nothing_is_placed_where_nothing_may_be",
        "only_a_worker_in_service_that_takes_containers_starts_any",
        "a_held_vm_stays_gets_nothing_and_is_still_held_after_a_restart",
    ]),
    (18, "any failed create shuts idle VMs down", &["only_quota_makes_room"]),
    (19, "two dispatchers fight over one queue", &[
        "a_foreign_container_is_never_taken_in",
        "a_lost_race_is_not_undone_by_an_older_poll",
        "every_operation_comes_to_what_its_answers_say",
        "a_standby_answers_health_and_metrics_and_refuses_the_rest",
        "the_standby_takes_over_from_a_killed_dispatcher_and_goes_on_with_what_runs",
    ]),
    (20, "a VM whose type was removed from the configuration runs, and costs, for ever", &[
        "a_behaviour_tag_is_restored_and_an_unconfigured_type_drains_unless_held",
        "a_type_that_is_gone_from_the_configuration_is_drained_not_kept",
    ]),
    (21, "stdin that nobody closes, and a hung command, end a VM's probes for ever", &[
        "stdin_is_read_only_when_the_flag_says_so",
        "stdin_is_not_read_without_prices",
        "each_command_has_its_deadline",
        "a_hung_command_does_not_end_the_probes",
        "a_hanging_command_is_ended_on_the_vm_and_the_connection_stays",
    ]),
    (22, "a record that cannot be decoded stops the whole poll", &[
        "poison_hurts_only_itself",
        "a_poisoned_record_hurts_only_itself_and_says_where",
        "a_poisoned_record_hurts_only_itself",
    ]),
    (23, "a Running container whose type no longer exists crashes the metrics code", &[
        "a_container_without_a_suitable_type_is_cancelled_unless_it_runs",
        "a_running_container_outlives_the_removal_of_every_type_that_fits_it",
    ]),
    (24, "stale locks are unlocked from a list made before the last VM answered", &[
        "what_was_locked_before_the_start_is_not_touched_while_any_worker_is_unknown",
        "probe_results_older_than_a_change_are_dropped",
        "one_that_never_answered_stays_unknown_while_it_is_being_destroyed_and_no_longer",
        "after_a_restart_nobody_is_judged_before_the_last_vm_has_answered",
    ]),
    (25, "new containers' details are fetched one by one while all else waits", &[
        "mounts_are_asked_for_fifty_at_a_time",
        "while_mounts_are_read_polls_go_on_in_time",
        "while_mounts_are_read_containers_are_locked_and_unlocked",
        "a_new_container_is_news_before_its_mounts_are_read",
        "while_a_hundred_new_containers_are_looked_at_the_others_are_started",
    ]),
    (26, "a quota is raised and nobody notices until some VM ends", &[
        "one_create_is_tried_after_five_minutes_and_then_after_twice_as_long_up_to_half_an_hour",
        "a_quota_that_is_raised_is_noticed_without_any_vm_ending",
    ]),
    (27, "the spot limit stops on-demand creates too", &[
        "a_spot_quota_stops_spot_and_nothing_else",
        "a_spot_quota_does_not_stop_on_demand_creates",
        "a_spot_quota_does_not_stop_on_demand",
    ]),
    (28, "the kill command lacks the signal number, and no test runs a real one", &[
        "a_kill_command_has_its_signal_number",
        "no_command_sends_another_signal_than_15",
        "a_kill_without_its_signal_is_not_understood",
        "a_running_container_ends_on_sigterm",
        "a_run_logs_what_the_catalogue_says_and_shows_no_secret",
    ]),
    (29, "health says OK while no poll has succeeded for hours", &[
        "failing_polls_are_an_error_after_five_intervals_and_over_with_the_next_success",
        "a_first_poll_that_never_succeeds_is_an_error",
        "failing_listings_are_an_error_after_five_intervals",
    ]),
    (30, "ten probes a second whatever the size", &[
        "probes_are_granted_within_the_rate_and_the_next_moment_is_never_one_that_loops",
        "a_thousand_workers_are_all_asked_within_an_interval",
        "three_hundred_workers_are_probed_within_the_rate_and_each_in_its_turn",
    ]),
    (31, "a job ends and its VM is idle until its next probe", &[
        "a_probe_is_made_at_once_when_there_is_reason_to",
        "after_a_final_record_probes_follow_each_other_less_and_less_often",
        "a_final_record_has_its_process_watched_closely_before_it_is_signalled",
        "a_vm_stands_idle_for_a_moment_only_between_two_jobs",
    ]),
    (32, "a minute of 503s cuts concurrency to one and costs three more minutes", &[
        "a_503_costs_half_of_what_runs",
        "a_minute_of_503s_is_made_good_within_twenty_seconds",
        "a_hundred_jobs_and_a_minute_of_503s_take_less_than_130_seconds",
        "a_minute_of_503s_costs_little_more_than_a_minute",
    ]),
    (33, "one full disk is the best place for each next container", &[
        "three_failed_starts_in_a_row_drain_and_each_is_counted_once",
        "starts_that_end_with_the_record_still_locked_count_as_well",
        "the_worker_of_its_last_failed_attempt_is_the_last_resort",
        "a_full_disk_does_not_burn_the_attempts_of_the_queue",
    ]),
    (34, "our own network fails for longer than TimeoutProbe and every busy VM is destroyed", &[
        "if_most_are_silent_at_once_none_is_destroyed",
        "thirty_minutes_without_network_lose_nothing",
    ]),
    (35, "a bad image: create, wait, destroy, create, for ever", &[
        "three_boot_failures_ration_the_creates_of_an_offering",
        "a_bad_image_is_tried_by_one_at_a_time_less_and_less_often_up_to_half_an_hour",
        "a_bad_image_does_not_cost_for_ever",
    ]),
    (36, "a stale picture sets a job that has just become Complete to Cancelled", &[
        "every_operation_comes_to_what_its_answers_say",
        "before_a_cancel_the_record_is_read_again",
        "a_running_container_outlives_a_restart_with_slow_polls",
    ]),
];
