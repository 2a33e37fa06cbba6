//! What happened to the pool, in the words of the catalogue.

use dispatch_core::instance::Instance;
use dispatch_core::pool::PoolFact;
use dispatch_core::ports::{CloudError, CloudErrorKind};

use super::Pool;
use crate::catalogue::{self, Event};
use crate::clock;
use crate::event;

impl Pool {
    pub(super) fn report(&mut self, fact: PoolFact) {
        let log = &self.parts.log;
        match fact {
            PoolFact::Creating { type_name, provider_type, container: Some(container) } => {
                event!(log, catalogue::CREATING,
                    "InstanceType" => type_name.as_str(), "ProviderType" => provider_type.as_str(),
                    "ContainerUUID" => container.as_str());
            }
            PoolFact::Creating { type_name, provider_type, container: None } => {
                event!(log, catalogue::CREATING_SPARE,
                    "InstanceType" => type_name.as_str(), "ProviderType" => provider_type.as_str());
            }
            PoolFact::CreateFailed { type_name, error } => {
                self.report_create_failed(type_name.as_str(), &error)
            }
            PoolFact::QuotaHold { .. } | PoolFact::CapacityHold { .. } | PoolFact::RateHold { .. } => {
                self.report_hold(fact);
            }
            PoolFact::Paused(pause) => {
                event!(log, catalogue::PAUSED, "Duration" => pause.as_secs_f64());
                self.reach.begin_anew();
            }
            PoolFact::BootsFail { offering, failures, until } => {
                let subject = offering.to_string();
                if let Some(n) = self.noted(&catalogue::CREATES_LIMITED, &subject) {
                    event!(log, catalogue::CREATES_LIMITED, "ProviderType" => subject, "Failures" => failures,
                        "ResumeAt" => %clock::shown(until), "Repeated" => n);
                }
            }
            PoolFact::HoldEnded { hold, at } => event!(log, catalogue::HOLD_ENDED,
                "Hold" => hold.kind.as_str(), "Scope" => hold.scope, "EndedAt" => %clock::shown(at)),
            PoolFact::Appeared { instance, ours } => self.report_appeared(&instance, ours),
            PoolFact::Disappeared { instance, state, after_shutdown, type_name, reason } => {
                let type_name = type_name.as_ref().map_or("", |name| name.as_str());
                event!(log, catalogue::DISAPPEARED, "Instance" => instance.as_str(),
                    "InstanceType" => type_name, "WorkerState" => %state, "Reason" => reason.unwrap_or_default());
                self.parts.metrics.instances_disappeared.with_label_values(&[state.as_str()]).inc();
                if let Some(took) = after_shutdown {
                    self.parts.metrics.time_to_disappearance.observe(took);
                }
            }
            PoolFact::EndedWhileBooting { instance, type_name, lived, reason } => {
                let type_name = type_name.as_ref().map_or("", |name| name.as_str());
                let subject = instance.as_str();
                if let Some(n) = self.noted(&catalogue::ENDED_WHILE_BOOTING, subject) {
                    event!(log, catalogue::ENDED_WHILE_BOOTING, "Instance" => subject,
                        "InstanceType" => type_name, "Lifetime" => lived.as_secs_f64(),
                        "Reason" => reason.as_deref().unwrap_or("the cloud has given none"), "Repeated" => n);
                }
            }
            PoolFact::OutageBegan { silent, of } => event!(log, catalogue::HOLDING_DESTROYS,
                "Instances" => of, "Unreachable" => silent),
            PoolFact::OutageEnded => {
                event!(log, catalogue::RESUMING_DESTROYS, "Reason" => "an instance answers again, or a new one, or nobody is to be judged now")
            }
            PoolFact::Interrupted { .. } | PoolFact::SpotNotice { .. } => self.report_of_market(fact),
            PoolFact::CreatesResumed(pause) => event!(log, catalogue::CREATES_RESUMED,
                "Scope" => %pause.scope, "Reason" => "its time is over", "Paused" => %pause.note),
            // Told by the worker, who knows the last failure.
            PoolFact::Unresponsive(..) => {}
            PoolFact::FirstListing(n) => event!(log, catalogue::INITIAL_LIST, "N" => n),
        }
    }

