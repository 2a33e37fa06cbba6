//! The simulated controller behind the dispatcher's port, in virtual time.
//!
//! It calls the same methods of [`FakeArvados`] as the HTTP server does, without the conversion to JSON. A
//! call waits for half of the latency before it takes effect, and afterwards for the other half and for the
//! delay of a slow answer.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;
use dispatch_core::container::{MountNeeds, Record, Standing};
use dispatch_core::id::{ContainerRequestUuid, ContainerUuid, TokenUuid};
use dispatch_core::ports::{ApiError, ApiErrorKind, ArvadosApi, ListQuestion, Page};
use dispatch_core::time::Timestamp;
use serde_json::{Value, json};

use super::answers::{mounts_of, page_of, record_of, standing_of};
use super::errors::Refusal;
use super::facts::Origin;
use super::faults::{CallKind, Fault};
use super::filters::{Filter, ListQuery, SortBy};
use super::state::Changes;
use super::{Caller, FakeArvados};
use crate::chance::{Chance, Span};
use crate::clock;

/// The columns that all polls select (docs/behaviour.md, "Queue and polling").
pub(super) const POLLED: [&str; 8] = [
    "uuid",
    "state",
    "priority",
    "locked_by_uuid",
    "runtime_constraints",
    "container_image",
    "scheduling_parameters",
    "created_at",
];

/// The simulated controller as a dispatcher, or a crunch-run, sees it.
pub struct SimApi {
    arvados: Rc<RefCell<FakeArvados>>,
    token: String,
    origin: Origin,
    latency: Cell<Span>,
    deadline: Cell<Duration>,
    chance: RefCell<Chance>,
    calls: Cell<u64>,
}

impl SimApi {
    /// A client with that token. Its calls take 20 ms, and its deadline is 5 min.
    pub fn new(arvados: Rc<RefCell<FakeArvados>>, token: &str, origin: Origin, seed: u64) -> Self {
        Self {
            arvados,
            token: token.to_owned(),
            origin,
            latency: Cell::new(Span::millis(20)),
            deadline: Cell::new(Duration::from_secs(300)),
            chance: RefCell::new(Chance::new(seed, 2)),
            calls: Cell::new(0),
        }
    }

    /// Sets how long a call takes when nothing is wrong.
    pub fn set_latency(&self, latency: Span) {
        self.latency.set(latency);
    }

    /// Sets the time after which the client gives a call up.
    pub fn set_deadline(&self, deadline: Duration) {
        self.deadline.set(deadline);
    }

    /// The controller behind it.
    pub fn arvados(&self) -> &Rc<RefCell<FakeArvados>> {
        &self.arvados
    }

    async fn call<T>(
        &self,
        kind: CallKind,
        execute: impl FnOnce(&mut FakeArvados, Caller, Timestamp) -> Result<T, Refusal>,
    ) -> Result<(T, Option<Fault>), ApiError> {
        let request_id = self.next_request_id();
        let half = self.chance.borrow_mut().draw(self.latency.get()) / 2;
        tokio::time::sleep(half).await;
        let (result, delay) = self.execute_now(kind, execute);
        let left = self.deadline.get().saturating_sub(half);
        if half + delay > left {
            tokio::time::sleep(left).await;
            return Err(failure(Failure::Timeout, kind, request_id));
        }
        tokio::time::sleep(half + delay).await;
        result.map_err(|failed| failure(failed, kind, request_id))
    }

    fn next_request_id(&self) -> String {
        self.calls.set(self.calls.get() + 1);
        format!("req-{:020}", self.calls.get())
    }

