//! The watch on a VM: what it is given, what its lines do, and when it ends.

use dispatch_core::ports::WatchEnd;

use super::*;
use crate::testing::FakeWatch;

/// With the first container started and watched.
async fn watched() -> (Site, Rc<FakeWatch>) {
    let site = in_service().await;
    site.start(1).await;
    let watch = site.last_watch();
    site.vms.commands.take();
    (site, watch)
}

impl Site {
    fn last_watch(&self) -> Rc<FakeWatch> {
        Rc::clone(self.vms.watches.borrow().last().expect("a watch was begun"))
    }

    /// How many lists were asked for since the last look, a moment later.
    async fn lists(&self) -> usize {
        self.breathe().await;
        self.vms.take_times("list").len()
    }
}

fn uuid_text(n: usize) -> String {
    uuid(n).to_string()
}

#[actix::test]
async fn an_end_is_told_by_one_watch_for_all_and_seen_at_once() {
    let (site, watch) = watched().await;
    assert_eq!(*watch.given.borrow(), [uuid_text(1)]);
    site.start(2).await;
    assert_eq!(*watch.given.borrow(), [uuid_text(1), uuid_text(2)]);
    assert_eq!(site.vms.watches.borrow().len(), 1);
    site.vms.end(uuid(1));
    site.vms.commands.take();
    watch.print(Ok(&uuid_text(1)));
    assert_eq!(site.lists().await, 1);
    assert_eq!(site.ended(), [uuid(1)]);
    assert!(watch.open.get(), "another process lives");
    assert_eq!(site.meter.value("watch_hints_total"), Some(1.0));
    assert!(site.lines.messages().contains(&"end of a crunch-run process told, probing".to_owned()));
}

#[actix::test]
async fn a_false_line_ends_nothing_and_its_process_is_asked_for_five_times() {
    let (site, watch) = watched().await;
    watch.print(Ok(&uuid_text(1)));
    assert_eq!(site.lists().await, 1);
    pass(9).await;
    assert_eq!(site.lists().await, 4, "after 0.5, 1, 2 and 4 s");
    assert_eq!((site.ended(), site.view().state), (vec![], State::Running));
}

#[actix::test]
async fn a_flood_of_lines_makes_one_probe_and_garbage_none() {
    let (site, watch) = watched().await;
    for line in ["", "broken", "$(reboot)", "zzzzz-dz642-000000000000001 stale", &uuid_text(9)] {
        watch.print(Ok(line));
    }
    assert_eq!(site.lists().await, 0);
    for _ in 0..2_000 {
        watch.print(Ok(&uuid_text(1)));
    }
    assert_eq!(site.lists().await, 1);
    assert_eq!(site.meter.value("watch_hints_total"), Some(1.0));
}

#[actix::test]
async fn it_ends_with_the_last_process() {
    let (site, watch) = watched().await;
    site.vms.end(uuid(1));
    pass(11).await;
    assert!(!watch.open.get(), "nothing is left to be watched");
}

#[actix::test]
async fn it_ends_with_a_shutdown() {
    let (site, watch) = watched().await;
    site.tell(Command::ShutDown(ShutdownReason::Operator("o".into()))).await;
    site.breathe().await;
    assert!(!watch.open.get());
}

#[actix::test]
async fn it_ends_with_the_actor() {
    let (site, watch) = watched().await;
    site.worker.send(Stop).await.unwrap();
    site.breathe().await;
    assert!(!watch.open.get());
}

#[actix::test]
async fn one_that_ends_is_begun_again_and_one_that_cannot_be_is_told_once_in_ten_minutes() {
    let (site, watch) = watched().await;
    pass(60).await;
    watch.print(Err(WatchEnd::Exited(Some(124))));
    site.breathe().await;
    assert!(!watch.open.get());
    let second = site.last_watch();
    assert!(second.open.get() && !Rc::ptr_eq(&watch, &second));
    site.vms.no_watch.set(Some(WatchEnd::FewSessions));
    second.print(Err(WatchEnd::FewSessions));
    let told = || {
        let is_told = |message: &&String| *message == "not watching the instance for ten minutes";
        site.lines.messages().iter().filter(is_told).count()
    };
    pass(590).await;
    assert_eq!((told(), site.vms.watches.borrow().len()), (1, 2));
    pass(20).await;
    assert_eq!(told(), 1, "once more");
    let ends = |reason| site.meter.value(&format!("watch_ends_total{{reason=\"{reason}\"}}"));
    assert_eq!((ends("few_sessions"), ends("exited")), (Some(2.0), Some(1.0)));
    site.vms.end(uuid(1));
    pass(11).await;
    assert_eq!(site.ended(), [uuid(1)], "its turn comes as ever");
}

#[actix::test]
async fn a_watch_that_never_begins_holds_up_nothing() {
    let site = in_service().await;
    site.vms.takes.set(Duration::from_secs(5));
    site.start(1).await;
    pass(6).await;
    assert_eq!(site.vms.watches.borrow().len(), 0, "it takes its time");
    site.vms.takes.set(Duration::ZERO);
    site.start(2).await;
    assert_eq!(site.view().processes.len(), 2);
    pass(5).await;
    assert_eq!(*site.last_watch().given.borrow(), [uuid_text(1), uuid_text(2)], "added when it has begun");
}
