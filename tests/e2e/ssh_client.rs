//! What the configuration says of ssh, in the file that the ssh client of a running dispatcher reads.

use std::process::Command;

use dispatch_core::container::ContainerState;
use serde_json::json;

use crate::support::{SOON, Site, processes, until};

/// The configuration of a client that runs for that site.
async fn client_config(site: &Site) -> String {
    let below = site.path("tmp").display().to_string();
    let config_of = |pid: i32| {
        let line = processes::command_line(pid);
        let (_, file) = line.split_once(" -F ").filter(|_| line.contains(&below))?;
        // The client may have ended since, and its file with it.
        std::fs::read_to_string(file.split(' ').next()?).ok()
    };
    until("an ssh client runs", SOON, async || processes::all().find_map(config_of)).await
}

/// Of these key exchanges, those that this machine's client has.
fn known(names: &[&str]) -> Vec<String> {
    let output = Command::new("ssh").args(["-Q", "kex"]).output().unwrap();
    let has = String::from_utf8(output.stdout).unwrap();
    names.iter().filter(|name| has.lines().any(|it| it == **name)).map(|it| (*it).to_owned()).collect()
}

#[actix_rt::test]
async fn sshkex_of_the_configuration_file_is_what_the_ssh_client_is_told() {
    let post_quantum =
        ["mlkem768x25519-sha256", "sntrup761x25519-sha512", "sntrup761x25519-sha512@openssh.com"];
    for (kex, names) in [(None, known(&post_quantum)), (Some("fast"), known(&["curve25519-sha256"]))] {
        let mut site = Site::new();
        if let Some(kex) = kex {
            site.cloud()["SSHKex"] = json!(kex);
        }
        site.submit(1).await;
        let mut service = site.start().await;
        site.reached(1, ContainerState::Running, SOON).await;
        let config = client_config(&site).await;
        let lines: Vec<_> = config.lines().filter(|line| line.starts_with("KexAlgorithms")).collect();
        assert!(!names.is_empty(), "this machine's client has none of them");
        assert_eq!(lines, [format!("KexAlgorithms ^{}", names.join(","))], "{kex:?}");
        assert_eq!(service.stop().await, 0);
    }
}
