//! What each reason means, and what would have to change: for operators. The table of the documentation is made from here.

use std::fmt::Write as _;

use super::WaitReason;
use crate::container::ContainerState;
use crate::id::TypeName;
use crate::pool::PauseReason;
use crate::queue::SetbackCause;

impl WaitReason {
    /// The reason, as the words after "it waits because"; its facts are told beside it.
    pub fn in_words(&self) -> &'static str {
        match self {
            Self::Allocated => "it does not wait: it has a process, or is being sent to an instance",
            Self::PriorityZero { .. } => "its user does not want it to run: its priority is 0",
            Self::OverSupervisors { .. } => "workflow supervisors have their share of the ceiling",
            Self::PreviousAttempt => "a process of an earlier attempt has not gone",
            Self::Booting { .. } => "its instance is not ready",
            Self::Paused { .. } => "an instance is wanted, and its creation is paused",
            Self::AtCapacity { .. } => "the cloud has none of its types now",
            Self::AccountQuota => "the cloud account's limit is reached",
            Self::MaxInstances => "MaxInstances is reached",
            Self::Ceiling { .. } => "as many containers run as the controller bears",
            Self::NotSized => "what it needs is still being read",
            Self::HandsOff { .. } => "its record is being changed, or cannot be read",
            Self::SetBack { .. } => "something has failed for it, and is tried again",
            Self::StartsFail { .. } => "its starts came to nothing",
            Self::NoSuitableType { .. } => "no configured type suits it: it is about to be cancelled",
            Self::StartingUp => "the dispatcher has just started",
        }
    }

    /// What has to happen, or to be done, for it to start.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Allocated => "nothing: its process is about to be started",
            Self::PriorityZero { .. } => "its user gives it, or what requests it, a priority above 0",
            Self::OverSupervisors { .. } => "a supervisor ends, or SupervisorFraction is raised",
            Self::PreviousAttempt => {
                "that process ends; if its instance does not answer, end it (instance kill) once it is surely dead"
            }
            Self::Booting { .. } => "its instance boots; if none does, look at the events of that instance",
            Self::Paused { cause, .. } => match cause {
                PauseReason::RateLimit => "the cloud takes calls again, by itself",
                PauseReason::CreatesInFlight => {
                    "a create is answered; MaxConcurrentInstanceCreateOps allows more at a time"
                }
                PauseReason::RunnerUnreadable => "DeployRunnerBinary can be read again: look at the file",
                PauseReason::OwnSide => "the dispatcher's own trouble is mended: its health says what it is",
                PauseReason::BootsFail => {
                    "an instance of that kind boots: look at image, network and key (cloudtest)"
                }
                PauseReason::CreateFailed => {
                    "the cause that the cloud has given is mended; tried again by itself"
                }
                PauseReason::NearQuota => {
                    "the instance that is being created comes into service, or is refused"
                }
                PauseReason::Operator => "the pause ends, or an operator ends it (creates resume)",
                PauseReason::TypeDrained => "an operator lets that type be used again (type run)",
            },
            Self::AtCapacity { .. } => {
                "the cloud has room again (tried every minute), or a larger MaximumPriceFactor allows other types"
            }
            Self::AccountQuota => "instances end, or the account's limit is raised; tried again by itself",
            Self::MaxInstances => "instances end, or MaxInstances is raised",
            Self::Ceiling { .. } => "containers end, or the controller answers without 503 for a while",
            Self::NotSized => "the controller answers the questions for its mounts and requests",
            Self::HandsOff { .. } => "that change is answered, or the record can be read again",
            Self::SetBack { .. } => "the back-off ends, and the controller does what it has refused",
            Self::StartsFail { .. } => {
                "the back-off ends, and crunch-run starts: look at the error, and at the instance"
            }
            Self::NoSuitableType { .. } => "a type that suits it is configured, and it is submitted again",
            Self::StartingUp => "the first poll and the first listing end",
        }
    }

    /// One of each kind, pauses of each cause among them.
    pub fn samples() -> Vec<Self> {
        let name = || TypeName::new("small").expect("it is a name");
        let state = ContainerState::Queued;
        let mut samples = vec![
            Self::Allocated,
            Self::PriorityZero { state },
            Self::OverSupervisors { max_supervisors: 1 },
            Self::PreviousAttempt,
            Self::Booting { instance_type: name() },
            Self::AtCapacity { instance_types: vec![name()] },
            Self::AccountQuota,
            Self::MaxInstances,
            Self::Ceiling { ceiling: 1 },
            Self::NotSized,
            Self::HandsOff { why: String::new() },
            Self::SetBack { cause: SetbackCause::Lock, failures: 1, error: String::new() },
            Self::StartsFail { failures: 1, error: String::new() },
            Self::NoSuitableType { error: String::new() },
            Self::StartingUp,
        ];
        samples.extend(PauseReason::ALL.map(|cause| Self::Paused { instance_type: name(), cause }));
        samples
    }

    /// The word of the reason, as in JSON.
    pub fn word(&self) -> String {
        let value = serde_json::to_value(self).unwrap_or_default();
        value["reason"].as_str().unwrap_or_default().to_owned()
    }

    /// All reasons as a Markdown table.
    pub fn markdown() -> String {
        let mut table =
            "| `explain.reason` | the container waits because | what has to change |\n|---|---|---|\n"
                .to_owned();
        for sample in Self::samples() {
            let (word, because) = match &sample {
                Self::Paused { cause, .. } => {
                    let cause_word = serde_json::to_value(cause).unwrap_or_default();
                    let word = format!("`paused`, cause `{}`", cause_word.as_str().unwrap_or_default());
                    (word, format!("{}: {}", sample.in_words(), cause.in_words()))
                }
                _ => (format!("`{}`", sample.word()), sample.in_words().to_owned()),
            };
            writeln!(table, "| {word} | {because} | {} |", sample.remedy())
                .expect("a String takes everything");
        }
        table
    }
}
