//! Worker on a VM of a few answers. Whoever plays Pool grants each probe when it is wished for.

mod boot;
mod watch;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use actix::{Actor, Addr};
use dispatch_core::instance::IdleBehavior;
use dispatch_core::ports::{CloudError, CloudErrorKind, ExecErrorKind};
use dispatch_core::worker::{AttemptOutcome, KillReason, Renewal, ShutdownReason, StartOrder, State};

use super::*;
use crate::catalogue;
use crate::messages::cloud::DestroyAnswer;
use crate::testing::{
    Executors, FakeVms, Lines, Meter, NoSecrets, Odd, Stub, cloud_error, id, instance, pass, pass_millis,
    pause, policy, seconds, shared, uuid,
};

/// Pool, as far as a worker knows it: notes every view, and grants probes as soon as they are due.
#[derive(Default)]
struct Ear {
    worker: Rc<RefCell<Option<Addr<Worker>>>>,
    number: Rc<Cell<u64>>,
    told: Rc<RefCell<Vec<WorkerChanged>>>,
    refused: Rc<RefCell<Vec<StartRefused>>>,
    probe: Option<SpawnHandle>,
}

impl Actor for Ear {
    type Context = Context<Self>;
}

impl Handler<WorkerChanged> for Ear {
    type Result = ();

    fn handle(&mut self, message: WorkerChanged, ctx: &mut Context<Self>) {
        if let Some(old) = self.probe.take() {
            ctx.cancel_future(old);
        }
        if let Some((at, _)) = message.view.next_probe {
            self.probe = Some(ctx.run_later(since(at, clock::now()), |act, _| {
                act.number.set(act.number.get() + 1);
                let probe = command(act.number.get(), Command::Probe);
                act.worker.borrow().as_ref().unwrap().do_send(probe);
            }));
        }
        self.told.borrow_mut().push(message);
    }
}

impl Handler<StartRefused> for Ear {
    type Result = ();

    fn handle(&mut self, message: StartRefused, _: &mut Context<Self>) {
        self.refused.borrow_mut().push(message);
    }
}

fn command(number: u64, command: Command) -> WorkerCommand {
    WorkerCommand { number, sent: clock::now(), command }
}

type CloudAnswers = Rc<RefCell<Vec<Result<(), CloudError>>>>;

struct Site {
    vms: Rc<FakeVms>,
    worker: Addr<Worker>,
    number: Rc<Cell<u64>>,
    told: Rc<RefCell<Vec<WorkerChanged>>>,
    refused: Rc<RefCell<Vec<StartRefused>>>,
    destroys: Stub<DestroyInstance>,
    tags: Stub<SetTags>,
    /// The next answers to SetTags and Destroy; then all is well.
    cloud: CloudAnswers,
    meter: Meter,
    lines: Lines,
}

fn site_of(instance: Instance, ours: bool) -> Site {
    pause();
    let (log, lines) = Lines::new();
    let (vms, meter, cloud) = (Rc::new(FakeVms::default()), Meter::new(), CloudAnswers::default());
    let (for_destroy, for_tags) = (Rc::clone(&cloud), Rc::clone(&cloud));
    let destroys = Stub::new(move |_| {
        let outcome = for_destroy.borrow_mut().pop().unwrap_or(Ok(()));
        std::future::ready(Some(DestroyAnswer { sent: clock::now(), outcome }))
    });
    let tags = Stub::new(move |_| {
        let answer = for_tags.borrow_mut().pop().unwrap_or(Ok(()));
        async move {
            pass_millis(100).await;
            answer
        }
    });
    let policy = shared(policy());
    let commands = Arc::new(Commands::new(policy.runner.clone(), None));
    let parts = WorkerParts {
        repeats: Rc::default(),
        executors: Rc::new(Executors(Rc::clone(&vms))),
        start_config: Rc::new(NoSecrets),
        remote_user: "crunch".to_owned(),
        fence: crate::testing::fence(),
        secret_path: "/secret".to_owned(),
        destroy: destroys.recipient.clone(),
        set_tags: tags.recipient.clone(),
        metrics: Rc::clone(&meter.metrics),
        log,
    };
    let ear = Ear::default();
    let (slot, number) = (Rc::clone(&ear.worker), Rc::clone(&ear.number));
    let (told, refused) = (Rc::clone(&ear.told), Rc::clone(&ear.refused));
    let ear = ear.start();
    let listeners = WorkerListeners { changed: ear.clone().recipient(), refused: ear.recipient() };
    let new = NewWorker { instance, ours, commands, policy, listeners };
    let worker = Worker::new(new, parts).start();
    slot.replace(Some(worker.clone()));
    Site { vms, worker, number, told, refused, destroys, tags, cloud, meter, lines }
}

