//! Time in which the dispatcher did not live is no silence of its instances.

use std::time::Duration;

use dispatch_core::container::ContainerState;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{SOON, Site, processes, until};

/// How long it is stopped: twice as long as an instance may be silent.
const STOPPED: Duration = Duration::from_secs(40);

/// The dispatcher's ssh clients.
fn clients(site: &Site) -> Vec<i32> {
    let runtime = site.path("tmp").display().to_string();
    processes::all().filter(|pid| processes::command_line(*pid).contains(&runtime)).collect()
}

fn signal(pid: i32, signal: Signal) {
    // A client may have ended.
    let _ = kill_process(Pid::from_raw(pid).unwrap(), signal);
}

#[actix_rt::test]
async fn a_dispatcher_that_was_stopped_while_its_sessions_were_dropped_destroys_no_busy_instance() {
    let mut site = Site::new();
    site.cloud()["TimeoutProbe"] = "20s".into();
    site.cluster()["InstanceTypes"]["shared"]["VCPUs"] = 1.into();
    site.submit(2).await;
    let mut service = site.start().await;
    site.begun(2).await;
    let runners = processes::runners(&site.state_directory());
    assert_eq!((runners.len(), processes::instances(&site.state_directory())), (2, 2));

    service.signal(Signal::STOP);
    for client in clients(&site) {
        signal(client, Signal::STOP);
        // Its session is dropped, and nobody here can notice.
        signal(client, Signal::KILL);
    }
    let end = tokio::time::Instant::now() + STOPPED;
    tokio::time::sleep_until(end).await;
    service.signal(Signal::CONT);

    until("the pause is noticed", SOON, async || {
        (!service.lines("this process was paused, connections and deadlines begin anew").is_empty())
            .then_some(())
    })
    .await;
    let seen = service.lines("ssh connected").len();
    until("connections are opened anew", SOON, async || {
        (service.lines("ssh connected").len() >= seen.max(4)).then_some(())
    })
    .await;
    assert_eq!(
        processes::runners(&site.state_directory()),
        runners,
        "the same processes on the same instances"
    );
    site.runs.open_gate();
    site.reached(2, ContainerState::Complete, SOON).await;
    site.assert_all_ran_once(2).await;
    assert_eq!(service.stop().await, 0);
}
