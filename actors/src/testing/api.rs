//! A controller of a few records. Each call is noted; the next answers to a call can be spoiled.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use async_trait::async_trait;
use dispatch_core::container::{ContainerState, MountNeeds, Record, Standing};
use dispatch_core::id::{ContainerRequestUuid, ContainerUuid, TokenUuid};
use dispatch_core::ports::{ApiError, ApiErrorKind, ArvadosApi, ListQuestion, Page};

use super::{elapsed, me, take};

/// How an answer is spoiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spoil {
    /// Refused before anything happened.
    Fails(ApiErrorKind),
    /// It took effect; the answer is lost.
    Lost,
}

/// A call: when, which, about whom (the first of them), about how many.
pub type Call = (f64, &'static str, Option<ContainerUuid>, usize);

/// The controller.
#[derive(Default)]
pub struct FakeApi {
    pub records: RefCell<BTreeMap<ContainerUuid, Record>>,
    pub calls: RefCell<Vec<Call>>,
    spoilt: RefCell<BTreeMap<&'static str, VecDeque<Spoil>>>,
    /// The mounts of these make a call fail.
    pub poison: RefCell<BTreeSet<ContainerUuid>>,
    /// The mounts of these are never shown.
    pub hidden: RefCell<BTreeSet<ContainerUuid>>,
    /// The request that each of these containers is tried for.
    pub requests: RefCell<BTreeMap<ContainerUuid, ContainerRequestUuid>>,
    /// How long each call takes.
    pub takes: Cell<Duration>,
    /// How much longer mounts take.
    pub mounts_take: Cell<Duration>,
    /// How much longer requests take.
    pub requests_take: Cell<Duration>,
    in_flight: Cell<usize>,
    /// The most calls that were in flight at a time.
    pub widest: Cell<usize>,
}

impl FakeApi {
    pub fn with(records: impl IntoIterator<Item = Record>) -> std::rc::Rc<Self> {
        let api = Self::default();
        api.put(records);
        std::rc::Rc::new(api)
    }

    pub fn put(&self, records: impl IntoIterator<Item = Record>) {
        self.records.borrow_mut().extend(records.into_iter().map(|record| (record.uuid, record)));
    }

    pub fn set_state(&self, uuid: ContainerUuid, state: ContainerState) {
        let mut records = self.records.borrow_mut();
        let record = records.get_mut(&uuid).unwrap();
        record.state = state;
        if state.is_final() {
            record.locked_by = None;
        }
    }

    pub fn state(&self, uuid: ContainerUuid) -> ContainerState {
        self.records.borrow()[&uuid].state
    }

    /// The next `times` answers to that call are spoilt.
    pub fn spoil(&self, call: &'static str, times: usize, how: Spoil) {
        self.spoilt.borrow_mut().entry(call).or_default().extend(std::iter::repeat_n(how, times));
    }

    pub fn fail(&self, call: &'static str, times: usize, kind: ApiErrorKind) {
        self.spoil(call, times, Spoil::Fails(kind));
    }

    /// The calls since the last look.
    pub fn take_calls(&self) -> Vec<Call> {
        self.calls.take()
    }

    /// The names of the calls since the last look.
    pub fn take_names(&self) -> Vec<&'static str> {
        self.take_calls().into_iter().map(|(_, name, ..)| name).collect()
    }

    /// When polls began since the last look.
    pub fn take_polls(&self) -> Vec<f64> {
        let calls = self.take_calls();
        calls.into_iter().filter(|(_, name, ..)| *name == "mine").map(|(at, ..)| at).collect()
    }

    async fn call(&self, name: &'static str, about: &[ContainerUuid]) -> Result<bool, ApiError> {
        self.calls.borrow_mut().push((elapsed(), name, about.first().copied(), about.len()));
        self.in_flight.set(self.in_flight.get() + 1);
        self.widest.set(self.widest.get().max(self.in_flight.get()));
        let spoil = self.spoilt.borrow_mut().get_mut(name).and_then(VecDeque::pop_front);
        take(self.takes.get()).await;
        self.in_flight.set(self.in_flight.get() - 1);
        match spoil {
            Some(Spoil::Fails(kind)) => Err(api_error(kind)),
            Some(Spoil::Lost) => Ok(false),
            None => Ok(true),
        }
    }

    async fn change(
        &self,
        name: &'static str,
        uuid: ContainerUuid,
        from: &[ContainerState],
        to: ContainerState,
    ) -> Result<Standing, ApiError> {
        let heard = self.call(name, &[uuid]).await?;
        let mut records = self.records.borrow_mut();
        let record = records.get_mut(&uuid).ok_or_else(|| api_error(ApiErrorKind::NotFound))?;
        if !from.contains(&record.state) {
            return Err(api_error(ApiErrorKind::Refused));
        }
        record.state = to;
        record.locked_by = (to == ContainerState::Locked).then(me);
        if heard { Ok(record.standing()) } else { Err(api_error(ApiErrorKind::Connection)) }
    }
}