fn booting() -> Site {
    site_of(instance("vm"), true)
}

async fn in_service() -> Site {
    let site = booting();
    pass(1).await;
    assert_eq!(site.view().state, State::Idle);
    site.vms.commands.take();
    site.lines.take();
    site
}

impl Site {
    fn view(&self) -> Arc<View> {
        Arc::clone(&self.told.borrow().last().unwrap().view)
    }

    fn next(&self) -> u64 {
        self.number.set(self.number.get() + 1);
        self.number.get()
    }

    async fn tell(&self, what: Command) {
        self.worker.send(command(self.next(), what)).await.unwrap();
    }

    async fn start(&self, n: usize) {
        let created_at = Some(crate::testing::epoch());
        self.tell(Command::Start(StartOrder {
            uuid: uuid(n),
            priority: 7,
            created_at,
            locked_at: created_at,
            failed_elsewhere: false,
        }))
        .await;
        self.breathe().await;
    }

    async fn kill(&self, n: usize, reason: KillReason) {
        self.tell(Command::Kill(uuid(n), reason)).await;
        self.breathe().await;
    }

    async fn behave(&self, behavior: IdleBehavior) {
        self.tell(Command::SetIdleBehavior(behavior, None)).await;
        self.breathe().await;
    }

    /// Everybody does what can be done without time.
    async fn breathe(&self) {
        pass_millis(5).await;
    }

    fn ended(&self) -> Vec<ContainerUuid> {
        self.told.borrow().iter().flat_map(|told| told.ended.clone()).collect()
    }

    fn boots(&self) -> Vec<BootOutcome> {
        self.told.borrow().iter().filter_map(|told| told.boot).collect()
    }
}

// ------------------------------------------------------------------ boot, probes

#[actix::test]
async fn a_new_vm_boots_and_comes_into_service_once() {
    let site = booting();
    site.vms.still_booting.set(true);
    pass(25).await;
    assert_eq!(site.view().state, State::Booting);
    site.vms.still_booting.set(false);
    pass(50).await;
    assert_eq!(site.view().state, State::Idle);
    assert_eq!(site.boots(), [BootOutcome::Success]);
    assert_eq!(site.meter.value("boot_outcomes{outcome=\"success\"}"), Some(1.0));
    assert_eq!(site.meter.value("instances_time_to_ssh_seconds_count"), Some(1.0));
    assert_eq!(site.meter.value("instances_time_to_ready_for_container_seconds_count"), Some(1.0));
    let ready = site.meter.value("instances_time_to_ready_for_container_seconds_sum").unwrap();
    assert!((29.0..31.0).contains(&ready), "from the first connection on: {ready}");
    let messages = site.lines.messages();
    let told = |message: &str| messages.iter().filter(|it| *it == message).count();
    assert_eq!(told("boot probe succeeded"), 1);
    assert_eq!(told("probes succeeded, instance is in service"), 1);
    assert_eq!(told("not booted yet"), 3);
}

#[actix::test]
async fn a_vm_found_with_processes_runs_them() {
    let site = site_of(instance("vm"), false);
    site.vms.run(&id("vm"), uuid(1));
    pass(1).await;
    assert_eq!(site.view().state, State::Running);
    assert_eq!(site.view().processes[0].uuid, uuid(1));
    assert!(site.lines.messages().contains(&"crunch-run process detected".to_owned()));
    assert_eq!(site.boots(), [], "its boot was none of ours");
    assert_eq!(site.meter.value("instances_time_to_ready_for_container_seconds_count"), Some(0.0));
}

#[actix::test]
async fn it_is_probed_once_an_interval_and_tells_each_command_it_has_seen() {
    let site = in_service().await;
    pass(40).await;
    assert_eq!(site.vms.take_times("list").len(), 4);
    assert_eq!(site.told.borrow().last().unwrap().applied, site.number.get());
    let failed = site.meter.value("instances_run_probe_duration_seconds_count{outcome=\"fail\"}");
    assert_eq!(failed, Some(0.0));
}

