//! Watches: what they print, and what each knob does to that.

use dispatch_core::ports::{Watch, WatchEnd};
use dispatch_core::time::since;
use dispatch_core::worker::watch_script;

use super::*;
use crate::vm::knobs::WatchKnobs;

/// A VM with two processes, of 30 and 60 s, that are watched.
struct Watched {
    world: World,
    id: InstanceId,
    shell: Rc<dyn Executor>,
    uuids: [ContainerUuid; 2],
    watch: Result<Rc<dyn Watch>, WatchEnd>,
}

async fn watched(knobs: WatchKnobs) -> Watched {
    let world = World::new(VmKnobs { watch: knobs, ..VmKnobs::default() });
    let (id, shell) = world.booted_vm("a").await;
    let mut uuids = Vec::new();
    for seconds in [30, 60] {
        let job = Job { lasts: Duration::from_secs(seconds), ..Job::default() };
        uuids.push(world.locked_with(job).await);
    }
    for uuid in &uuids {
        start(&shell, *uuid).await.unwrap();
    }
    let watch = shell.watch(watch_script::command(&uuids)).await;
    Watched { world, id, shell, uuids: [uuids[0], uuids[1]], watch }
}

impl Watched {
    /// What comes next within that many seconds, and how long after the last look.
    async fn next(&self, seconds: u64) -> Option<Result<String, WatchEnd>> {
        let watch = self.watch.as_ref().ok()?;
        let vms = Rc::clone(&self.world.vms);
        let pumped = async {
            loop {
                tokio::time::sleep(Duration::from_millis(1)).await;
                vms.borrow_mut().advance(clock::now());
            }
        };
        let next = tokio::time::timeout(Duration::from_secs(seconds), watch.next());
        match futures_util::future::select(std::pin::pin!(next), std::pin::pin!(pumped)).await {
            futures_util::future::Either::Left((next, _)) => next.ok(),
            futures_util::future::Either::Right(((), _)) => None,
        }
    }

    fn line(&self, n: usize) -> Option<Result<String, WatchEnd>> {
        Some(Ok(self.uuids[n].to_string()))
    }
}

#[tokio::test(start_paused = true)]
async fn each_end_is_told_when_it_happens_and_once() {
    let it = watched(WatchKnobs::default()).await;
    let began = clock::now();
    assert_eq!(it.next(40).await, it.line(0));
    assert!(since(clock::now(), began).as_secs() < 33);
    assert!(!list(&it.shell).await.contains(it.uuids[0].as_str()), "and it has ended");
    assert_eq!(it.next(40).await, it.line(1));
    assert_eq!(it.next(300).await, None);
    it.watch.as_ref().unwrap().add(&watch_script::line_for(it.uuids[0]));
    assert_eq!(it.next(1).await, it.line(0), "who has ended already is told at once");
    assert_eq!(it.next(900).await, Some(Err(WatchEnd::Exited(Some(124)))), "its time is over");
}

#[tokio::test(start_paused = true)]
async fn lines_are_lost_late_and_repeated() {
    let fine = WatchKnobs { within: Span::seconds(20), ..WatchKnobs::default() };
    let lost = watched(WatchKnobs { lost_rate: 1.0, ..fine }).await;
    assert_eq!(lost.next(300).await, None);
    let late = watched(WatchKnobs { late_rate: 1.0, ..fine }).await;
    assert_eq!((late.next(45).await, late.next(10).await), (None, late.line(0)));
    let repeated = watched(WatchKnobs { repeated_rate: 1.0, ..fine }).await;
    assert_eq!(repeated.next(40).await, repeated.line(0));
    assert_eq!(repeated.next(25).await, repeated.line(0));
}

#[tokio::test(start_paused = true)]
async fn lines_are_false_or_mean_nothing() {
    let fine = WatchKnobs { within: Span::seconds(1), ..WatchKnobs::default() };
    let lies = watched(WatchKnobs { false_rate: 1.0, ..fine }).await;
    assert_eq!((lies.next(2).await, lies.next(2).await), (lies.line(0), lies.line(1)));
    assert_eq!(lies.world.vms.borrow().history().all_live(), 2);
    let garbage = watched(WatchKnobs { garbage_rate: 1.0, ..fine }).await;
    let line = garbage.next(2).await.unwrap().unwrap();
    assert_eq!(watch_script::told_by(&line), None);
}

#[tokio::test(start_paused = true)]
async fn watches_hang_flood_die_and_are_refused() {
    let fine = WatchKnobs { within: Span::seconds(1), ..WatchKnobs::default() };
    let hangs = watched(WatchKnobs { hangs_rate: 1.0, ..fine }).await;
    assert_eq!(hangs.next(300).await, None);
    let floods = watched(WatchKnobs { floods_rate: 1.0, ..fine }).await;
    assert_eq!(floods.next(2).await, Some(Err(WatchEnd::TooMuch)));
    let dies = watched(WatchKnobs { dies_rate: 1.0, ..fine }).await;
    assert_eq!(dies.next(2).await, Some(Err(WatchEnd::Exited(None))));
    let refused = watched(WatchKnobs { refused_rate: 1.0, ..fine }).await;
    assert_eq!(refused.watch.err(), Some(WatchEnd::FewSessions));
    let none = watched(WatchKnobs { supported: false, ..fine }).await;
    assert_eq!(none.watch.err(), Some(WatchEnd::NotSupported));
}

#[tokio::test(start_paused = true)]
async fn where_there_is_one_session_a_command_ends_the_watch() {
    let it = watched(WatchKnobs { one_session_rate: 1.0, ..WatchKnobs::default() }).await;
    assert_eq!(it.next(1).await, None);
    list(&it.shell).await;
    assert_eq!(it.next(1).await, Some(Err(WatchEnd::FewSessions)));
}

#[tokio::test(start_paused = true)]
async fn a_watch_goes_with_its_connection_and_when_it_is_dropped() {
    let mut it = watched(WatchKnobs::default()).await;
    it.world.vms.borrow_mut().cut_connection(&it.id);
    assert_eq!(it.next(1).await, Some(Err(WatchEnd::ConnectionLost)));
    let order = watch_script::command(&it.uuids);
    assert_eq!(it.shell.watch(order.clone()).await.err(), Some(WatchEnd::NoConnection));
    list(&it.shell).await;
    it.watch = it.shell.watch(order).await;
    assert_eq!(it.world.vms.borrow().watches(), 1);
    it.shell.forget_connection();
    assert_eq!(it.next(1).await, Some(Err(WatchEnd::ConnectionLost)));
    it.watch = Err(WatchEnd::NoConnection);
    assert_eq!(it.world.vms.borrow().watches(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_helper_that_keeps_the_lock_keeps_the_line_back() {
    let world = World::new(VmKnobs::default());
    let (id, shell) = world.booted_vm("a").await;
    let helper = Helper::KeepsLock(Duration::from_secs(30));
    let job = Job { crash: Crash::BeforeRunning, helper, ..Job::default() };
    let uuid = world.locked_with(job).await;
    start(&shell, uuid).await.unwrap();
    let watch = shell.watch(watch_script::command(&[uuid])).await;
    let it = Watched { world, id, shell, uuids: [uuid; 2], watch };
    assert_eq!(it.next(25).await, None);
    assert_eq!(list(&it.shell).await, format!("{uuid} stale\n"), "only the list tells");
    assert_eq!(it.next(10).await, it.line(0));
}