    /// Everything that happens at the server. It takes no time.
    fn execute_now<T>(
        &self,
        kind: CallKind,
        execute: impl FnOnce(&mut FakeArvados, Caller, Timestamp) -> Result<T, Refusal>,
    ) -> (Result<(T, Option<Fault>), Failure>, Duration) {
        let now = clock::now();
        let mut arvados = self.arvados.borrow_mut();
        let admitted = arvados.admit(kind, now);
        let result = match admitted.fault {
            Some(fault) if !fault.executes() => Err(Failure::Struck(fault)),
            fault => {
                let caller = arvados.authenticate(&self.token, self.origin);
                let executed = caller.and_then(|caller| execute(&mut arvados, caller, now));
                match fault {
                    Some(fault @ (Fault::LostAnswer | Fault::ServerError)) => Err(Failure::Struck(fault)),
                    fault => executed.map(|answer| (answer, fault)).map_err(Failure::Refused),
                }
            }
        };
        arvados.count_call(kind, result.as_ref().err().map_or(200, Failure::status));
        (result, admitted.delay)
    }

    /// A call that changes one container. An answer about another container is an error.
    async fn change(
        &self,
        kind: CallKind,
        execute: impl FnOnce(&mut FakeArvados, Caller, Timestamp) -> Result<Standing, Refusal>,
    ) -> Result<Standing, ApiError> {
        let (standing, fault) = self.call(kind, execute).await?;
        match fault {
            Some(_) => Err(failure(Failure::AboutAnother, kind, self.last_request_id())),
            None => Ok(standing),
        }
    }

    /// The moment whose records a read shows: with a replica some time ago, another each time.
    fn read_as_of(&self, arvados: &FakeArvados, now: Timestamp) -> Timestamp {
        let Some(replica) = arvados.replica.as_ref().filter(|_| self.origin != Origin::Process) else {
            return now;
        };
        let lag = Span { least: Duration::ZERO, most: replica.lag };
        let late = self.chance.borrow_mut().draw(lag);
        now.checked_sub(late).expect("the simulated time is far from its beginning")
    }

    fn count(&self, uuid: ContainerUuid, call: CallKind) {
        self.arvados.borrow_mut().count_call_about(uuid, call);
    }

    fn last_request_id(&self) -> String {
        format!("req-{:020}", self.calls.get())
    }

    /// Changes attributes as crunch-run does; not part of the dispatcher's port.
    ///
    /// # Errors
    /// The same errors as for every call.
    pub async fn update(&self, uuid: ContainerUuid, changes: Changes) -> Result<Standing, ApiError> {
        self.change(CallKind::Update, |arvados, caller, now| {
            arvados.find(uuid, caller.origin, now)?;
            arvados.update(uuid, &changes, caller, now).map(standing_of)
        })
        .await
    }
}

#[async_trait(?Send)]
impl ArvadosApi for SimApi {
    async fn current_token(&self) -> Result<TokenUuid, ApiError> {
        let (token, _) = self.call(CallKind::Current, |_, caller, _| Ok(caller.token)).await?;
        Ok(token)
    }

    async fn list(&self, question: &ListQuestion) -> Result<Page<Record>, ApiError> {
        let query = query_of(question);
        let known: &[_] = if let ListQuestion::Known { uuids } = question { uuids } else { &[] };
        let (mut page, fault) = self
            .call(CallKind::List, |arvados, _, now| {
                arvados.ailments.refuse_list(known)?;
                let mut page = page_of(arvados, &query, self.read_as_of(arvados, now), record_of);
                page.items.retain(|record| !arvados.hides(record.uuid, now));
                page.undecodable.retain(|it| it.uuid.is_none_or(|uuid| !arvados.hides(uuid, now)));
                Ok(page)
            })
            .await?;
        if let (Some(_), Some(first)) = (fault, page.items.first_mut()) {
            first.uuid = unknown_uuid(first.uuid);
        }
        Ok(page)
    }

