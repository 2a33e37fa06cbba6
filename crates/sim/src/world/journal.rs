//! Records what happened, one line an event, in virtual time. A violation prints it, and a seed that is run
//! again must give the same bytes.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use dispatch_core::id::{ContainerUuid, InstanceId, TypeName};
use dispatch_core::instance::{IdleBehavior, InstanceType};
use dispatch_core::policy::Policy;
use dispatch_core::pool::CordonScope;
use dispatch_core::time::{Timestamp, since};
use slog::{Drain, Level, Logger, OwnedKVList, Record, o};

use super::World;
use crate::clock::{self, epoch};
use crate::cloud::CloudEntry;
use crate::cloud::knobs::CloudCall;
use crate::controller::facts::Fact;
use crate::vm::facts::VmFact;

/// What neither the controller nor the cloud nor a VM can know.
#[derive(Debug, Clone, PartialEq)]
pub enum Note {
    /// The dispatcher of that number has begun.
    Up(u64),
    /// The dispatcher of that number was killed.
    Down(u64),
    /// The dispatcher sent a call to the cloud.
    Sent(CloudCall),
    /// A call to the cloud was answered, or the dispatcher has given it up.
    Answered(CloudCall),
    /// The dispatcher sent a call to destroy that VM.
    DestroySent(InstanceId),
    /// The dispatcher sent a note for the tags of that VM which says that it is being renewed.
    RenewalSent(InstanceId),
    /// The dispatcher sent a start command.
    StartSent(InstanceId, ContainerUuid),
    /// The dispatcher handed over an action of that kind although its lock was not confirmed lately enough.
    ActedWithoutLease(&'static str),
    /// The dispatcher could not ask until now: it was stopped.
    CouldNotAsk,
    /// The dispatcher's own machine has failed from that moment until now.
    OwnSideFailed(Timestamp),
    /// The operator is about to ask for another idle behavior of a VM.
    OperatorAsks(InstanceId),
    /// The operator asked for this idle behavior of a VM, and the dispatcher accepted it.
    Operator(InstanceId, IdleBehavior),
    /// The dispatcher sent a create of that type.
    CreateSent(Arc<InstanceType>),
    /// Nothing of that scope may be created until then (`None`: until it is taken back), apart from as many creates as
    /// were under way.
    Cordoned {
        /// Of what nothing is created.
        scope: CordonScope,
        /// Until when.
        until: Option<Timestamp>,
        /// How many creates had been decided on.
        under_way: usize,
    },
    /// That type may be created again.
    Uncordoned(TypeName),
    /// The operator killed a VM.
    OperatorKills(InstanceId),
    /// The dispatcher has read its configuration anew: the one of before.
    Reloaded(Box<Policy>),
    /// From now on nothing new goes wrong.
    FaultsStop,
    /// Any other text.
    Text(String),
}

/// A line of the dispatcher's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When it was logged.
    pub at: Timestamp,
    /// Its level.
    pub level: Level,
    /// The message and its keys and values.
    pub text: String,
}

/// Notes and log lines, each in order of time.
#[derive(Default)]
pub struct Journal {
    notes: Vec<(Timestamp, Note)>,
    logs: Vec<Receiver<LogLine>>,
    lines: Vec<LogLine>,
}

impl Journal {
    /// Adds a note.
    pub(super) fn note(&mut self, at: Timestamp, note: Note) {
        self.notes.push((at, note));
    }

    /// All notes so far.
    pub fn notes(&self) -> &[(Timestamp, Note)] {
        &self.notes
    }

    /// All log lines so far.
    pub fn lines(&mut self) -> &[LogLine] {
        let Self { logs, lines, .. } = self;
        for log in logs {
            lines.extend(log.try_iter());
        }
        lines
    }

    /// How many log lines contain that text.
    pub fn logged(&mut self, text: &str) -> usize {
        self.lines().iter().filter(|line| line.text.contains(text)).count()
    }
}

/// A logger that writes lines of that level, and of more severe ones, to the journal.
pub(super) fn logger(journal: &Rc<RefCell<Journal>>, level: Option<Level>) -> Logger {
    let Some(level) = level else { return Logger::root(slog::Discard, o!()) };
    let (sender, receiver) = channel();
    journal.borrow_mut().logs.push(receiver);
    Logger::root(Tap { sender, level }.fuse(), o!())
}

struct Tap {
    sender: Sender<LogLine>,
    level: Level,
}

impl Drain for Tap {
    type Ok = ();
    type Err = slog::Never;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), slog::Never> {
        if !record.level().is_at_least(self.level) {
            return Ok(());
        }
        let mut facts = Facts(record.msg().to_string());
        // Writing into a string cannot fail.
        let _ = slog::KV::serialize(&record.kv(), record, &mut facts);
        let _ = slog::KV::serialize(values, record, &mut facts);
        // The world may have ended before the last line is logged.
        let _ = self.sender.send(LogLine { at: clock::now(), level: record.level(), text: facts.0 });
        Ok(())
    }
}

struct Facts(String);

