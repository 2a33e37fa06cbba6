//! The details of new containers are read beside everything else (docs/lessons.md, "Lesson 25"): however long that takes,
//! nobody waits for it but they.

use super::*;

/// One container is sized; the mounts of the next to come take a minute, and the poll has just shown it.
async fn reading_mounts() -> Site {
    let site = polled([queued(1)]).await;
    site.api.mounts_take.set(Duration::from_secs(60));
    site.api.put([queued(2)]);
    pass(10).await;
    assert_eq!(site.sized().await, 1, "the second one's mounts are being read");
    site.api.take_calls();
    site
}

#[actix::test]
async fn a_new_container_is_news_before_its_mounts_are_read() {
    let site = polled([queued(1)]).await;
    site.api.mounts_take.set(Duration::from_secs(60));
    site.api.put([queued(2)]);
    pass(8).await;
    site.nudges.take();
    pass(2).await;
    assert_eq!(site.state(2).await, Some(Queued));
    assert!(site.nudges.count() >= 1, "the scheduler may say why it waits");
}

#[actix::test]
async fn while_mounts_are_read_polls_go_on_in_time() {
    let site = reading_mounts().await;
    site.api.set_state(uuid(1), Complete);
    site.api.put([queued(3)]);
    pass(40).await;
    assert_eq!(site.api.take_polls(), [20.0, 30.0, 40.0, 50.0]);
    assert_eq!(site.state(1).await, Some(Complete));
    assert_eq!(site.state(3).await, Some(Queued));
}

#[actix::test]
async fn while_mounts_are_read_containers_are_locked_and_unlocked() {
    let site = reading_mounts().await;
    site.lock(1).await.unwrap();
    pass(1).await;
    assert_eq!(site.state(1).await, Some(Locked));
    site.unlock(1, UnlockReason::ProcessEnded).await.unwrap();
    pass(1).await;
    assert_eq!(site.state(1).await, Some(Queued));
    assert_eq!(site.api.take_names(), ["lock", "unlock"], "nothing waited for the mounts");
}

#[actix::test]
async fn those_that_came_meanwhile_are_asked_for_together_as_soon_as_the_answer_is_in() {
    let site = reading_mounts().await;
    site.api.put((3..=40).map(queued));
    site.api.mounts_take.set(Duration::ZERO);
    pass(60).await;
    let mounts: Vec<_> =
        site.api.take_calls().into_iter().filter(|(_, name, ..)| *name == "mounts").collect();
    assert_eq!(mounts.iter().map(|(.., many)| *many).collect::<Vec<_>>(), [38]);
    assert_eq!(site.sized().await, 40);
}