    async fn mounts(&self, uuids: &[ContainerUuid]) -> Result<Page<(ContainerUuid, MountNeeds)>, ApiError> {
        let query = ListQuery { count: false, select: names(&["uuid", "mounts"]), ..among(uuids) };
        let (mut page, fault) = self
            .call(CallKind::List, |arvados, caller, now| {
                uuids.iter().try_for_each(|uuid| arvados.examine(*uuid, CallKind::List, caller.origin))?;
                let mut page = page_of(arvados, &query, self.read_as_of(arvados, now), mounts_of);
                page.items.retain(|(uuid, _)| !arvados.hides(*uuid, now));
                Ok(page)
            })
            .await?;
        if let (Some(_), Some(first)) = (fault, page.items.first_mut()) {
            first.0 = unknown_uuid(first.0);
        }
        Ok(page)
    }

    async fn requests_of(
        &self,
        uuids: &[ContainerUuid],
    ) -> Result<Page<(ContainerUuid, ContainerRequestUuid)>, ApiError> {
        let (mut items, fault) = self
            .call(CallKind::Requests, |arvados, caller, now| {
                uuids
                    .iter()
                    .try_for_each(|uuid| arvados.examine(*uuid, CallKind::Requests, caller.origin))?;
                let moment = self.read_as_of(arvados, now);
                let shown = uuids.iter().filter(|uuid| arvados.record_as_of(**uuid, moment).is_some());
                Ok(arvados.requests_of(&shown.copied().collect::<Vec<_>>()))
            })
            .await?;
        if let (Some(_), Some(first)) = (fault, items.first_mut()) {
            first.0 = unknown_uuid(first.0);
        }
        Ok(Page { items, undecodable: Vec::new() })
    }

    async fn get(&self, uuid: ContainerUuid) -> Result<Record, ApiError> {
        self.count(uuid, CallKind::Show);
        let (decoded, fault) = self
            .call(CallKind::Show, |arvados, caller, now| {
                arvados.find(uuid, caller.origin, now)?;
                arvados.examine(uuid, CallKind::Show, caller.origin)?;
                let moment = self.read_as_of(arvados, now);
                arvados.record_as_of(uuid, moment).map(record_of).ok_or(Refusal::NotFound)
            })
            .await?;
        let failed = |failed| failure(failed, CallKind::Show, self.last_request_id());
        match (decoded, fault) {
            (_, Some(_)) => Err(failed(Failure::AboutAnother)),
            (Err(undecodable), None) => Err(failed(Failure::Undecodable(undecodable.reason))),
            (Ok(record), None) => Ok(record),
        }
    }

    async fn lock(&self, uuid: ContainerUuid) -> Result<Standing, ApiError> {
        self.count(uuid, CallKind::Lock);
        self.change(CallKind::Lock, |arvados, caller, now| {
            arvados.find(uuid, caller.origin, now)?;
            arvados.lock(uuid, caller, now).map(standing_of)
        })
        .await
    }

    async fn unlock(&self, uuid: ContainerUuid) -> Result<Standing, ApiError> {
        self.count(uuid, CallKind::Unlock);
        self.change(CallKind::Unlock, |arvados, caller, now| {
            arvados.find(uuid, caller.origin, now)?;
            arvados.unlock(uuid, caller, now).map(standing_of)
        })
        .await
    }

    async fn cancel(&self, uuid: ContainerUuid, error: Option<&str>) -> Result<Standing, ApiError> {
        let asked = match error {
            Some(error) => json!({ "state": "Cancelled", "runtime_status": { "error": error } }),
            None => json!({ "state": "Cancelled" }),
        };
        self.count(uuid, CallKind::Update);
        let changes = Changes::from_json(&asked).expect("both are known attributes with fitting values");
        self.update(uuid, changes).await
    }
}

// ---------------------------------------------------------------- failures

/// Why a call gave no usable answer.
#[derive(Debug)]
enum Failure {
    Refused(Refusal),
    Struck(Fault),
    AboutAnother,
    Undecodable(String),
    Timeout,
}