impl slog::Serializer for Facts {
    fn emit_arguments(&mut self, key: slog::Key, value: &std::fmt::Arguments<'_>) -> slog::Result {
        let _ = write!(self.0, " {key}={value}");
        Ok(())
    }
}

/// Renders everything in order of time. What happened at the same time is sorted: the controller, the cloud,
/// VMs, notes, the log.
pub(super) fn render(world: &World) -> String {
    let mut lines: Vec<(Timestamp, String)> = Vec::new();
    for entry in world.arvados.borrow().history().entries() {
        lines.push((entry.at, format!("controller {}", of_controller(&entry.fact))));
    }
    for entry in world.cloud.borrow().history() {
        lines.extend(of_cloud(entry).map(|text| (entry.at, format!("cloud      {text}"))));
    }
    for entry in world.vms.borrow().history().entries() {
        lines.push((entry.at, format!("vm         {}", of_vm(&entry.fact))));
    }
    let mut journal = world.journal.borrow_mut();
    for (at, note) in journal.notes() {
        lines.extend(of_note(note).map(|text| (*at, format!("world      {text}"))));
    }
    for line in journal.lines() {
        lines.push((line.at, format!("log {:6} {}", line.level.as_short_str(), line.text)));
    }
    lines.sort_by_key(|(at, _)| *at);
    let mut text = String::new();
    for (at, line) in lines {
        let _ = writeln!(text, "{:12.3} {line}", since(at, epoch()).as_secs_f64());
    }
    text
}

fn of_controller(fact: &Fact) -> String {
    match fact {
        Fact::Submitted { uuid, attempt, .. } => format!("{uuid} submitted, attempt {attempt}"),
        Fact::Changed { uuid, from, to, call, origin, .. } => {
            format!("{uuid} {from:?} -> {to:?} by {origin:?} ({call:?})")
        }
        Fact::Prioritised { uuid, from, to } => format!("{uuid} priority {from} -> {to}"),
        Fact::Deleted { uuid } => format!("{uuid} deleted"),
        Fact::Refused { uuid, call, status, origin } => {
            format!("{uuid} {call:?} by {origin:?} refused: {status}")
        }
        Fact::Struck { call, fault } => format!("{call:?} struck by {fault:?}"),
    }
}

/// Leaves out listings that went well: they are most of the calls.
fn of_cloud(entry: &CloudEntry) -> Option<String> {
    let CloudEntry { call, vm, error, fault, existing, .. } = entry;
    if *call == CloudCall::List && error.is_none() {
        return None;
    }
    let vm = vm.as_ref().map_or("-", InstanceId::as_str);
    let error = error.as_ref().map_or(String::new(), |error| format!(": {error:?}"));
    let fault = fault.map_or(String::new(), |fault| format!(" struck by {fault:?}"));
    Some(format!("{call:?} {vm}{error}{fault} ({existing} exist)"))
}

fn of_vm(fact: &VmFact) -> String {
    match fact {
        VmFact::Made { vm } => format!("{vm} made"),
        VmFact::Gone { vm } => format!("{vm} gone"),
        VmFact::Started { vm, container, pid, live } => {
            format!("{vm} {container} started, pid {pid}, {live} live")
        }
        VmFact::Ended { vm, container, pid, ending } => {
            format!("{vm} {container} ended, pid {pid}: {ending:?}")
        }
        VmFact::StartFailed { vm, container, status } => {
            format!("{vm} {container} start failed: {status}")
        }
        VmFact::Signalled { vm, container, signal } => format!("{vm} {container} signal {signal}"),
        VmFact::NotUnderstood { vm, shell } => format!("{vm} does not understand {shell}"),
    }
}

fn of_note(note: &Note) -> Option<String> {
    Some(match note {
        Note::Up(number) => format!("dispatcher {number} begins"),
        Note::Down(number) => format!("dispatcher {number} killed"),
        Note::Sent(_) | Note::Answered(_) | Note::OperatorAsks(_) => return None,
        Note::DestroySent(vm) => format!("destroy of {vm} sent"),
        Note::RenewalSent(vm) => format!("renewal of {vm} noted"),
        Note::StartSent(vm, uuid) => format!("start of {uuid} on {vm} sent"),
        Note::ActedWithoutLease(what) => format!("{what} handed over without a lease"),
        Note::CouldNotAsk => "the dispatcher can ask again".to_owned(),
        Note::Reloaded(..) => "the dispatcher reads its configuration anew".to_owned(),
        Note::OwnSideFailed(from) => {
            let seconds = since(*from, epoch()).as_secs_f64();
            format!("the dispatcher's own machine works again, which has failed since {seconds:.3}")
        }
        Note::Operator(vm, behavior) => format!("operator: {behavior} {vm}"),
        Note::OperatorKills(vm) => format!("operator: kill {vm}"),
        Note::CreateSent(it) => format!("create of {} sent", it.name),
        Note::Cordoned { scope, until, under_way } => {
            format!("nothing of {scope} is created until {until:?}, {under_way} are under way")
        }
        Note::Uncordoned(name) => format!("{name} is created again"),
        Note::FaultsStop => "faults stop".to_owned(),
        Note::Text(text) => text.clone(),
    })
}
