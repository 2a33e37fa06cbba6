//! What each actor holds, for a bug report.

use std::time::Duration;

use serde_json::Value;

use crate::support::site::{Options, TOKEN, recorded, uuid};
use crate::support::{Site, eventually};

const STATE: &str = "/arvados/v1/dispatch/debug/state";

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
async fn an_actor_that_does_not_answer_is_shown_as_that() {
    let options = Options::default();
    let health = arvados_dispatch_cloud::api::HealthPolicy { actor_answer: Duration::ZERO, ..options.health };
    let site = Site::with(Options { health, ..options }).await;
    let state = site.get(STATE).await.json();
    assert_eq!(state["queue"]["error"], "does not answer");
}