impl Failure {
    /// The HTTP status that it would have had; 0 = no answer.
    fn status(&self) -> u16 {
        match self {
            Self::Refused(refusal) => refusal.status(),
            Self::Struck(Fault::Unauthorized) => 401,
            Self::Struck(Fault::Overloaded) => 503,
            Self::Struck(Fault::BadGateway) => 502,
            Self::Struck(Fault::ServerError) => 500,
            Self::Struck(Fault::WrongUuid) | Self::AboutAnother | Self::Undecodable(_) => 200,
            Self::Struck(Fault::LostCall | Fault::LostAnswer) | Self::Timeout => 0,
        }
    }

    fn kind(&self) -> ApiErrorKind {
        match self {
            Self::Refused(refusal) => refusal.kind(),
            Self::Struck(Fault::Unauthorized) => ApiErrorKind::Unauthorized,
            Self::Struck(Fault::Overloaded) => ApiErrorKind::Overloaded,
            Self::Struck(Fault::BadGateway | Fault::ServerError) => ApiErrorKind::Server,
            Self::Struck(Fault::LostCall | Fault::LostAnswer) => ApiErrorKind::Connection,
            Self::Struck(Fault::WrongUuid) | Self::AboutAnother | Self::Undecodable(_) => {
                ApiErrorKind::Malformed
            }
            Self::Timeout => ApiErrorKind::Timeout,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Refused(refusal) => refusal.to_string(),
            Self::Struck(fault) => format!("{fault:?}"),
            Self::AboutAnother => "the answer is about another container".to_owned(),
            Self::Undecodable(reason) => reason.clone(),
            Self::Timeout => "no answer within the deadline".to_owned(),
        }
    }
}

fn failure(failed: Failure, call: CallKind, request_id: String) -> ApiError {
    let status = Some(failed.status()).filter(|status| *status > 0);
    let message = format!("{call:?} failed: {} ({request_id})", failed.text());
    ApiError { kind: failed.kind(), status, message, request_id }
}

/// A uuid that no container has.
fn unknown_uuid(instead_of: ContainerUuid) -> ContainerUuid {
    format!("{}-dz642-nobodyasked4it0", instead_of.cluster()).parse().expect("built from valid parts")
}

// ---------------------------------------------------------------- questions

fn names(names: &[&str]) -> Option<Vec<String>> {
    Some(names.iter().map(|name| (*name).to_owned()).collect())
}

fn filter(attr: &str, op: &str, operand: impl Into<Value>) -> Filter {
    Filter::new(attr, op, operand.into()).expect("only with attributes and operators that exist")
}

fn sorted_by(text: &str) -> Vec<SortBy> {
    vec![SortBy::new(text).expect("only with attributes that exist")]
}

fn among(uuids: &[ContainerUuid]) -> ListQuery {
    let uuids: Vec<&str> = uuids.iter().map(ContainerUuid::as_str).collect();
    ListQuery { filters: vec![filter("uuid", "in", uuids)], ..ListQuery::default() }
}

fn query_of(question: &ListQuestion) -> ListQuery {
    let polled = ListQuery { limit: 1000, count: false, select: names(&POLLED), ..ListQuery::default() };
    match question {
        ListQuestion::Mine { me, after } => {
            let mut filters = vec![filter("locked_by_uuid", "=", me.as_str())];
            filters.extend(after.map(|last| filter("uuid", ">", last.as_str())));
            ListQuery { filters, order: sorted_by("uuid"), ..polled }
        }
        ListQuestion::Available { offset } => ListQuery {
            filters: vec![filter("state", "=", "Queued"), filter("priority", ">", "0")],
            order: sorted_by("priority desc"),
            offset: *offset,
            ..polled
        },
        ListQuestion::Known { uuids } => {
            ListQuery { filters: among(uuids).filters, order: sorted_by("uuid"), ..polled }
        }
    }
}

#[cfg(test)]
#[path = "port_tests.rs"]
mod tests;
