//! What each actor holds, for a bug report.

use dispatch_core::plan::{PlanInput, RecordedRound, plan};
use dispatch_core::time::Timestamp;
use serde_json::Value;

use crate::support::site::{TOKEN, recorded, uuid};
use crate::support::{Site, eventually};

const STATE: &str = "/arvados/v1/dispatch/debug/state";
const ROUND: &str = "/arvados/v1/dispatch/debug/round";

#[actix_web::test]
async fn the_debug_state_shows_a_container_in_each_actor_that_has_to_do_with_it() {
    let site = Site::start().await;
    site.world.add(recorded(uuid(1)));
    let instance = site.running(uuid(1).as_str()).await;
    let state: Value = eventually("a state that shows the container everywhere", async || {
        let state = site.get(STATE).await.json();
        let shows = |part: &Value| part.to_string().contains(uuid(1).as_str());
        let everywhere = ["queue", "pool", "scheduler"].iter().all(|actor| shows(&state[actor]));
        (everywhere && shows(&state["workers"][&instance])).then_some(state)
    })
    .await;
    assert!(state["cloud"].to_string().contains(&instance), "{}", state["cloud"]);
    assert!(state["at"].as_str().unwrap().ends_with('Z'), "{}", state["at"]);
}

#[actix_web::test]
async fn the_debug_state_has_no_secret() {
    let site = Site::start().await;
    site.world.add(recorded(uuid(1)));
    site.running(uuid(1).as_str()).await;
    let text = site.get(STATE).await.body;
    let secrets: Vec<_> = site
        .world
        .instances
        .borrow()
        .values()
        .flat_map(|instance| {
            instance
                .tags
                .0
                .iter()
                .filter(|(key, _)| key.ends_with("InstanceSecret"))
                .map(|(_, value)| value.clone())
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(!secrets.is_empty());
    for secret in secrets.iter().map(String::as_str).chain([TOKEN]) {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[actix_web::test]
async fn the_last_round_can_be_replayed_elsewhere() {
    let site = Site::start().await;
    site.world.creates_hang.set(true);
    site.world.add(recorded(uuid(1)));
    let text = eventually("a round that knows the container", async || {
        let answer = site.get(ROUND).await;
        let knows =
            answer.status == 200 && answer.json()["plan"]["waiting"].to_string().contains(uuid(1).as_str());
        knows.then_some(answer.body)
    })
    .await;
    let round: RecordedRound = serde_json::from_str(&text).unwrap();
    assert_eq!(round.replay(), Ok(()));
    assert!(!text.contains(TOKEN));
}

#[actix_web::test]
async fn the_last_round_of_a_debug_state_can_be_planned_again() {
    let site = Site::start().await;
    site.world.creates_hang.set(true);
    site.world.add(recorded(uuid(1)));
    let round: Value = eventually("a round that knows the container", async || {
        let scheduler = site.get(STATE).await.json()["scheduler"].take();
        scheduler["plan"]["waiting"].to_string().contains(uuid(1).as_str()).then_some(scheduler)
    })
    .await;
    let input: PlanInput = serde_json::from_value(round["input"].clone()).unwrap();
    let planned_at: Timestamp = serde_json::from_value(round["planned_at"].clone()).unwrap();
    assert_eq!(serde_json::to_value(plan(&input, planned_at)).unwrap(), round["plan"]);
}
