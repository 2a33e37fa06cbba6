//! Told to stop: exit 0, soon; VMs and containers go on, and the next dispatcher takes them over.

use dispatch_core::container::ContainerState;
use rustix::process::Signal;
use tokio::net::UnixDatagram;

use crate::support::{RESUMED, SOON, Service, Site, processes, until};

#[actix_rt::test]
async fn a_stopped_dispatcher_leaves_containers_running_and_the_next_one_finishes_them() {
    let site = Site::new();
    site.submit(4).await;
    let mut first = site.start().await;
    site.reached(4, ContainerState::Running, SOON).await;
    let runners = processes::runners(&site.state_directory());
    assert_eq!(first.stop().await, 0);
    assert_eq!(first.lines("stopping")[0]["Signal"], "SIGTERM");
    assert_eq!(first.log().last().unwrap()["msg"], "stopped");
    assert_eq!(processes::runners(&site.state_directory()), runners, "they go on");
    assert!(std::fs::read_dir(site.path("tmp")).unwrap().next().is_none(), "no temporary file is left");
    assert!(site.records().await.iter().all(|it| it.state == ContainerState::Running));

    let fences = fences(&site);
    assert!(!fences.is_empty() && fences.iter().all(|it| it.ends_with(" released\n")), "{fences:?}");

    let mut second = site.start().await;
    until("every process is detected", SOON, async || {
        (second.lines("crunch-run process detected").len() == 4).then_some(())
    })
    .await;
    site.runs.open_gate();
    site.reached(4, ContainerState::Complete, SOON).await;
    site.emptied(RESUMED).await;
    site.assert_all_ran_once(4).await;
    assert_eq!(second.stop().await, 0);
}

/// What the fences on the instances say.
fn fences(site: &Site) -> Vec<String> {
    let instances = std::fs::read_dir(site.state_directory()).unwrap().map(|it| it.unwrap().path());
    let files = instances.filter_map(|it| std::fs::read_dir(it.join("fence")).ok()).flatten();
    // Beside a fence lie its lock and the copy of the secret.
    let is_fence = |file: &std::path::PathBuf| {
        let name = file.file_name().unwrap().to_string_lossy();
        name.starts_with("set-") && file.extension().is_none()
    };
    let files = files.map(|file| file.unwrap().path()).filter(is_fence);
    files.map(|file| std::fs::read_to_string(file).unwrap()).collect()
}

#[actix_rt::test]
async fn a_dispatcher_that_is_still_placing_stops_as_soon() {
    let mut site = Site::new();
    site.cloud()["DriverParameters"]["BootDelay"] = "1h".into();
    site.submit(3).await;
    let mut service = site.start().await;
    service.logged("instance appeared in cloud", SOON).await;
    service.signal(Signal::INT);
    assert_eq!(service.exit_code(SOON).await, 0);
    assert_eq!(service.lines("stopping")[0]["Signal"], "SIGINT");
}

#[actix_rt::test]
async fn systemd_is_told_when_it_serves_and_when_it_stops() {
    let site = Site::new();
    let socket = site.path("notify");
    let notified = UnixDatagram::bind(&socket).unwrap();
    let state = async || {
        let mut message = [0; 1000];
        let received = tokio::time::timeout(SOON, notified.recv(&mut message)).await;
        let length = received.expect("systemd waits for a word").unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    };
    site.write_config();
    let environment = [("NOTIFY_SOCKET", socket.to_str().unwrap())];
    let mut service = Service::start(&site, &["run"], &environment).await;
    assert_eq!(state().await.trim(), "READY=1");
    assert_eq!(service.get(&site, "/_health/ping").await.0, 200);
    service.signal(Signal::TERM);
    assert_eq!(state().await.trim(), "STOPPING=1");
    assert_eq!(service.exit_code(SOON).await, 0);
}

#[actix_rt::test]
async fn the_service_and_what_it_starts_leave_no_core_file() {
    let site = Site::new();
    site.submit(1).await;
    let mut service = site.start().await;
    site.reached(1, ContainerState::Running, SOON).await;
    let limits = |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap_or_default();
    let has_none = |text: &str| {
        text.lines().any(|it| {
            it.split_whitespace().collect::<Vec<_>>()[..]
                == ["Max", "core", "file", "size", "0", "0", "bytes"]
        })
    };
    assert!(has_none(&limits(service.pid())), "{}", limits(service.pid()));
    let directory = site.path("tmp").display().to_string();
    let clients: Vec<_> = processes::all()
        .filter(|pid| processes::command_line(*pid).contains(&directory))
        .map(limits)
        .collect();
    // One may have ended since.
    assert!(clients.iter().any(|it| has_none(it)), "{clients:?}");
    assert_eq!(service.stop().await, 0);
}

#[actix_rt::test]
async fn instances_of_before_a_change_of_the_token_are_told() {
    let mut site = Site::new();
    site.submit(1).await;
    let mut first = site.start().await;
    site.reached(1, ContainerState::Running, SOON).await;
    assert_eq!(first.stop().await, 0);
    assert_eq!(first.lines("instances of others in the cloud").len(), 0, "there were none");
    site.cluster()["SystemRootToken"] = "v2/zzzzz-gj3su-999999999999999/anothersecret".into();
    site.write_config();
    let mut second = site.start().await;
    second.logged("instances may be ours from before a change of the token", SOON).await;
    let told = &second.lines("instances of others in the cloud")[0];
    assert_eq!(told["Instances"], 1, "{told}");
    assert!(told["InstanceSets"].as_str().unwrap().ends_with(": 1"), "{told}");
    assert_eq!(second.stop().await, 0);
}