#[actix::test]
async fn an_idle_worker_tells_two_views_a_probe_and_no_more() {
    let idle = in_service().await;
    idle.told.take();
    pass(30).await;
    // Granted, and finished: the time of the last success is news to the pacer and to operators.
    assert_eq!(idle.told.take().len(), 6);
    idle.worker.send(UseRunner { commands: Arc::new(Commands::new(policy().runner, None)) }).await.unwrap();
    idle.breathe().await;
    assert_eq!(idle.told.take().len(), 0);
}

#[actix::test]
async fn a_failing_probe_is_logged_once_a_minute_and_counted() {
    let site = in_service().await;
    site.vms.odd("list", 5, Odd::Fails(ExecErrorKind::Refused));
    pass(58).await;
    let messages = site.lines.messages();
    assert_eq!(messages.iter().filter(|it| *it == "probe failed").count(), 1, "{messages:?}");
    let failed = site.meter.value("instances_run_probe_duration_seconds_count{outcome=\"fail\"}");
    assert_eq!(failed, Some(5.0));
}

#[actix::test]
async fn a_hung_command_does_not_end_the_probes() {
    let site = in_service().await;
    site.vms.odd("list", 1, Odd::Hangs);
    site.tell(Command::SetIdleBehavior(IdleBehavior::Hold, None)).await;
    pass(200).await;
    let lists = site.vms.take_times("list");
    // The list's 30 s and two minutes' grace, and on it goes.
    assert!(lists.len() > 3 && lists[1] - lists[0] > 149.0, "{lists:?}");
}

#[actix::test]
async fn silence_is_shown_when_a_probe_after_the_deadline_has_failed() {
    let site = in_service().await;
    site.vms.odd("list", 70, Odd::Fails(ExecErrorKind::Refused));
    site.behave(IdleBehavior::Hold).await;
    pass(590).await;
    assert_eq!(site.view().silence, None);
    pass(30).await;
    assert!(site.view().silence.is_some());
    assert_eq!(site.destroys.count(), 0, "that is for Pool to decide");
}

/// Its containers wait until it answers or the operator gives it up.
#[actix::test]
async fn a_worker_on_hold_that_never_answers_is_told_as_an_error_every_minute() {
    let mut held = instance("vm");
    held.tags.insert(&*policy().tag_keys.idle_behavior, "hold");
    let site = site_of(held, false);
    for kind in ["boot", "list"] {
        site.vms.odd(kind, 1000, Odd::Fails(ExecErrorKind::Refused));
    }
    let errors = || {
        let mut told = site.lines.take();
        told.retain(|line| line.message == "instance on hold does not answer");
        assert!(told.iter().all(|line| line.level == slog::Level::Error));
        told.len()
    };
    pass(599).await;
    assert_eq!(errors(), 0);
    pass(150).await;
    assert_eq!(errors(), 3);
}

#[actix::test]
async fn a_broken_connection_is_a_reason_to_probe_and_flapping_is_not() {
    let site = in_service().await;
    pass(2).await;
    site.vms.commands.take();
    site.vms.broken.notify_waiters();
    site.breathe().await;
    assert_eq!(site.vms.take_times("list").len(), 1);
    for _ in 0..20 {
        site.vms.broken.notify_waiters();
        pass_millis(100).await;
    }
    assert_eq!(site.vms.take_times("list").len(), 0);
    assert!(site.lines.messages().contains(&"connection lost".to_owned()));
}

#[actix::test]
async fn a_connection_that_is_always_broken_costs_no_more_than_two_probes_an_interval() {
    let site = in_service().await;
    site.vms.always_broken.set(true);
    site.vms.broken.notify_waiters();
    pass(100).await;
    let lists = site.vms.take_times("list").len();
    assert!(lists <= 22, "{lists}");
}

// ------------------------------------------------------------------ starts

#[actix::test]
async fn a_container_is_started_runs_and_ends() {
    let site = in_service().await;
    site.vms.takes.set(Duration::from_millis(500));
    site.start(1).await;
    assert_eq!(site.view().state, State::Running);
    assert!(site.view().processes[0].unconfirmed);
    pass(1).await;
    assert!(!site.view().processes[0].unconfirmed);
    assert_eq!(site.meter.value("containers_time_from_queue_to_crunch_run_seconds_count"), Some(1.0));
    assert_eq!(site.meter.value("containers_time_from_lock_to_crunch_run_seconds_count"), Some(1.0));
    site.vms.end(uuid(1));
    pass(12).await;
    assert_eq!((site.view().state, site.ended()), (State::Idle, vec![uuid(1)]));
    let messages = site.lines.messages();
    let life = ["starting container", "crunch-run process started", "crunch-run process ended"];
    let told: Vec<_> = messages.iter().filter(|it| life.contains(&it.as_str())).collect();
    assert_eq!(told, life);
}

