//! Clients that follow the events and never read: they cost next to nothing, hold nobody up, and are cut off.

use std::time::Duration;

use dispatch_core::container::ContainerState;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};

use crate::support::{SOON, Site, until};

const CLIENTS: usize = 100;

/// A client with hardly any room for what it is sent, which asks for all events and takes in none.
async fn silent_reader(site: &Site, address: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(address.parse().unwrap()).await.unwrap();
    let request = format!(
        "GET /arvados/v1/dispatch/events?follow=1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n",
        site.management_token
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

fn number_in(text: &str, key: &str) -> u64 {
    let line = text.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn resident_kib(pid: i32) -> u64 {
    number_in(&std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap(), "VmRSS:")
}

fn descriptors(pid: i32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

#[actix_rt::test]
async fn a_hundred_clients_that_never_read_cost_little_and_are_cut_off() {
    let site = Site::new();
    let mut service = site.start().await;
    service.logged("ready", SOON).await;
    site.submit(1).await;
    site.begun(1).await;
    let (pid, address) = (service.pid(), service.url.trim_start_matches("http://").to_owned());
    let (_, list) = service.get(&site, "/arvados/v1/dispatch/instances").await;
    let id = list["items"][0]["instance"].as_str().unwrap().to_owned();
    let (before, open) = (resident_kib(pid), descriptors(pid));
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(silent_reader(&site, &address).await);
    }
    until("all are connected", SOON, async || (descriptors(pid) >= open + CLIENTS).then_some(())).await;
    let reason = "x".repeat(400);
    for round in 0..200 {
        let verb = if round % 2 == 0 { "hold" } else { "run" };
        let path = format!("/arvados/v1/dispatch/instances/{verb}?instance_id={id}&reason={reason}");
        assert_eq!(service.post(&site, &path).await.0, 200);
    }
    let grown = resident_kib(pid).saturating_sub(before);
    assert!(
        grown < 5 * 1024 + 4 * 1024,
        "100 clients have cost {grown} KiB, the events themselves among them"
    );
    // Planning goes on meanwhile.
    site.runs.open_gate();
    site.submit(1).await;
    site.reached(2, ContainerState::Complete, SOON).await;
    until("they are cut off", 2 * SOON + Duration::from_secs(45), async || {
        (descriptors(pid) <= open + 5).then_some(())
    })
    .await;
    drop(clients);
    assert_eq!(service.stop().await, 0);
}
