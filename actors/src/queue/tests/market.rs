//! What the spot market takes, and the requests that it counts for.

use std::num::NonZeroU32;

use dispatch_core::container::ContainerState;
use dispatch_core::instance::{Catalog, InstanceType};
use dispatch_core::policy::Policy;

use super::*;
use crate::messages::queue::NoteMarketLosses;
use crate::testing::instance_type;

fn spot(n: usize, state: ContainerState) -> Record {
    let mut record = record(n, state);
    record.scheduling.preemptible = true;
    record
}

/// One loss is enough; polls are rare.
fn market_policy() -> Policy {
    let mut policy = policy();
    let market = InstanceType { preemptible: true, ..instance_type("market", 3, 0.05) };
    policy.catalog = Catalog::new([instance_type("small", 3, 0.1), market]);
    policy.sizing.spot_retries = NonZeroU32::new(1);
    policy.poll_interval = Duration::from_secs(60);
    policy
}

async fn market_site(records: impl IntoIterator<Item = Record>) -> Site {
    pause();
    let api = FakeApi::with(records);
    api.requests
        .borrow_mut()
        .extend((1..4).map(|n| (uuid(n), "zzzzz-xvhdp-000000000000001".parse().unwrap())));
    // So that nothing is asked under the policy of before.
    api.takes.set(Duration::from_millis(10));
    let site = site(api);
    site.queue
        .send(UsePolicy { policy: shared(market_policy()), quota_groups: Default::default() })
        .await
        .unwrap();
    site
}

#[actix::test]
async fn what_is_taken_from_a_container_counts_for_the_next_of_its_request() {
    let site = market_site([spot(1, Running)]).await;
    pass(1).await;
    site.queue.send(NoteMarketLosses { containers: vec![uuid(1)] }).await.unwrap();
    site.api.put([spot(1, Cancelled), spot(2, Queued)]);
    pass(60).await;
    let snapshot = site.view().await.snapshot;
    let entry = snapshot.get(uuid(2)).unwrap();
    assert!(entry.is_moved_on_demand() && entry.market_losses == 1, "{entry:?}");
    for counter in ["containers_lost_to_market_total", "containers_moved_on_demand_total"] {
        assert_eq!(site.meter.value(counter), Some(1.0), "{counter}");
    }
    let told = site.lines.messages();
    assert!(told.contains(&"container has lost its instance to the spot market".to_owned()), "{told:?}");
    assert!(told.iter().any(|it| it.starts_with("container is placed on demand")), "{told:?}");
}

#[actix::test]
async fn a_call_about_requests_that_hangs_keeps_nothing_waiting_for_longer_than_ten_seconds() {
    let site = market_site([spot(1, Queued), queued(2)]).await;
    site.api.requests_take.set(Duration::from_secs(290));
    pass(9).await;
    assert_eq!(site.sized().await, 1, "who wants no spot market waits for nothing");
    pass(2).await;
    assert_eq!(site.sized().await, 2);
    assert!(site.lines.messages().contains(&"cannot read container requests".to_owned()));
    assert_eq!(site.view().await.in_flight, 0);
    pass(300).await;
    let names = site.api.take_names();
    let asked = names.iter().filter(|name| **name == "requests_of").count();
    assert!((2..=5).contains(&asked), "once in some minutes: {asked}");
}
