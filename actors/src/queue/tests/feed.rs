//! The event feed, from a hint to the scheduler's nudge.

use dispatch_core::ports::{EventFeed, FeedCounts, Hint};

use super::*;
use crate::testing::FakeFeed;

async fn heard(records: impl IntoIterator<Item = Record>) -> (Site, Rc<FakeFeed>) {
    pause();
    let feed = FakeFeed::new();
    let site = site_with(FakeApi::with(records), Some(Rc::clone(&feed) as Rc<dyn EventFeed>));
    pass(1).await;
    site.api.take_calls();
    site.nudges.take();
    (site, feed)
}

fn names(site: &Site) -> Vec<&'static str> {
    site.api.take_calls().into_iter().map(|(_, name, _, _)| name).collect()
}

#[actix::test]
async fn a_hint_is_a_question_and_its_news_a_nudge() {
    let (site, feed) = heard([]).await;
    site.api.put([queued(1)]);
    feed.says([Hint::Container { uuid: uuid(1), state: Some(Queued) }]);
    pass_millis(100).await;
    assert_eq!(names(&site), ["available", "mounts"]);
    assert_eq!(site.state(1).await, Some(Queued));
    assert!(site.nudges.take().len() >= 2, "when it is seen, and when it is sized");
}

#[actix::test]
async fn a_flood_is_taken_in_batches_and_asked_for_twice_a_second() {
    let (site, feed) = heard([]).await;
    for _ in 0..10 {
        feed.says((0..10_000).map(|n| Hint::Container { uuid: uuid(n % 900), state: None }));
        pass_millis(100).await;
    }
    assert!(names(&site).len() <= 3, "a second has passed");
    pass(60).await;
    assert_eq!(feed.waiting(), 0);
}

#[actix::test]
async fn connection_and_loss_are_told_shown_and_counted() {
    let (site, feed) = heard([]).await;
    let connected = || site.meter.value("event_feed_connected");
    let is_connected = async || site.view().await.feed.map(|feed| feed.is_connected);
    assert_eq!((connected(), is_connected().await), (Some(0.0), Some(false)));
    feed.says([Hint::Connected]);
    pass(1).await;
    assert_eq!((connected(), is_connected().await), (Some(1.0), Some(true)));
    let lost = || Hint::Lost { reason: "closed by the service".to_owned() };
    for _ in 0..3 {
        feed.says([lost()]);
        pass(1).await;
    }
    assert_eq!((connected(), is_connected().await), (Some(0.0), Some(false)));
    let told = site.lines.messages();
    let count = |message: &str| told.iter().filter(|it| *it == message).count();
    assert_eq!((count("event feed connected"), count("event feed lost")), (1, 1), "once a minute");
    feed.counts.set(FeedCounts { containers: 7, others: 9_000, ..FeedCounts::default() });
    pass(5).await;
    let of = |kind| site.meter.value(&format!("event_feed_events_total{{kind=\"{kind}\"}}"));
    assert_eq!((of("container"), of("other"), of("ping")), (Some(7.0), Some(9_000.0), Some(0.0)));
}