fn api_error(kind: ApiErrorKind) -> ApiError {
    let status = match kind {
        ApiErrorKind::Unauthorized => Some(401),
        ApiErrorKind::Overloaded => Some(503),
        ApiErrorKind::NotFound => Some(404),
        _ => None,
    };
    let message = format!("cannot ask the controller: {}", kind.as_str());
    ApiError { kind, status, message, request_id: "req-1".to_owned() }
}

#[async_trait(?Send)]
impl ArvadosApi for FakeApi {
    async fn current_token(&self) -> Result<TokenUuid, ApiError> {
        self.call("current", &[]).await?;
        Ok(me())
    }

    async fn list(&self, question: &ListQuestion) -> Result<Page<Record>, ApiError> {
        let name = match question {
            ListQuestion::Mine { .. } => "mine",
            ListQuestion::Available { .. } => "available",
            ListQuestion::Known { .. } => "known",
        };
        self.call(name, &[]).await?;
        let records = self.records.borrow();
        let all = records.values();
        let mut items: Vec<Record> = match question {
            ListQuestion::Mine { me, after } => {
                all.filter(|it| it.locked_by == Some(*me) && Some(it.uuid) > *after).cloned().collect()
            }
            ListQuestion::Available { offset } => {
                let waiting = all.filter(|it| it.state == ContainerState::Queued && it.priority > 0);
                waiting.skip(*offset).cloned().collect()
            }
            ListQuestion::Known { uuids } => all.filter(|it| uuids.contains(&it.uuid)).cloned().collect(),
        };
        items.iter_mut().for_each(|it| it.lock_count = None);
        Ok(Page { items, undecodable: Vec::new() })
    }

    async fn mounts(&self, uuids: &[ContainerUuid]) -> Result<Page<(ContainerUuid, MountNeeds)>, ApiError> {
        self.call("mounts", uuids).await?;
        take(self.mounts_take.get()).await;
        if uuids.iter().any(|uuid| self.poison.borrow().contains(uuid)) {
            return Err(api_error(ApiErrorKind::Malformed));
        }
        let hidden = self.hidden.borrow();
        let shown = uuids.iter().filter(|uuid| !hidden.contains(uuid));
        let items = shown.map(|uuid| (*uuid, MountNeeds { tmp_bytes: 1 << 20 })).collect();
        Ok(Page { items, undecodable: Vec::new() })
    }

    async fn requests_of(
        &self,
        uuids: &[ContainerUuid],
    ) -> Result<Page<(ContainerUuid, ContainerRequestUuid)>, ApiError> {
        self.call("requests_of", uuids).await?;
        take(self.requests_take.get()).await;
        let requests = self.requests.borrow();
        let items = uuids.iter().filter_map(|uuid| Some((*uuid, *requests.get(uuid)?)));
        Ok(Page { items: items.collect(), undecodable: Vec::new() })
    }

    async fn get(&self, uuid: ContainerUuid) -> Result<Record, ApiError> {
        self.call("get", &[uuid]).await?;
        self.records.borrow().get(&uuid).cloned().ok_or_else(|| api_error(ApiErrorKind::NotFound))
    }

    async fn lock(&self, uuid: ContainerUuid) -> Result<Standing, ApiError> {
        self.change("lock", uuid, &[ContainerState::Queued], ContainerState::Locked).await
    }

    async fn unlock(&self, uuid: ContainerUuid) -> Result<Standing, ApiError> {
        self.change("unlock", uuid, &[ContainerState::Locked], ContainerState::Queued).await
    }

    async fn cancel(&self, uuid: ContainerUuid, _error: Option<&str>) -> Result<Standing, ApiError> {
        let from = [ContainerState::Queued, ContainerState::Locked, ContainerState::Running];
        self.change("cancel", uuid, &from, ContainerState::Cancelled).await
    }
}
