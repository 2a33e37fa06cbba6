//! The simulated controller: containers, and the API by which dispatchers, crunch-run and users change them.
//!
//! ```text
//!   http (real sockets) ──→ wire (paths, forms, JSON) ──┐
//!   port (virtual time) ────────────────────────────────┴→ FakeArvados ── state: one record, its transitions
//!   feed (a websocket) ←────────────── events ←───────────┤   │   ├─── ailments: what is wrong with one container for ever
//!                                                            │   │   ├─── hidden: records that are not shown for a while
//!                                                            │   │   ├─── replica: reads that show a moment ago
//!                                                            │   │   ├─── users: what users and operators do
//!                                                            │   │   ├─── requests: which of users' requests wait for whom
//!                                                            │   │   └─── filters, records: lists, select, JSON
//!                                                            │   └─────── faults: what strikes a call
//!                                                            └─────────── facts: what happened
//! ```
//!
//! It owns the records. It never asks for the time: each call says what time it is.

pub mod ailments;
mod answers;
pub mod errors;
pub mod events;
pub mod facts;
pub mod faults;
mod feed;
pub mod filters;
pub mod hidden;
pub mod http;
pub mod port;
pub mod records;
pub mod replica;
mod requests;
mod site;
pub mod state;
pub mod subscription;
mod users;
pub mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;

use dispatch_core::container::ContainerState;
use dispatch_core::id::{ContainerUuid, TokenUuid};
use dispatch_core::time::Timestamp;

use crate::chance::Chance;
use ailments::Ailments;
use errors::Refusal;
use events::{Deed, Events};
use facts::{Fact, History, Origin};
use faults::{CallKind, CallOutcome, Faults};
use filters::ListQuery;
use hidden::Hidden;
use replica::Replica;
pub use site::{
    Caller, ContainerRequest, OTHER_DISPATCHER_TOKEN, ROOT_TOKEN, Settings, Submission, Token, USER_TOKEN,
};
use state::{Change, Changes, Container, ContainerSpec};

/// One page of a list.
#[derive(Debug)]
pub struct Listed<'a> {
    /// The items, in order.
    pub items: Vec<&'a Container>,
    /// How many items match in all.
    pub available: usize,
    /// The limit that was applied.
    pub limit: usize,
}

/// The simulated controller.
#[derive(Debug)]
pub struct FakeArvados {
    /// How the site is set up; it may be changed at any time.
    pub settings: Settings,
    /// Which faults strike; they may be changed at any time.
    pub faults: Faults,
    /// What is wrong with single containers for ever.
    pub ailments: Ailments,
    /// What is not shown for a while.
    pub hidden: Option<Hidden>,
    /// What answers the reads of dispatchers, if not the database that is written to.
    pub replica: Option<Replica>,
    /// What the event feed tells, to whoever listens.
    pub events: Events,
    chance: Chance,
    tokens: Vec<Token>,
    containers: BTreeMap<ContainerUuid, Container>,
    requests: BTreeMap<String, ContainerRequest>,
    running: usize,
    history: History,
}

impl FakeArvados {
    /// An empty site with its three tokens.
    pub fn new(seed: u64, settings: Settings) -> Self {
        let token = |secret: &str, tail: &str, admin| {
            let uuid = format!("{}-gj3su-{tail}", settings.cluster);
            let uuid = uuid.parse().expect("a cluster prefix has five of 0-9a-z");
            Token { secret: secret.to_owned(), uuid, admin }
        };
        let tokens = vec![
            token(&settings.root_token, "000000000000000", true),
            token(OTHER_DISPATCHER_TOKEN, "otherdispatcher", true),
            token(USER_TOKEN, "000000000000usr", false),
        ];
        Self {
            settings,
            faults: Faults::default(),
            ailments: Ailments::default(),
            hidden: None,
            replica: None,
            events: Events::new(seed),
            chance: Chance::new(seed, 1),
            tokens,
            containers: BTreeMap::new(),
            requests: BTreeMap::new(),
            running: 0,
            history: History::default(),
        }
    }

    // ------------------------------------------------------------ queries

    /// The history so far.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// All records, by uuid.
    pub fn containers(&self) -> impl Iterator<Item = &Container> {
        self.containers.values()
    }

    /// One record.
    pub fn container(&self, uuid: ContainerUuid) -> Option<&Container> {
        self.containers.get(&uuid)
    }

    /// The request that a container is an attempt of.
    pub fn request_of(&self, uuid: ContainerUuid) -> Option<&ContainerRequest> {
        self.requests.get(&self.containers.get(&uuid)?.request)
    }

    /// How many containers are Running.
    pub fn running(&self) -> usize {
        self.running
    }

    /// Whether every record is final.
    pub fn all_final(&self) -> bool {
        self.containers.values().all(|container| container.state.is_final())
    }

    /// The lock owner id of the root token.
    pub fn root_uuid(&self) -> TokenUuid {
        self.tokens[0].uuid
    }