#[actix::test]
async fn a_failed_start_is_told_and_the_next_probe_tells_what_is_there() {
    let site = in_service().await;
    site.vms.odd("start", 1, Odd::Exits(1));
    site.start(1).await;
    pass(1).await;
    let kinds = site.vms.take_kinds();
    assert_eq!(kinds, ["start", "journal", "list"], "it has said nothing, and it is probed at once");
    assert_eq!(site.ended(), [uuid(1)]);
    assert!(site.lines.messages().contains(&"error starting crunch-run process".to_owned()));
}

#[actix::test]
async fn an_unanswered_start_may_have_taken_effect_and_is_not_repeated() {
    let site = in_service().await;
    site.vms.odd("start", 1, Odd::Unanswered);
    site.start(1).await;
    pass(120).await;
    let kinds = site.vms.take_kinds();
    assert_eq!(kinds.iter().filter(|kind| **kind == "start").count(), 1);
    assert_eq!((site.view().processes.len(), site.ended()), (1, vec![]));
    assert!(!site.view().processes[0].unconfirmed);
}

#[actix::test]
async fn an_unanswered_start_that_came_to_nothing_ends_after_its_deadline() {
    let site = in_service().await;
    site.vms.odd("start", 1, Odd::Fails(ExecErrorKind::ConnectionLost));
    site.start(1).await;
    pass(55).await;
    assert_eq!(site.view().processes.len(), 1, "it may still be under way");
    pass(20).await;
    assert_eq!(site.ended(), [uuid(1)]);
}

#[actix::test]
async fn a_start_is_refused_with_its_number_by_a_worker_that_takes_none() {
    let site = in_service().await;
    site.behave(IdleBehavior::Hold).await;
    site.start(1).await;
    let number = site.number.get();
    let refused = site.refused.borrow_mut().pop().unwrap();
    assert_eq!((refused.uuid, refused.number), (uuid(1), number));
    assert_eq!(site.told.borrow().last().unwrap().applied, number, "its view was told first");
    assert_eq!(site.vms.take_times("start").len(), 0);
}

// ------------------------------------------------------------------ kills

#[actix::test]
async fn a_process_is_killed_until_it_is_gone() {
    let site = in_service().await;
    site.start(1).await;
    site.vms.odd("kill", 2, Odd::Exits(1));
    site.vms.commands.take();
    site.kill(1, KillReason::PriorityZero).await;
    pass(12).await;
    let kills = site.vms.take_times("kill");
    assert_eq!(kills.len(), 3);
    assert!(kills.windows(2).all(|pair| (4.9..5.2).contains(&(pair[1] - pair[0]))), "{kills:?}");
    assert_eq!(site.ended(), [uuid(1)]);
    let messages = site.lines.messages();
    assert_eq!(messages.iter().filter(|it| *it == "killing crunch-run process").count(), 1);
    assert_eq!(messages.iter().filter(|it| *it == "sending signal").count(), 3);
}

#[actix::test]
async fn an_unkillable_process_is_given_up_and_the_worker_drained_and_shut_down() {
    let site = in_service().await;
    site.start(1).await;
    site.vms.odd("kill", 1000, Odd::Exits(1));
    site.kill(1, KillReason::PriorityZero).await;
    pass(130).await;
    assert_eq!(site.view().behavior, IdleBehavior::Drain);
    assert_eq!(site.view().state, State::Shutdown, "what was given up does not keep it");
    assert!(site.lines.messages().contains(&"unkillable container, draining worker".to_owned()));
}

#[actix::test]
async fn a_renewal_is_told_and_counted_and_what_runs_goes_on() {
    let site = in_service().await;
    site.start(1).await;
    site.lines.take();
    site.tell(Command::Renew(Renewal::Age)).await;
    site.breathe().await;
    assert_eq!((site.view().state, site.view().renewal), (State::Running, Some(Renewal::Age)));
    assert_eq!(site.lines.messages(), ["instance is being renewed", "set idle behavior"]);
    assert_eq!(site.meter.value("instance_renewals_total{reason=\"age\"}"), Some(1.0));
}

