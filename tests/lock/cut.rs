//! The way between the active one and the server is cut, and nobody is told: as when a machine is gone, or a cable.
//!
//! ```text
//!   cargo test ─ ip netns exec WORLD ─▶ this binary again: PostgreSQL, the controller, the standby
//!                                         │ veth, 10.2.0.0/24, cut by the test
//!                                       MACHINE: the active one
//! ```

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::postgres::Postgres;
use crate::support::network::{Network, ip};
use crate::support::{SOON, Service, Site};

/// Names the namespace of the first one's machine to the inner test.
const MACHINE: &str = "DISPATCH_TEST_MACHINE";
const SERVER: &str = "10.2.0.1";
/// What operators are promised: 14 s until the server notices, 5 s until it is asked.
const TAKE_OVER: Duration = Duration::from_secs(20);

#[test]
fn a_dispatcher_whose_way_is_cut_has_ended_before_the_standby_takes_over() {
    let Some(world) = Network::new("world") else { return };
    let Some(machine) = Network::new("machine") else { return };
    world.ip(&["link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", machine.name()]);
    for (network, address) in [(&world, format!("{SERVER}/24")), (&machine, "10.2.0.2/24".to_owned())] {
        network.ip(&["address", "add", &address, "dev", "cable"]);
        network.ip(&["link", "set", "cable", "up"]);
    }
    world.run("cut::inner", &[(MACHINE, machine.name())]);
}

#[actix_rt::test]
#[ignore = "run by a_dispatcher_whose_way_is_cut_has_ended_before_the_standby_takes_over, in a network of its own"]
async fn inner() {
    let machine = std::env::var(MACHINE).unwrap();
    let addresses = format!("listen_addresses=127.0.0.1,{SERVER}");
    let postgres = Postgres::start_with_files(&[], &[&addresses]).await;
    let mut connection = postgres.connection();
    connection["host"] = SERVER.into();
    let mut site = Site::new();
    site.cluster()["PostgreSQL"] = json!({ "Connection": connection });
    site.write_config();
    let mut first = Service::start_by(&["ip", "netns", "exec", &machine], &site, &["run"], &[]).await;
    first.logged("lock acquired", SOON).await;
    let mut second = site.start().await;
    let line = second.logged("waiting for other process to release lock", SOON).await;
    assert_eq!(line["HolderAddress"], "10.2.0.2", "{line}");

    ip(&["link", "set", "cable", "down"]);
    let cut = Instant::now();
    assert_eq!(first.exit_code(Duration::from_secs(11)).await, 1);
    println!("ended {:?} after the cut", cut.elapsed());
    let error = &first.lines("lock lost, exiting")[0]["error"];
    assert!(error.as_str().unwrap().contains("has not answered within 5 s"), "{error}");
    assert_eq!(second.lines("lock acquired").len(), 0, "both would work at a time");
    second.logged("lock acquired", SOON).await;
    println!("taken over {:?} after the cut", cut.elapsed());
    assert!(cut.elapsed() < TAKE_OVER, "{:?}", cut.elapsed());
    assert_eq!(second.stop().await, 0);
}