    /// Accepts one more token.
    pub fn add_token(&mut self, token: Token) {
        self.tokens.push(token);
    }

    // ------------------------------------------------------------ the API

    /// What happens to a call that arrives now. The caller (wire or port) must carry it out.
    pub fn admit(&mut self, call: CallKind, now: Timestamp) -> CallOutcome {
        if matches!(call, CallKind::List | CallKind::Show) {
            self.show_ailing_records();
        }
        let outcome = self.faults.outcome(call, self.running, now, &mut self.chance);
        if let Some(fault) = outcome.fault {
            self.history.record(now, Fact::Struck { call, fault });
        }
        outcome
    }

    /// Counts a call about one container, whatever becomes of it.
    pub(super) fn count_call_about(&mut self, uuid: ContainerUuid, call: CallKind) {
        self.history.count_call_about(uuid, call);
    }

    fn show_ailing_records(&mut self) {
        let Self { ailments, chance, containers, .. } = self;
        for (uuid, attribute, value) in ailments.of_next_read(|| chance.hits(0.5)) {
            let Some(container) = containers.get_mut(&uuid) else { continue };
            match value {
                Some(value) => drop(container.overrides.insert(attribute, value)),
                None => drop(container.overrides.remove(&attribute)),
            }
        }
    }

    /// Counts an answer; status 0 = no answer was given.
    pub fn count_call(&mut self, call: CallKind, status: u16) {
        self.history.count_call(call, status);
    }

    /// The owner of that token, which is a bare secret or `v2/UUID/SECRET`.
    ///
    /// # Errors
    /// [`Refusal::NotLoggedIn`].
    pub fn authenticate(&self, token: &str, origin: Origin) -> Result<Caller, Refusal> {
        let known = |it: &&Token| match token.strip_prefix("v2/").and_then(|rest| rest.split_once('/')) {
            Some((uuid, secret)) => it.uuid.as_str() == uuid && it.secret == secret,
            None => it.secret == token,
        };
        let found = self.tokens.iter().find(known).ok_or(Refusal::NotLoggedIn)?;
        Ok(Caller { token: found.uuid, admin: found.admin, origin })
    }

    /// A process that was given that token when it was started; if it was given none, it has the root token.
    pub fn process_with(&self, token: Option<TokenUuid>) -> Caller {
        Caller { token: token.unwrap_or(self.root_uuid()), admin: true, origin: Origin::Process }
    }

    /// Says whether an ailment of that container decides the answer to a call about it.
    ///
    /// # Errors
    /// [`Refusal::Ailing`].
    pub fn examine(&self, uuid: ContainerUuid, call: CallKind, origin: Origin) -> Result<(), Refusal> {
        if origin == Origin::Process {
            return Ok(());
        }
        self.ailments.refuse(uuid, call)
    }

    /// One record.
    ///
    /// # Errors
    /// [`Refusal::NotFound`].
    pub fn show(&self, uuid: ContainerUuid) -> Result<&Container, Refusal> {
        self.containers.get(&uuid).ok_or(Refusal::NotFound)
    }

