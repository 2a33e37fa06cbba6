//! Killed again and again, at whatever moment: nothing runs twice, everything completes.

use dispatch_core::container::ContainerState;

use crate::support::{RESUMED, Site, processes, until};

const CONTAINERS: usize = 10;

/// When the dispatcher is killed.
#[derive(Debug, Clone, Copy)]
enum Moment {
    Listening,
    Creating,
    FirstStart,
    HalfRunning,
    SomeComplete,
}

const MOMENTS: [Moment; 5] =
    [Moment::Listening, Moment::Creating, Moment::FirstStart, Moment::HalfRunning, Moment::SomeComplete];

/// Whether the moment has come.
async fn has_come(moment: Moment, site: &Site) -> bool {
    let begun = site.runs.begun().len();
    match moment {
        Moment::Listening => true,
        Moment::Creating => processes::instances(&site.state_directory()) > 0,
        Moment::FirstStart => begun >= 1,
        Moment::HalfRunning => begun > CONTAINERS / 2,
        Moment::SomeComplete => site.records().await.iter().any(|it| it.state == ContainerState::Complete),
    }
}

#[actix_rt::test]
async fn a_dispatcher_that_is_killed_at_any_moment_runs_nothing_twice_and_completes_everything() {
    let mut site = Site::new();
    site.cloud()["DriverParameters"]["BootDelay"] = "500ms".into();
    site.submit(CONTAINERS).await;
    for moment in MOMENTS {
        let mut service = site.start().await;
        if matches!(moment, Moment::SomeComplete) {
            site.runs.open_gate();
        }
        until(&format!("{moment:?}"), RESUMED, async || has_come(moment, &site).await.then_some(())).await;
        service.kill().await;
        let counts = processes::runner_counts(&site.state_directory());
        assert!(counts.values().all(|count| *count == 1), "{moment:?}: {counts:?}");
    }
    let mut last = site.start().await;
    site.reached(CONTAINERS, ContainerState::Complete, RESUMED).await;
    site.emptied(RESUMED).await;
    site.assert_begun_once(CONTAINERS).await;
    for record in site.records().await {
        assert_eq!((record.started, record.cancels), (1, 0), "{record:?}");
        // A start that was cut off with the dispatcher may cost one attempt; never the container.
        assert!(record.lock_count <= 3, "{record:?}");
    }
    assert_eq!(last.stop().await, 0);
}