#[actix::test]
async fn a_final_record_has_its_process_watched_closely_before_it_is_signalled() {
    let site = in_service().await;
    site.start(1).await;
    site.vms.commands.take();
    site.kill(1, KillReason::Final(dispatch_core::container::ContainerState::Complete)).await;
    pass_millis(600).await;
    site.vms.end(uuid(1));
    pass(3).await;
    let kinds = site.vms.take_kinds();
    assert_eq!(kinds, ["list"; 3], "at once, after 0.5 s and after 1 s more");
    assert_eq!(site.ended(), [uuid(1)]);
}

// ------------------------------------------------------------------ shutdown

#[actix::test]
async fn an_idle_worker_is_shut_down_after_timeout_idle_and_destroyed_once() {
    let site = in_service().await;
    pass(62).await;
    assert_eq!((site.view().state, site.destroys.count()), (State::Shutdown, 1));
    assert!(site.view().destroy_acknowledged);
    site.vms.commands.take();
    pass(100).await;
    assert_eq!(site.vms.take_kinds(), [""; 0], "no probes any more");
    assert_eq!(site.destroys.count(), 0);
}

#[actix::test]
async fn a_destroy_is_repeated_while_the_instance_is_listed() {
    let site = in_service().await;
    site.cloud.borrow_mut().push(Err(cloud_error(CloudErrorKind::Other)));
    site.tell(Command::ShutDown(ShutdownReason::Operator("test".into()))).await;
    pass(5).await;
    assert_eq!(site.destroys.count(), 1);
    assert!(!site.view().destroy_acknowledged);
    site.tell(Command::StillListed(clock::now())).await;
    pass(6).await;
    assert_eq!(site.destroys.count(), 0, "not before TimeoutShutdown");
    site.tell(Command::StillListed(clock::now())).await;
    site.breathe().await;
    assert_eq!(site.destroys.count(), 1);
    assert!(site.view().destroy_acknowledged);
    let messages = site.lines.messages();
    for message in ["shutdown worker", "destroy failed", "worker still listed after shutdown; retrying"] {
        assert!(messages.contains(&message.to_owned()), "{message}: {messages:?}");
    }
}

#[actix::test]
async fn a_boot_that_is_stopped_is_counted_as_aborted_once() {
    let site = booting();
    site.vms.still_booting.set(true);
    pass(1).await;
    site.tell(Command::ShutDown(ShutdownReason::OverQuota)).await;
    site.breathe().await;
    site.worker.send(Stop).await.unwrap();
    site.breathe().await;
    let outcomes = ["success", "failure", "aborted", "disappeared"];
    let counts = outcomes.map(|it| site.meter.value(&format!("boot_outcomes{{outcome=\"{it}\"}}")).unwrap());
    assert_eq!(counts, [0.0, 0.0, 1.0, 0.0]);
}

#[actix::test]
async fn told_to_stop_it_ends_and_closes_its_executor() {
    let site = in_service().await;
    site.vms.odd("list", 1, Odd::Hangs);
    pass(10).await;
    assert_eq!(site.vms.open.get(), 1);
    site.worker.send(Stop).await.unwrap();
    site.breathe().await;
    assert!(!site.worker.connected());
    assert_eq!(site.vms.open.get(), 0, "even with a command in flight");
}

// ------------------------------------------------------------------ tags, address

#[actix::test]
async fn the_operators_wish_is_saved_as_a_tag() {
    let site = in_service().await;
    site.behave(IdleBehavior::Hold).await;
    pass(1).await;
    let [saved] = &site.tags.messages()[..] else { panic!() };
    assert_eq!(saved.tags.get("ArvadosIdleBehavior"), Some("hold"));
    assert_eq!(site.lines.messages(), ["set idle behavior"]);
}

#[actix::test]
async fn a_wish_that_changes_while_it_is_saved_is_saved_too() {
    let site = in_service().await;
    site.behave(IdleBehavior::Hold).await;
    site.behave(IdleBehavior::Run).await;
    pass(1).await;
    let saved: Vec<_> =
        site.tags.messages().iter().map(|it| it.tags.get("ArvadosIdleBehavior").map(str::to_owned)).collect();
    assert_eq!(saved, [Some("hold".to_owned()), Some("run".to_owned())]);
}

