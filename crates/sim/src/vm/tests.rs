//! Tests of VMs and their processes, as a dispatcher uses them over SSH.

mod watch;

use dispatch_core::container::ContainerState;
use dispatch_core::id::ContainerUuid;
use dispatch_core::ports::{ArvadosApi, CloudDriver, ExecErrorKind, Executor, ExecutorFactory, Target};
use dispatch_core::secret::Secret;

use super::facts::Ending;
use super::knobs::{Crash, Helper, Job, OnTerm};
use super::*;
use crate::chance::Span;
use crate::cloud::knobs::CloudKnobs;
use crate::cloud::{FakeCloud, SimCloud};
use crate::controller::facts::Origin;
use crate::controller::faults::Fault;
use crate::controller::port::SimApi;
use crate::controller::state::ContainerSpec;
use crate::controller::{ROOT_TOKEN, Settings, Submission};
use crate::samples;

/// A controller, and VMs that the tests make themselves.
struct World {
    vms: Rc<RefCell<FakeVms>>,
    api: SimApi,
}

const SECRET: &str = "0123456789abcdef";

impl World {
    fn new(knobs: VmKnobs) -> Self {
        clock::begin();
        let arvados = Rc::new(RefCell::new(FakeArvados::new(1, Settings::default())));
        let api = SimApi::new(arvados.clone(), ROOT_TOKEN, Origin::Dispatcher, 1);
        Self { vms: Rc::new(RefCell::new(FakeVms::new(1, knobs, arvados))), api }
    }

    /// Makes a VM, and opens a shell on it.
    fn vm(&self, name: &str) -> (InstanceId, Rc<dyn Executor>) {
        let id = InstanceId::new(name).unwrap();
        let init = samples::order(&samples::instance_type("small", 2), "set", SECRET).init_command;
        self.vms.borrow_mut().make(id.clone(), samples::instance_type("small", 2), &init, clock::now());
        (id.clone(), self.shell(&target(name)))
    }

    fn shell(&self, target: &Target) -> Rc<dyn Executor> {
        SimExecutorFactory::new(self.vms.clone()).open(target.clone())
    }

    /// Makes a VM that has booted, and opens a shell on it.
    async fn booted_vm(&self, name: &str) -> (InstanceId, Rc<dyn Executor>) {
        let vm = self.vm(name);
        self.pass(60).await;
        vm
    }

    async fn pass(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        self.vms.borrow_mut().advance(clock::now());
    }

    /// A container that is locked by our token.
    async fn locked(&self, spec: ContainerSpec) -> ContainerUuid {
        let uuid = self.api.arvados().borrow_mut().submit(Submission::of(spec), clock::now());
        self.api.lock(uuid).await.unwrap();
        uuid
    }

    async fn locked_with(&self, job: Job) -> ContainerUuid {
        let uuid = self.locked(ContainerSpec::default()).await;
        self.vms.borrow_mut().knobs.job_of.insert(uuid, job);
        uuid
    }

    fn state(&self, uuid: ContainerUuid) -> ContainerState {
        self.api.arvados().borrow().container(uuid).unwrap().state
    }

    fn endings(&self) -> Vec<Ending> {
        let vms = self.vms.borrow();
        let ending = |entry: &facts::VmEntry| match entry.fact {
            VmFact::Ended { ending, .. } => Some(ending),
            _ => None,
        };
        vms.history().entries().iter().filter_map(ending).collect()
    }
}

fn target(name: &str) -> Target {
    Target {
        id: InstanceId::new(name).unwrap(),
        address: "127.0.0.1:22".to_owned(),
        user: "root".to_owned(),
        secret: Some(Secret::new(SECRET)),
        secret_path: "/var/run/arvados-instance-secret".to_owned(),
        secret_copy: None,
    }
}

async fn run(shell: &Rc<dyn Executor>, text: &str) -> Result<(i32, String), ExecErrorKind> {
    run_with(shell, text, "").await
}

async fn run_with(shell: &Rc<dyn Executor>, text: &str, stdin: &str) -> Result<(i32, String), ExecErrorKind> {
    let output = shell.run(samples::command(text, stdin)).await.map_err(|error| error.kind)?;
    Ok((output.status, String::from_utf8(output.stdout).unwrap()))
}