    /// One page of records. It has at most as many items as the settings allow.
    pub fn list(&self, query: &ListQuery) -> Listed<'_> {
        self.list_of(self.containers.values().collect(), query)
    }

    /// The same, as it was at that moment, if reads may be late.
    pub(super) fn list_as_of(&self, query: &ListQuery, moment: Timestamp) -> Listed<'_> {
        self.list_of(self.as_of(moment), query)
    }

    fn list_of<'a>(&self, records: Vec<&'a Container>, query: &ListQuery) -> Listed<'a> {
        let mut matching: Vec<_> = records.into_iter().filter(|it| query.matches(it)).collect();
        query.sort(&mut matching);
        let available = matching.len();
        let limit = query.limit.min(self.settings.max_items_per_response);
        let most = limit.min(self.settings.page_items.unwrap_or(usize::MAX));
        let mut items: Vec<_> = matching.into_iter().skip(query.offset).take(most).collect();
        items.truncate(self.within_byte_budget(&items, query));
        Listed { items, available, limit }
    }

    /// How many of the items fit into the byte budget; at least one.
    fn within_byte_budget(&self, items: &[&Container], query: &ListQuery) -> usize {
        /// About how many bytes the small columns of a record take.
        const SMALL_COLUMNS: usize = 600;
        let Some(budget) = self.settings.page_bytes else { return items.len() };
        let with_mounts =
            query.select.as_ref().is_none_or(|selected| selected.iter().any(|it| it == "mounts"));
        let size = |item: &Container| {
            let mounts = if with_mounts { mounts_size(item) } else { 0 };
            SMALL_COLUMNS + mounts
        };
        let mut used = 0;
        let fitting = items.iter().take_while(|item| {
            used += size(item);
            used <= budget
        });
        fitting.count().max(1).min(items.len())
    }

    /// The caller locks a Queued container.
    ///
    /// # Errors
    /// 403, 404 or 422, as the real server answers (docs/behaviour.md, "The controller's API").
    pub fn lock(
        &mut self,
        uuid: ContainerUuid,
        caller: Caller,
        now: Timestamp,
    ) -> Result<&Container, Refusal> {
        self.change(uuid, CallKind::Lock, caller, now, Container::lock)
    }

    /// The caller unlocks a container that it has locked: it becomes Queued, or Cancelled if it was locked
    /// too often.
    ///
    /// # Errors
    /// 403, 404 or 422, as the real server answers (docs/behaviour.md, "The controller's API").
    pub fn unlock(
        &mut self,
        uuid: ContainerUuid,
        caller: Caller,
        now: Timestamp,
    ) -> Result<&Container, Refusal> {
        self.change(uuid, CallKind::Unlock, caller, now, Container::unlock)
    }

    /// Changes attributes; the state is one of them.
    ///
    /// # Errors
    /// 403, 404 or 422, as the real server answers (docs/behaviour.md, "The controller's API").
    pub fn update(
        &mut self,
        uuid: ContainerUuid,
        changes: &Changes,
        caller: Caller,
        now: Timestamp,
    ) -> Result<&Container, Refusal> {
        self.change(uuid, CallKind::Update, caller, now, |container, change| {
            container.update(changes, change)
        })
    }

    fn change(
        &mut self,
        uuid: ContainerUuid,
        call: CallKind,
        caller: Caller,
        now: Timestamp,
        apply: impl FnOnce(&mut Container, &Change) -> Result<(), Refusal>,
    ) -> Result<&Container, Refusal> {
        let result = self.try_change(uuid, call, caller, now, apply);
        if let Err(refusal) = result {
            let status = refusal.status();
            self.history.record(now, Fact::Refused { uuid, call, status, origin: caller.origin });
            return Err(refusal);
        }
        self.show(uuid)
    }

    fn try_change(
        &mut self,
        uuid: ContainerUuid,
        call: CallKind,
        caller: Caller,
        now: Timestamp,
        apply: impl FnOnce(&mut Container, &Change) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        if !caller.admin {
            return Err(Refusal::NotAdmin);
        }
        self.examine(uuid, call, caller.origin)?;
        let auth = format!("{}-gj3su-{}", self.settings.cluster, self.chance.uuid_tail());
        let auth = auth.parse().expect("built from valid parts");
        let change =
            Change { by: caller.token, auth, max_attempts: self.settings.max_dispatch_attempts, now };
        let container = self.containers.get_mut(&uuid).ok_or(Refusal::NotFound)?;
        let before = container.clone();
        apply(container, &change)?;
        let (from, to) = (before.state, container.state);
        self.events.note_container(Some(&before), Some(container), now);
        self.note_change(uuid, Some(before), now);
        if from != to {
            let (by, origin) = (caller.token, caller.origin);
            self.history.record(now, Fact::Changed { uuid, from, to, call, by, origin });
            self.running += usize::from(to == ContainerState::Running);
            self.running -= usize::from(from == ContainerState::Running);
            self.follow_up(uuid, now);
        }
        Ok(())
    }

    /// Makes the next container of a request if the last one was Cancelled and attempts are left.
    fn follow_up(&mut self, uuid: ContainerUuid, now: Timestamp) {
        let Some(container) = self.containers.get(&uuid) else { return };
        let Some(request) = self.requests.get(&container.request) else { return };
        let cancelled = container.state == ContainerState::Cancelled;
        let attempts_left = request.attempts.len() < request.max_attempts as usize;
        let is_latest = request.attempts.last() == Some(&uuid);
        let goes_on = cancelled && request.priority > 0 && attempts_left && is_latest;
        if container.state.is_final() && is_latest {
            self.events.note_request(Deed::Update, &container.request, !goes_on, now);
        }
        if goes_on {
            self.make_container(container.request.clone(), container.spec.clone(), now);
        }
    }

    fn make_container(&mut self, request: String, spec: Arc<ContainerSpec>, now: Timestamp) -> ContainerUuid {
        let uuid = format!("{}-dz642-{}", self.settings.cluster, self.chance.uuid_tail());
        let uuid: ContainerUuid = uuid.parse().expect("built from valid parts");
        let entry = self.requests.get_mut(&request).expect("the caller has it from there or just put it in");
        entry.attempts.push(uuid);
        let attempt = entry.attempts.len() as u32;
        let container =
            Container { attempt, ..Container::new(uuid, request.clone(), spec, entry.priority, now) };
        self.events.note_container(None, Some(&container), now);
        self.note_change(uuid, None, now);
        self.containers.insert(uuid, container);
        self.history.record(now, Fact::Submitted { uuid, request, attempt });
        uuid
    }
}

fn mounts_size(container: &Container) -> usize {
    serde_json::to_vec(&container.spec.mounts).map_or(0, |bytes| bytes.len())
}

#[cfg(test)]
mod tests;