#[actix::test]
async fn tags_that_could_not_be_saved_are_saved_when_the_cloud_shows_others() {
    let site = in_service().await;
    site.cloud.borrow_mut().push(Err(cloud_error(CloudErrorKind::Other)));
    site.behave(IdleBehavior::Hold).await;
    pass(1).await;
    assert_eq!(site.tags.count(), 1);
    site.tell(Command::InstanceUpdated(instance("vm"))).await;
    site.breathe().await;
    assert_eq!(site.tags.count(), 1);
    assert!(site.lines.messages().contains(&"saving tags failed".to_owned()));
}

#[actix::test]
async fn a_new_address_is_used_at_once_and_shown_in_the_log() {
    let mut homeless = instance("vm");
    homeless.address = String::new();
    let site = site_of(homeless, true);
    pass(5).await;
    assert_eq!(site.view().state, State::Booting);
    site.tell(Command::InstanceUpdated(instance("vm"))).await;
    site.breathe().await;
    assert_eq!(site.view().state, State::Idle, "probed at once");
    assert_eq!(site.vms.targets.borrow().last().unwrap().address, "vm.example");
    let lines = site.lines.take();
    let line = lines.iter().find(|it| it.message.starts_with("probes succeeded")).unwrap();
    assert_eq!(line.facts["Address"], "vm.example");
    assert!(seconds(site.view().last_success.unwrap()) >= 5.0);
}

// ------------------------------------------------------------------ the state

#[actix::test]
async fn the_state_shows_processes_and_what_is_in_flight_without_secrets() {
    let mut carries = instance("vm");
    carries.tags.insert(&*policy().tag_keys.instance_secret, "s3cr3t");
    let site = site_of(carries, true);
    pass(1).await;
    site.vms.takes.set(Duration::from_millis(500));
    site.start(1).await;
    let state = site.worker.send(GetState).await.unwrap().into_json();
    assert_eq!((&state["id"], &state["state"]), (&"vm".into(), &"running".into()));
    let process = &state["processes"][uuid(1).as_str()];
    assert_eq!(process["phase"], "starting");
    assert!(process["since"].as_str().unwrap().starts_with("2030-01-01T00:00:01"), "{process}");
    assert!(!state.to_string().contains("s3cr3t"), "{state}");
}

#[actix::test]
async fn a_start_that_came_to_nothing_without_a_word_is_told_with_the_journals_last_lines() {
    let site = in_service().await;
    site.vms.journal.replace(format!("{} panic: \u{1b}[31mno such image\n{} of another\n", uuid(1), uuid(2)));
    let judged = |n, outcome| Command::StartJudged { uuid: uuid(n), outcome, failed_elsewhere: false };
    for n in [1, 3] {
        site.start(n).await;
        site.vms.end(uuid(n));
    }
    pass(15).await;
    assert_eq!(site.ended().len(), 2);
    site.vms.commands.take();
    site.tell(judged(1, AttemptOutcome::StillLocked)).await;
    site.tell(judged(3, AttemptOutcome::LeftLocked)).await;
    site.breathe().await;
    assert_eq!(site.vms.take_kinds(), ["journal"], "of the one that never ran");
    let lines = site.lines.take();
    let told: Vec<_> = lines.iter().filter(|it| it.message == catalogue::LAST_WORDS.message).collect();
    assert_eq!(told.len(), 1, "{lines:?}");
    assert_eq!(told[0].facts["ContainerUUID"], uuid(1).to_string());
    assert_eq!(told[0].facts["Journal"], format!("{} panic: \u{fffd}[31mno such image", uuid(1)));
}

#[actix::test]
async fn a_journal_that_cannot_be_read_is_no_news() {
    let site = in_service().await;
    site.vms.journal.replace("nobody reads this\n".to_owned());
    // As long as it runs something it is not shut down.
    site.start(9).await;
    for (n, odd) in [(1, Odd::Exits(127)), (2, Odd::Hangs)] {
        site.start(n).await;
        site.vms.end(uuid(n));
        pass(15).await;
        site.vms.commands.take();
        site.vms.odd("journal", 1, odd.clone());
        let outcome = AttemptOutcome::StillLocked;
        site.tell(Command::StartJudged { uuid: uuid(n), outcome, failed_elsewhere: false }).await;
        pass(200).await;
        assert_eq!(site.vms.take_times("journal").len(), 1, "{odd:?}");
        let told = site.lines.take();
        assert!(told.iter().all(|line| !line.level.is_at_least(slog::Level::Warning)), "{odd:?}: {told:?}");
        assert_eq!((site.view().behavior, site.view().silence), (IdleBehavior::Run, None), "{odd:?}");
    }
}