    /// The market takes instances one by one, or thousands at once.
    fn report_of_market(&mut self, fact: PoolFact) {
        let log = &self.parts.log;
        match fact {
            PoolFact::Interrupted { instance, type_name, lived } => {
                self.parts.metrics.spot_interruptions.with_label_values(&[type_name.as_str()]).inc();
                if let Some(n) = self.noted(&catalogue::INTERRUPTED, instance.as_str()) {
                    event!(log, catalogue::INTERRUPTED, "Instance" => instance.as_str(),
                        "InstanceType" => type_name.as_str(), "Lifetime" => lived.as_secs_f64(), "Repeated" => n);
                }
            }
            PoolFact::SpotNotice { instance, container, notice } => {
                self.parts.metrics.spot_notices.inc();
                if let Some(n) = self.noted(&catalogue::SPOT_NOTICE, instance.as_str()) {
                    event!(log, catalogue::SPOT_NOTICE, "Instance" => instance.as_str(),
                        "ContainerUUID" => container.as_str(), "Notice" => notice, "Repeated" => n);
                }
            }
            _ => {}
        }
    }

    /// Holds end with each instance that goes, and begin again with the next refusal, several times a second.
    fn report_hold(&mut self, fact: PoolFact) {
        let log = &self.parts.log;
        match fact {
            PoolFact::QuotaHold { type_name, instances, retry_at, error } => {
                let subject = format!("{:?}", error.kind);
                if let Some(n) = self.noted(&catalogue::AT_QUOTA, &subject) {
                    event!(log, catalogue::AT_QUOTA, "InstanceType" => type_name.as_str(), "Instances" => instances,
                        "ResumeAt" => %clock::shown(retry_at), "error" => %error, "Repeated" => n);
                }
            }
            PoolFact::CapacityHold { type_name, scope, until, error } => {
                let subject = format!("{type_name} {scope:?}");
                if let Some(n) = self.noted(&catalogue::NO_CAPACITY, &subject) {
                    event!(log, catalogue::NO_CAPACITY, "InstanceType" => type_name.as_str(), "Scope" => ?scope,
                        "ResumeAt" => %clock::shown(until), "error" => %error, "Repeated" => n);
                }
            }
            PoolFact::RateHold { until, error } => {
                if let Some(n) = self.noted(&catalogue::RATE_LIMITED, "Create") {
                    event!(log, catalogue::RATE_LIMITED, "CallType" => "Create",
                        "ResumeAt" => %clock::shown(until), "error" => %error, "Repeated" => n);
                }
            }
            _ => {}
        }
    }

    fn noted(&self, event: &Event, subject: &str) -> Option<u64> {
        self.parts.repeats.borrow_mut().note(event, subject, clock::now())
    }

    /// Faults that came too often, and have not come again.
    pub(super) fn report_left_out(&mut self) {
        let untold = self.parts.repeats.borrow_mut().untold(clock::now());
        for (message, n) in untold {
            event!(self.parts.log, catalogue::LEFT_OUT, "Message" => message, "Repeated" => n);
        }
    }

    /// Also what the workers do not tell: a VM that is booting, or whose state is not known, may be silent for long.
    pub(super) fn report_unreached(&mut self) {
        let Some(unreached) = self.reach.report(clock::now()) else { return };
        let (instance, error) = &unreached.example;
        event!(self.parts.log, catalogue::UNREACHED, "Instances" => unreached.instances, "Of" => self.workers.len(),
            "Since" => unreached.longest.as_secs_f64(), "Cause" => unreached.cause(), "WithCause" => unreached.with_cause,
            "Instance" => instance.as_str(), "error" => error);
    }

    fn report_create_failed(&mut self, type_name: &str, error: &CloudError) {
        let event = match error.kind {
            CloudErrorKind::Unknown => &catalogue::CREATE_UNKNOWN,
            // These have messages of their own.
            CloudErrorKind::Quota(_) | CloudErrorKind::Capacity(_) | CloudErrorKind::RateLimited { .. } => {
                return;
            }
            CloudErrorKind::NotFound
            | CloudErrorKind::Unauthorized
            | CloudErrorKind::NotSent
            | CloudErrorKind::Other => &catalogue::CREATE_FAILED,
        };
        if let Some(n) = self.noted(event, type_name) {
            event!(self.parts.log, *event, "InstanceType" => type_name, "error" => %error, "Repeated" => n);
        }
    }

    fn report_appeared(&self, instance: &Instance, ours: bool) {
        let keys = &self.parts.policy.tag_keys;
        let state = if ours { "booting" } else { "unknown" };
        event!(self.parts.log, catalogue::APPEARED,
            "Instance" => instance.id.as_str(),
            "Address" => &instance.address,
            "InstanceType" => instance.tags.get(&keys.instance_type).unwrap_or(""),
            "IdleBehavior" => instance.tags.get(&keys.idle_behavior).unwrap_or("run"),
            "State" => state);
    }
}