async fn start(shell: &Rc<dyn Executor>, uuid: ContainerUuid) -> Result<i32, ExecErrorKind> {
    let text = format!("crunch-run --detach --stdin-config '--runtime-engine=docker' '{uuid}'");
    run_with(shell, &text, r#"{"Env":{}}"#).await.map(|(status, _)| status)
}

async fn list(shell: &Rc<dyn Executor>) -> String {
    run(shell, "crunch-run --list").await.unwrap().1
}

// ---------------------------------------------------------------- booting and connecting

#[tokio::test(start_paused = true)]
async fn a_booting_vm_refuses_connections_then_lacks_its_secret_then_starts_then_is_ready() {
    let world = World::new(VmKnobs::default());
    let (_, shell) = world.vm("a");
    let probe = "systemctl is-system-running";
    assert_eq!(run(&shell, probe).await, Err(ExecErrorKind::Refused));
    world.pass(10).await;
    assert_eq!(run(&shell, probe).await, Err(ExecErrorKind::SecretUnreadable));
    world.pass(3).await;
    assert_eq!(run(&shell, probe).await, Ok((1, "starting\n".to_owned())));
    assert_eq!(run(&shell, "true").await.unwrap().0, 0);
    world.pass(10).await;
    assert_eq!(run(&shell, probe).await, Ok((0, "running\n".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn a_bad_image_never_boots() {
    let mut knobs = VmKnobs::default();
    knobs.bad_images.insert(samples::instance_type("small", 2).provider_type.clone());
    let world = World::new(knobs);
    let (_, shell) = world.booted_vm("a").await;
    world.pass(10_000).await;
    assert_eq!(run(&shell, "systemctl is-system-running").await.unwrap().0, 1);
}

#[tokio::test(start_paused = true)]
async fn an_sshd_may_be_bad_in_many_ways() {
    for (ssh, kind) in [
        (Ssh::Refused, ExecErrorKind::Refused),
        (Ssh::Hanging, ExecErrorKind::ConnectTimeout),
        (Ssh::NoEntry, ExecErrorKind::Authentication),
        (Ssh::Impostor, ExecErrorKind::Verification),
        (Ssh::CommandsHang, ExecErrorKind::CommandTimeout),
    ] {
        let world = World::new(VmKnobs::default());
        let (id, shell) = world.booted_vm("a").await;
        world.vms.borrow_mut().behaviour(&id).unwrap().ssh = ssh;
        let began = tokio::time::Instant::now();
        assert_eq!(run(&shell, "true").await, Err(kind));
        let slow = matches!(ssh, Ssh::Hanging | Ssh::CommandsHang);
        assert_eq!(began.elapsed() >= Duration::from_secs(30), slow, "{ssh:?}");
        assert!(world.vms.borrow().history().commands().is_empty());
        world.vms.borrow_mut().behaviour(&id).unwrap().ssh = Ssh::Fine;
        assert_eq!(run(&shell, "true").await.unwrap().0, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_secret_no_secret_and_an_empty_one_are_refused() {
    let world = World::new(VmKnobs::default());
    let (_, right) = world.booted_vm("a").await;
    for secret in [Some(Secret::new("wrong")), Some(Secret::new("")), None] {
        let shell = world.shell(&Target { secret, ..target("a") });
        assert_eq!(run(&shell, "true").await, Err(ExecErrorKind::Verification));
    }
    assert_eq!(run(&right, "true").await.unwrap().0, 0);
}

#[tokio::test(start_paused = true)]
async fn an_empty_secret_is_not_equal_to_an_empty_secret() {
    let world = World::new(VmKnobs::default());
    let small = samples::instance_type("small", 2);
    let init = samples::order(&small, "set", "").init_command;
    world.vms.borrow_mut().make(InstanceId::new("a").unwrap(), small, &init, clock::now());
    world.pass(60).await;
    let shell = world.shell(&Target { secret: Some(Secret::new("")), ..target("a") });
    assert_eq!(run(&shell, "true").await, Err(ExecErrorKind::Verification));
}

#[tokio::test(start_paused = true)]
async fn without_an_address_nothing_is_tried_and_a_new_target_is_used() {
    let world = World::new(VmKnobs::default());
    world.booted_vm("a").await;
    let shell = world.shell(&Target { address: String::new(), ..target("a") });
    assert_eq!(run(&shell, "true").await, Err(ExecErrorKind::NotReady));
    shell.retarget(target("a"));
    assert_eq!(run(&shell, "true").await.unwrap().0, 0);
}

// ---------------------------------------------------------------- the runner

#[tokio::test(start_paused = true)]
async fn a_runner_is_deployed_under_the_name_of_its_md5() {
    let world = World::new(VmKnobs { runner_missing_rate: 1.0, ..VmKnobs::default() });
    let (_, shell) = world.booted_vm("a").await;
    assert_eq!(run(&shell, "crunch-run --list").await.unwrap().0, 127);
    let path = "/tmp/d/crunch-run~900150983cd24fb0d6963f7d28e17f72";
    let install =
        format!("mkdir -p /tmp/d && cat >'{path}.1' && chmod 0755 '{path}.1' && mv -f '{path}.1' '{path}'");
    assert_eq!(run(&shell, &format!("md5sum '{path}'")).await.unwrap().0, 1);
    assert_eq!(run(&shell, &format!("'{path}' --list")).await.unwrap().0, 127);
    assert_eq!(run_with(&shell, &install, "half of it").await.unwrap().0, 1);
    assert_eq!(run_with(&shell, &install, "abc").await.unwrap().0, 0);
    let sum = run(&shell, &format!("md5sum '{path}'")).await.unwrap();
    assert_eq!(sum, (0, format!("900150983cd24fb0d6963f7d28e17f72  {path}\n")));
    assert_eq!(run(&shell, &format!("'{path}' --list")).await.unwrap().0, 0);
}

#[tokio::test(start_paused = true)]
async fn a_command_that_is_not_understood_is_recorded() {
    let world = World::new(VmKnobs::default());
    let (_, shell) = world.booted_vm("a").await;
    assert_eq!(run(&shell, "rm -rf /").await.unwrap().0, 127);
    let vms = world.vms.borrow();
    assert!(
        matches!(&vms.history().entries()[1].fact, VmFact::NotUnderstood { shell, .. } if shell == "rm -rf /")
    );
}

// ---------------------------------------------------------------- processes

#[tokio::test(start_paused = true)]
async fn a_process_runs_its_container_to_complete() {
    let world = World::new(VmKnobs::default());
    let (_, shell) = world.booted_vm("a").await;
    let spec = ContainerSpec { command: vec!["sleep".to_owned(), "30".to_owned()], ..Default::default() };
    let uuid = world.locked(spec).await;
    assert_eq!(start(&shell, uuid).await, Ok(0));
    assert_eq!(list(&shell).await, format!("{uuid}\n"));
    world.pass(3).await;
    assert_eq!(world.state(uuid), ContainerState::Running);
    world.pass(30).await;
    assert_eq!(world.state(uuid), ContainerState::Complete);
    assert_eq!(list(&shell).await, "");
    assert_eq!(world.endings(), [Ending::Completed]);
}

#[tokio::test(start_paused = true)]
async fn exit_statuses_are_reported() {
    let world = World::new(VmKnobs::default());
    let (_, shell) = world.booted_vm("a").await;
    let spec = ContainerSpec { command: vec!["exit".to_owned(), "3".to_owned()], ..Default::default() };
    let uuid = world.locked(spec).await;
    start(&shell, uuid).await.unwrap();
    world.pass(60).await;
    assert_eq!(world.api.arvados().borrow().container(uuid).unwrap().exit_code, Some(3));
}

#[tokio::test(start_paused = true)]
async fn a_process_that_is_still_detaching_is_not_listed_but_lives() {
    let world = World::new(VmKnobs { detach: Span::seconds(10), ..VmKnobs::default() });
    let (_, shell) = world.booted_vm("a").await;
    let uuid = world.locked(ContainerSpec::default()).await;
    let looking = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let listed = list(&shell).await;
        (listed, world.vms.borrow().history().live(uuid))
    };
    let (status, (listed, live)) = tokio::join!(start(&shell, uuid), looking);
    assert_eq!((status, listed.as_str(), live), (Ok(0), "", 1));
}

#[tokio::test(start_paused = true)]
async fn a_start_that_takes_longer_than_its_deadline_has_started_all_the_same() {
    let world = World::new(VmKnobs { detach: Span::seconds(45), ..VmKnobs::default() });
    let (_, shell) = world.booted_vm("a").await;
    let uuid = world.locked(ContainerSpec::default()).await;
    assert_eq!(start(&shell, uuid).await, Err(ExecErrorKind::CommandTimeout));
    assert_eq!(world.vms.borrow().history().commands()[&CommandKind::Start], 1);
    world.vms.borrow_mut().advance(clock::now());
    assert_eq!(world.state(uuid), ContainerState::Complete);
}

#[tokio::test(start_paused = true)]
async fn a_process_is_started_once_on_one_vm_and_twice_on_two() {
    let world = World::new(VmKnobs::default());
    let (_, shell) = world.booted_vm("a").await;
    let (_, elsewhere) = world.booted_vm("b").await;
    let uuid = world.locked_with(Job { lasts: Duration::from_secs(600), ..Job::default() }).await;
    assert_eq!(start(&shell, uuid).await, Ok(0));
    assert_eq!(start(&shell, uuid).await, Ok(1));
    assert_eq!(world.vms.borrow().history().most_live(), 1);
    assert_eq!(start(&elsewhere, uuid).await, Ok(0));
    assert_eq!(world.vms.borrow().history().most_live(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_kill_ends_a_process_and_cancels_its_container() {
    let world = World::new(VmKnobs::default());
    let (_, shell) = world.booted_vm("a").await;
    let uuid = world.locked_with(Job { lasts: Duration::from_secs(600), ..Job::default() }).await;
    start(&shell, uuid).await.unwrap();
    world.pass(5).await;
    let kill = format!("crunch-run --kill 15 {uuid}");
    assert_eq!(run(&shell, &kill).await.unwrap().0, 0);
    assert_eq!((world.state(uuid), list(&shell).await.as_str()), (ContainerState::Cancelled, ""));
    assert_eq!(run(&shell, &kill).await.unwrap().0, 0);
    assert_eq!(world.endings(), [Ending::Terminated]);
}

#[tokio::test(start_paused = true)]
async fn a_process_may_take_long_to_end_or_ignore_the_signal() {
    let world = World::new(VmKnobs::default());
    let (_, shell) = world.booted_vm("a").await;
    let long = Duration::from_secs(600);
    let slow = OnTerm::EndsAfter(Duration::from_secs(20));
    let slow = world.locked_with(Job { lasts: long, on_term: slow, ..Job::default() }).await;
    let deaf = world.locked_with(Job { lasts: long, on_term: OnTerm::Ignores, ..Job::default() }).await;
    for uuid in [slow, deaf] {
        start(&shell, uuid).await.unwrap();
        let began = tokio::time::Instant::now();
        assert_eq!(run(&shell, &format!("crunch-run --kill 15 {uuid}")).await.unwrap().0, 1);
        assert!(began.elapsed() >= Duration::from_secs(1));
    }
    world.pass(30).await;
    assert_eq!((world.state(slow), world.state(deaf)), (ContainerState::Cancelled, ContainerState::Running));
    assert_eq!(list(&shell).await, format!("{deaf}\n"));
}

#[tokio::test(start_paused = true)]
async fn a_requeued_container_is_not_cancelled_by_its_old_process() {
    let world = World::new(VmKnobs::default());
    let (_, shell) = world.booted_vm("a").await;
    let uuid = world.locked_with(Job { running_after: Duration::from_secs(60), ..Job::default() }).await;
    start(&shell, uuid).await.unwrap();
    world.api.unlock(uuid).await.unwrap();
    run(&shell, &format!("crunch-run --kill 15 {uuid}")).await.unwrap();
    world.pass(10).await;
    assert_eq!(world.state(uuid), ContainerState::Queued);
}

#[tokio::test(start_paused = true)]
async fn a_crash_leaves_the_record_as_it_was_and_perhaps_a_stale_lock() {
    for (crash, left) in
        [(Crash::BeforeRunning, ContainerState::Locked), (Crash::WhileRunning, ContainerState::Running)]
    {
        let world = World::new(VmKnobs::default());
        let (_, shell) = world.booted_vm("a").await;
        let helper = Helper::KeepsLock(Duration::from_secs(60));
        let uuid = world.locked_with(Job { crash, helper, ..Job::default() }).await;
        start(&shell, uuid).await.unwrap();
        world.pass(10).await;
        assert_eq!((world.state(uuid), world.endings()), (left, vec![Ending::Crashed]));
        assert_eq!(list(&shell).await, format!("{uuid} stale\n"));
        assert_eq!(start(&shell, uuid).await, Ok(1));
        world.pass(60).await;
        assert_eq!(list(&shell).await, "");
    }
}

#[tokio::test(start_paused = true)]
async fn a_helper_may_keep_its_lock_for_ever() {
    let world = World::new(VmKnobs::default());
    let (_, shell) = world.booted_vm("a").await;
    let job = Job { crash: Crash::BeforeRunning, helper: Helper::KeepsLockForEver, ..Job::default() };
    let uuid = world.locked_with(job).await;
    start(&shell, uuid).await.unwrap();
    world.pass(100_000).await;
    assert_eq!(list(&shell).await, format!("{uuid} stale\n"));
}

#[tokio::test(start_paused = true)]
async fn a_process_repeats_a_call_that_is_not_answered() {
    let world = World::new(VmKnobs::default());
    let (_, shell) = world.booted_vm("a").await;
    let uuid = world.locked(ContainerSpec::default()).await;
    start(&shell, uuid).await.unwrap();
    let minute = Duration::from_secs(60);
    world.api.arvados().borrow_mut().faults.strike_all(Fault::Overloaded, clock::now(), minute);
    world.pass(50).await;
    assert_eq!(world.state(uuid), ContainerState::Locked);
    world.pass(120).await;
    assert_eq!(world.state(uuid), ContainerState::Complete);
}

#[tokio::test(start_paused = true)]
async fn a_process_whose_container_was_cancelled_meanwhile_ends() {
    let world = World::new(VmKnobs::default());
    let (_, shell) = world.booted_vm("a").await;
    let uuid = world.locked(ContainerSpec::default()).await;
    start(&shell, uuid).await.unwrap();
    world.api.cancel(uuid, None).await.unwrap();
    world.pass(10).await;
    assert_eq!((world.state(uuid), world.endings()), (ContainerState::Cancelled, vec![Ending::Rejected]));
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_waits_for_its_children() {
    let world = World::new(VmKnobs::default());
    let (_, shell) = world.booted_vm("a").await;
    let children = vec![Submission::of(ContainerSpec::default()); 2];
    let supervisor = world.locked_with(Job { children, ..Job::default() }).await;
    start(&shell, supervisor).await.unwrap();
    world.pass(60).await;
    assert_eq!(world.state(supervisor), ContainerState::Running);
    let uuids: Vec<_> = world.api.arvados().borrow().containers().map(|it| it.uuid).collect();
    assert_eq!(uuids.len(), 3);
    for child in uuids.into_iter().filter(|uuid| *uuid != supervisor) {
        world.api.lock(child).await.unwrap();
        start(&shell, child).await.unwrap();
    }
    world.pass(60).await;
    assert!(world.api.arvados().borrow().all_final());
    assert_eq!(world.state(supervisor), ContainerState::Complete);
}

#[tokio::test(start_paused = true)]
async fn a_broken_vm_and_a_full_disk_are_reported() {
    let world = World::new(VmKnobs { broken_rate: 1.0, full_disk_rate: 1.0, ..VmKnobs::default() });
    let (_, shell) = world.booted_vm("a").await;
    let uuid = world.locked(ContainerSpec::default()).await;
    assert_eq!(list(&shell).await, "broken\n");
    assert_eq!(start(&shell, uuid).await, Ok(1));
    assert_eq!(world.vms.borrow().history().all_live(), 0);
}

// ---------------------------------------------------------------- connections

#[tokio::test(start_paused = true)]
async fn a_command_may_be_cut_before_or_after_it_ran_or_hang() {
    for (fault, kind, ran) in [
        (CommandFault::CutBefore, ExecErrorKind::ConnectionLost, false),
        (CommandFault::CutAfter, ExecErrorKind::ConnectionLost, true),
        (CommandFault::Hang, ExecErrorKind::CommandTimeout, false),
    ] {
        let world = World::new(VmKnobs::default());
        let (_, shell) = world.booted_vm("a").await;
        let uuid = world.locked(ContainerSpec::default()).await;
        world.vms.borrow_mut().strike_next(CommandKind::Start, fault);
        assert_eq!(start(&shell, uuid).await, Err(kind));
        assert_eq!(world.vms.borrow().history().commands().contains_key(&CommandKind::Start), ran);
        assert_eq!(run(&shell, "true").await.unwrap().0, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_vm_that_dies_takes_its_processes_and_connections_with_it() {
    let world = World::new(VmKnobs::default());
    let (id, shell) = world.booted_vm("a").await;
    let uuid = world.locked_with(Job { lasts: Duration::from_secs(600), ..Job::default() }).await;
    start(&shell, uuid).await.unwrap();
    world.pass(5).await;
    let dies = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        world.vms.borrow_mut().end(&id, clock::now());
    };
    tokio::join!(shell.broken(), dies);
    assert_eq!((world.state(uuid), world.endings()), (ContainerState::Running, vec![Ending::VmGone]));
    assert_eq!(run(&shell, "true").await, Err(ExecErrorKind::ConnectTimeout));
}

#[tokio::test(start_paused = true)]
async fn our_own_networks_outage_hangs_commands_breaks_connections_and_passes() {
    let world = World::new(VmKnobs::default());
    let (_, shell) = world.booted_vm("a").await;
    let uuid = world.locked_with(Job { lasts: Duration::from_secs(60), ..Job::default() }).await;
    start(&shell, uuid).await.unwrap();
    let until = after(clock::now(), Duration::from_secs(300));
    world.vms.borrow_mut().cut_network(clock::now(), until);
    assert_eq!(run(&shell, "true").await, Err(ExecErrorKind::CommandTimeout));
    assert_eq!(run(&shell, "true").await, Err(ExecErrorKind::ConnectTimeout));
    world.pass(300).await;
    assert_eq!(run(&shell, "true").await.unwrap().0, 0);
    assert_eq!(world.state(uuid), ContainerState::Complete);
}

/// As when a router between has forgotten it.
#[tokio::test(start_paused = true)]
async fn a_connection_may_break_without_a_word_until_another_is_opened() {
    let world = World::new(VmKnobs { silent_break_rate: 1.0, ..VmKnobs::default() });
    let (id, shell) = world.booted_vm("a").await;
    run(&shell, "true").await.unwrap();
    world.vms.borrow_mut().cut_connection(&id);
    assert_eq!(run(&shell, "true").await, Err(ExecErrorKind::CommandTimeout));
    assert_eq!(run(&shell, "true").await.unwrap().0, 0);
    world.vms.borrow_mut().cut_connection(&id);
    shell.forget_connection();
    assert_eq!(run(&shell, "true").await.unwrap().0, 0);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_found_dead_in_a_long_outage() {
    let world = World::new(VmKnobs::default());
    let (_, shell) = world.booted_vm("a").await;
    run(&shell, "true").await.unwrap();
    let began = tokio::time::Instant::now();
    world.vms.borrow_mut().cut_network(clock::now(), Timestamp::MAX);
    tokio::join!(shell.broken(), world.pass(100));
    assert!(began.elapsed() >= KEEPALIVE);
}

#[tokio::test(start_paused = true)]
async fn a_vm_may_turn_bad_in_the_course_of_its_life_and_recover() {
    let knobs = VmKnobs {
        ssh_rates: vec![(Ssh::Refused, 1.0)],
        ssh_bad_for: Some(Span::seconds(30)),
        breaks_rate: 1.0,
        disk_fills_rate: 1.0,
        turns_after: Span::seconds(100),
        ..VmKnobs::default()
    };
    let world = World::new(knobs);
    let (_, shell) = world.booted_vm("a").await;
    assert_eq!(list(&shell).await, "");
    world.pass(50).await;
    assert_eq!(run(&shell, "true").await, Err(ExecErrorKind::Refused));
    world.pass(30).await;
    assert_eq!(list(&shell).await, "broken\n");
    let uuid = world.locked(ContainerSpec::default()).await;
    assert_eq!(start(&shell, uuid).await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn when_faults_stop_nothing_new_goes_wrong() {
    let world = World::new(VmKnobs {
        dies_rate: 1.0,
        hang_rate: 1.0,
        never_boots_rate: 1.0,
        breaks_rate: 1.0,
        ssh_rates: vec![(Ssh::Hanging, 1.0)],
        ..VmKnobs::default()
    });
    let (id, shell) = world.vm("a");
    world.vms.borrow_mut().cut_network(clock::now(), Timestamp::MAX);
    world.pass(15).await;
    world.vms.borrow_mut().stop_faults(clock::now());
    assert_eq!(run(&shell, "true").await.unwrap().0, 0);
    world.pass(100_000).await;
    assert!(world.vms.borrow().host(&id).is_some());
    assert_eq!(list(&shell).await, "");
    let (_, next) = world.booted_vm("b").await;
    assert_eq!(run(&next, "systemctl is-system-running").await.unwrap().0, 0);
}

// ---------------------------------------------------------------- the whole world

/// A dispatcher of a few lines: it runs one container on one VM, and nothing goes wrong.
async fn one_container_from_submission_to_the_vms_end(seed: u64) -> String {
    clock::begin();
    let arvados = Rc::new(RefCell::new(FakeArvados::new(seed, Settings::default())));
    let knobs = VmKnobs { boots_after: Span::between_millis(15_000, 60_000), ..VmKnobs::default() };
    let vms = Rc::new(RefCell::new(FakeVms::new(seed, knobs, arvados.clone())));
    let cloud = FakeCloud::new(seed, CloudKnobs::default(), Some(vms.clone()));
    let cloud = SimCloud::new(Rc::new(RefCell::new(cloud)));
    let api = SimApi::new(arvados.clone(), ROOT_TOKEN, Origin::Dispatcher, seed);
    let uuid = arvados.borrow_mut().submit(Submission::of(ContainerSpec::default()), clock::now());
    let story = async {
        let order = samples::order(&samples::instance_type("small", 2), "set", SECRET);
        let id = cloud.create(&order).await.unwrap().id;
        api.lock(uuid).await.unwrap();
        let shell = SimExecutorFactory::new(vms.clone()).open(target(id.as_str()));
        while run(&shell, "systemctl is-system-running").await.map(|(status, _)| status) != Ok(0) {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        start(&shell, uuid).await.unwrap();
        while !api.get(uuid).await.unwrap().state.is_final() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        cloud.destroy(&id).await.unwrap();
        while !cloud.list(&Default::default()).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let pump = std::pin::pin!(pump(vms.clone()));
    futures_util::future::select(std::pin::pin!(story), pump).await;
    assert_eq!(arvados.borrow().container(uuid).unwrap().state, ContainerState::Complete);
    assert_eq!(vms.borrow().hosts().count(), 0);
    let (arvados, vms, cloud) = (arvados.borrow(), vms.borrow(), cloud.cloud().borrow());
    format!("{:?}\n{:?}\n{:?}", arvados.history().entries(), vms.history().entries(), cloud.history())
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_history_byte_for_byte() {
    let first = one_container_from_submission_to_the_vms_end(7).await;
    tokio::time::sleep(Duration::from_millis(12_345)).await;
    assert_eq!(one_container_from_submission_to_the_vms_end(7).await, first);
    assert_ne!(one_container_from_submission_to_the_vms_end(8).await, first);
}

#[path = "lasting_tests.rs"]
mod lasting_tests;
