//! The driver: the port's methods, each made of few calls.
//!
//! ```text
//!   create    in each zone in turn: insert ─┬─ refused ──────────────────► its failure
//!                                           ├─ it exists already ─ get ──► that VM, if its tags are those of the order
//!                                           └─ an operation ─ wait ─┬─ done, or it still runs ─► the VM
//!                                                                   ├─ failed ─────────────────► its failure
//!                                                                   └─ no answer ──────────────► unknown
//!   list      aggregatedList, all pages, and beside it delete of what has stopped
//!   set_tags  get ─ merge ─ setLabels, if they differ ─ setMetadata, if nobody else has written meanwhile
//! ```

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;
use dispatch_cloud_kit::tls::{self, TlsError};
use dispatch_cloud_kit::{Backoff, Failure, Http, Meaning, Operation as Kind, Repeats, pages};
use dispatch_core::id::{InstanceId, ProviderType};
use dispatch_core::instance::{Instance, InstanceType, Price, PricePoint, Tags};
use dispatch_core::ports::{CloudDriver, CloudError, CreateOrder, HostKey, HostKeyVerdict};
use dispatch_core::secret::Secret;
use dispatch_core::time::Timestamp;
use prometheus::Registry;
use slog::Logger;

use crate::answer::attributes;
use crate::answer::instances::{self, Listed};
use crate::answer::operation::{self, Operation};
use crate::api::Api;
use crate::credentials::{Credentials, Source};
use crate::endpoint::{self, EndpointError};
use crate::environment::Environment;
use crate::errors::ALREADY_EXISTS;
use crate::host_keys::HostKeys;
use crate::insert::{Insert, scratch_gib};
use crate::key_file::{KeyFile, KeyFileError};
use crate::metadata_server::MetadataServer;
use crate::metrics::Metrics;
use crate::names::{self, Vm, is_project};
use crate::params::Params;
use crate::quota_group;
use crate::send::Sender;
use crate::stopped::Stopped;
use crate::tags::{self, TAGS_ITEM};
use crate::zones::Zones;

/// Between two looks at an operation whose server does not wait.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(500);
/// How long the operation of an order is waited for: a lack of VMs or a quota is told within seconds.
const WAIT_WITHIN: Duration = Duration::from_secs(30);
const HOURS_A_MONTH: f64 = 730.0;

/// What a driver is made of.
pub struct Options<'a> {
    /// The site's wishes.
    pub params: Params,
    /// Deadline of each call.
    pub call_timeout: Duration,
    /// The dispatcher's clock.
    pub now: fn() -> Timestamp,
    /// Gets the driver's series.
    pub registry: &'a Registry,
    /// The log, for what is neither an answer nor an error.
    pub log: Logger,
}

/// Why there is no driver.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file of the configuration, or of `GOOGLE_APPLICATION_CREDENTIALS`.
    #[error("cannot use the service account's key: {0}")]
    KeyFile(#[from] KeyFileError),
    /// Neither the configuration nor the key names one, and this host does not know one.
    #[error("no project: set DriverParameters.ProjectID ({0})")]
    NoProject(String),
    /// A name of the environment that is no host's.
    #[error("{0}")]
    MetadataHost(String),
    /// An endpoint that cannot be called.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The machine trusts no authority that could vouch for Google's certificates.
    #[error(transparent)]
    Authorities(#[from] TlsError),
    /// There is a driver already.
    #[error("cannot register metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// Google's cloud.
pub struct GceCloud {
    params: Params,
    sender: Rc<Sender>,
    zones: Zones,
    host_keys: HostKeys,
    stopped: Stopped,
    backoff: Backoff,
    metrics: Metrics,
    told: Repeats,
    /// How long the operation of an order is waited for.
    pub(crate) patience: Duration,
    now: fn() -> Timestamp,
    log: Logger,
}

/// What is found before Compute Engine is called.
struct Found {
    api: Api,
    credentials: Credentials,
    /// A key that everybody on this machine may read.
    open_to_all: Option<PathBuf>,
}

impl GceCloud {
    /// Finds project and credentials; calls Compute Engine for nothing yet.
    ///
    /// # Errors
    /// If there is no project, no usable key, or no way to call.
    pub async fn open(options: Options<'_>) -> Result<Self, OpenError> {
        Self::open_in(options, Environment::this()).await
    }

    pub(crate) async fn open_in(options: Options<'_>, environment: Environment) -> Result<Self, OpenError> {
        let Options { params, call_timeout, now, registry, log } = options;
        let Found { api, credentials, open_to_all } = Self::find(&params, environment).await?;
        if let Some(path) = open_to_all {
            slog::warn!(log, "everybody on this machine may use the key of the cloud"; "Path" => %path.display());
        }
        let metrics = Metrics::new(registry, &params.zones)?;
        let tls = if api.base().scheme() == "https" { Some(tls::config(None)?) } else { None };
        let http = Http::new(call_timeout, tls);
        Ok(Self {
            sender: Rc::new(Sender::new(http, api, credentials, metrics.errors().clone(), now)),
            zones: Zones::new(&params.zones),
            host_keys: HostKeys::default(),
            stopped: Stopped::default(),
            backoff: Backoff::default(),
            told: Repeats::default(),
            patience: WAIT_WITHIN,
            metrics,
            params,
            now,
            log,
        })
    }

    /// Whether [`GceCloud::open`] would find what it needs now; for one that will open it later, and should not be the
    /// first to notice then. Keeps nothing.
    ///
    /// # Errors
    /// The same as of `open`.
    pub async fn check(params: &Params) -> Result<(), OpenError> {
        let found = Self::find(params, Environment::this()).await?;
        match found.api.base().scheme() {
            "https" => Ok(tls::config(None).map(drop)?),
            _ => Ok(()),
        }
    }

    async fn find(params: &Params, environment: Environment) -> Result<Found, OpenError> {
        let base = endpoint::endpoint(params.endpoint.as_deref())?;
        let configured = Some(params.project_id.clone()).filter(|it| !it.is_empty());
        let file = Some(&params.credentials_file).filter(|it| !it.is_empty()).map(PathBuf::from);
        let Some(path) = file.or(environment.file) else {
            let server = MetadataServer::at(environment.metadata_host.as_deref());
            let server = server.map_err(OpenError::MetadataHost)?;
            let project = match configured {
                Some(project) => project,
                None => server.project().await.map_err(OpenError::NoProject)?,
            };
            let credentials = Credentials::new(Source::Host(server));
            return Ok(Found { api: Api::new(base, &project), credentials, open_to_all: None });
        };
        let file = KeyFile::read(&path)?;
        let of_key = || Some(file.project.clone()).filter(|it| is_project(it));
        let project = configured.or_else(of_key);
        let project = project.ok_or_else(|| OpenError::NoProject("the key names none".to_owned()))?;
        let tls = if file.token_uri.scheme() == "https" { Some(tls::config(None)?) } else { None };
        let credentials = Credentials::new(Source::key(&path, tls));
        let open_to_all = file.is_open_to_all.then_some(path);
        Ok(Found { api: Api::new(base, &project), credentials, open_to_all })
    }

    // ------------------------------------------------------------ create

    async fn make(&self, order: &CreateOrder) -> Result<Instance, Failure> {
        let attempt = |zone| self.make_in(order, zone);
        self.zones.try_each(&order.instance_type.offering(), attempt, (self.now)(), &self.log).await
    }

    async fn make_in(&self, order: &CreateOrder, zone: &str) -> Result<Instance, Failure> {
        let made = self.insert(order, zone).await;
        self.metrics.attempted(zone, made.is_ok());
        // Of an order's parts this one is not there; the port's word for a VM that is gone is another.
        made.map_err(|failure| match failure.meaning {
            Meaning::NotFound => Failure { meaning: Meaning::Other, ..failure },
            _ => failure,
        })
    }

    async fn insert(&self, order: &CreateOrder, zone: &str) -> Result<Instance, Failure> {
        let set = tags::set_of(&order.tags);
        let vm = Vm { zone: zone.to_owned(), name: names::of_order(set, &order.secret) };
        let api = &self.sender.api;
        let insert = Insert { order, params: &self.params, project: &api.project, zone, name: &vm.name };
        let request_id = names::request_id(set, &order.secret, zone);
        let call = api.insert(zone, &request_id, &insert.body()?).hiding(&order.secret);
        let accepted = self.sender.call(&call, operation::read).await;
        let made = match accepted {
            Ok(operation) => self.watch(call.name, operation, order, zone).await,
            Err(failure) => Err(failure),
        };
        match made {
            Ok(()) => {}
            Err(failure) if is_there_already(&failure) => return self.adopt(order, &vm, failure).await,
            Err(failure) => return Err(failure),
        }
        Ok(Instance {
            id: vm.id(),
            provider_type: order.instance_type.provider_type.clone(),
            address: String::new(),
            tags: order.tags.clone(),
            price_history: Vec::new(),
            launched: None,
        })
    }

    /// Waits until the operation has ended, but not for ever: one that still runs will end well, or its VM is in no listing.
    async fn watch(
        &self,
        call: &'static str,
        first: Operation,
        order: &CreateOrder,
        zone: &str,
    ) -> Result<(), Failure> {
        let ended = tokio::time::timeout(self.patience, self.end_of(first, zone)).await;
        match ended {
            Ok(Ok(Operation::Failed(error))) => {
                Err(self.sender.refused(call, error.refusal(), std::slice::from_ref(&order.secret)))
            }
            Ok(Ok(Operation::Done | Operation::Running(_))) | Err(_) => Ok(()),
            // That it was not answered says nothing of the VM; that we may not look says that the order was accepted.
            Ok(Err(failure)) if failure.meaning == Meaning::Unknown => Err(failure),
            Ok(Err(_)) => Ok(()),
        }
    }

    async fn end_of(&self, first: Operation, zone: &str) -> Result<Operation, Failure> {
        let mut operation = first;
        let mut looks = 0;
        while let Operation::Running(name) = &operation {
            if looks > 0 {
                tokio::time::sleep(LOOK_AGAIN_AFTER).await;
            }
            operation = self.sender.call(&self.sender.api.wait(zone, name), operation::read).await?;
            looks += 1;
        }
        Ok(operation)
    }

    /// The order was sent before: it is this VM, if it is ours. Without a look nobody knows.
    async fn adopt(&self, order: &CreateOrder, vm: &Vm, why: Failure) -> Result<Instance, Failure> {
        let call = self.sender.api.get(vm).hiding(&order.secret);
        let found = self.sender.call(&call, instances::one).await;
        let found = found.map_err(|failure| Failure { meaning: Meaning::Unknown, ..failure })?;
        let is_same = |of: fn(&Tags) -> &str| of(&found.instance.tags) == of(&order.tags);
        match is_same(tags::set_of) && is_same(tags::secret_of) {
            true => Ok(found.instance),
            false => Err(Failure { message: format!("{}, and is none of ours", why.message), ..why }),
        }
    }

    // ------------------------------------------------------------ list

    async fn listed(&self, filter: &Tags) -> Result<Vec<Instance>, Failure> {
        let label = tags::filter(filter);
        let page = async |token: Option<String>| {
            let call = self.sender.api.list(label.as_ref(), token.as_deref());
            self.sender.call(&call, instances::page).await
        };
        let shown = pages::all("instances.aggregatedList", page).await?;
        if label.is_some() {
            self.tell_defaced(&shown);
        }
        let ours: Vec<_> = shown.into_iter().filter(|it| it.instance.tags.matches(filter)).collect();
        // Without a set others' VMs are shown, too: they are neither counted nor deleted here.
        if label.is_some() {
            self.metrics.listed(ours.iter().map(|it| it.vm.zone.as_str()));
            self.delete_stopped(&ours);
        }
        Ok(ours.into_iter().map(|it| it.instance).collect())
    }

    /// A VM with the set's label whose tags cannot be read is nobody's: a person must look at it.
    fn tell_defaced(&self, shown: &[Listed]) {
        for it in shown.iter().filter(|it| it.is_defaced) {
            let id = it.instance.id.as_str();
            if let Some(left_out) = self.told.note(id, (self.now)()) {
                slog::warn!(self.log, "tags of an instance cannot be read"; "Instance" => id,
                    "Repeated" => left_out);
            }
        }
    }

    fn delete_stopped(&self, ours: &[Listed]) {
        let stopped = ours.iter().filter(|it| it.is_stopped).map(|it| &it.vm);
        for vm in self.stopped.delete(stopped, &self.sender, self.metrics.stopped()) {
            slog::info!(self.log, "deleting an instance that has stopped by itself";
                "Instance" => vm.id().as_str());
        }
    }

    // ------------------------------------------------------------ set_tags

    async fn tag(&self, id: &InstanceId, change: &Tags) -> Result<(), Failure> {
        let vm = Vm::of_id(id).ok_or_else(|| not_an_id(id, Meaning::NotFound))?;
        let api = &self.sender.api;
        let found = self.sender.call(&api.get(&vm), instances::one).await?;
        if found.is_defaced {
            let text = format!("tags of {id} cannot be read, and are not overwritten");
            return Err(Failure::ours(Meaning::Other, "defaced_tags", text));
        }
        let mut tags = found.instance.tags.clone();
        tags.merge(change);
        let secret = Secret::new(tags::secret_of(&tags));
        let labels = merged_labels(&found, &tags);
        if labels != found.labels {
            let call = api.set_labels(&vm, &found.label_fingerprint, &labels).hiding(&secret);
            self.change(call).await?;
        }
        let items = with_tags(found.metadata, &tags);
        let call = api.set_metadata(&vm, &found.metadata_fingerprint, &items).hiding(&secret);
        self.change(call).await
    }

    /// Not waited for longer than the answer; but what has failed already is told.
    async fn change(&self, call: crate::api::Call) -> Result<(), Failure> {
        match self.sender.call(&call, operation::read).await? {
            Operation::Failed(error) => Err(self.sender.refused(call.name, error.refusal(), &call.secrets)),
            Operation::Running(_) | Operation::Done => Ok(()),
        }
    }

    // ------------------------------------------------------------ the rest

    async fn end(&self, id: &InstanceId) -> Result<(), Failure> {
        let vm = Vm::of_id(id).ok_or_else(|| not_an_id(id, Meaning::Other))?;
        match self.change(self.sender.api.delete(&vm)).await {
            // The VM, or a part of it that went before it.
            Err(failure) if failure.meaning == Meaning::NotFound => Ok(()),
            ended => ended,
        }
    }

    async fn judged(&self, id: &InstanceId, key: &HostKey) -> Result<HostKeyVerdict, Failure> {
        let Some(vm) = Vm::of_id(id).filter(|_| self.params.verify_host_keys) else {
            return Ok(HostKeyVerdict::NotSupported);
        };
        if let Some(verdict) = self.host_keys.known(id, key, (self.now)()) {
            return Ok(verdict);
        }
        let published = self.sender.call(&self.sender.api.host_keys(&vm), attributes::read).await;
        self.host_keys.judge(id, key, published, (self.now)())
    }
}

fn is_there_already(failure: &Failure) -> bool {
    ALREADY_EXISTS.contains(&failure.code.as_str())
}

/// No call is made with what is no id of ours.
fn not_an_id(id: &InstanceId, meaning: Meaning) -> Failure {
    Failure::ours(meaning, "bad_id", format!("`{id}` is not ZONE/NAME"))
}

/// All metadata, with these tags: what is not sent again would be gone, startup script and keys too.
fn with_tags(metadata: Vec<(String, String)>, tags: &Tags) -> Vec<(String, String)> {
    let others = metadata.into_iter().filter(|(key, _)| key != TAGS_ITEM);
    others.chain([(TAGS_ITEM.to_owned(), tags::to_item(tags))]).collect()
}

/// The labels that are there, and those of the tags; others' labels stay.
fn merged_labels(found: &Listed, tags: &Tags) -> BTreeMap<String, String> {
    let mut labels = found.labels.clone();
    labels.extend(tags::labels(tags));
    labels
}

#[async_trait(?Send)]
impl CloudDriver for GceCloud {
    async fn create(&self, order: &CreateOrder) -> Result<Instance, CloudError> {
        let made = self.make(order).await.map_err(|failure| failure.without(&order.secret));
        self.backoff.judge(Kind::Create, made, (self.now)())
    }

    async fn list(&self, filter: &Tags) -> Result<Vec<Instance>, CloudError> {
        let listed = self.listed(filter).await;
        self.backoff.judge(Kind::List, listed, (self.now)())
    }

    async fn destroy(&self, id: &InstanceId) -> Result<(), CloudError> {
        let ended = self.end(id).await;
        self.backoff.judge(Kind::Destroy, ended, (self.now)())
    }

    async fn set_tags(&self, id: &InstanceId, tags: &Tags) -> Result<(), CloudError> {
        let set = match tags.0.is_empty() {
            true => Ok(()),
            false => self.tag(id, tags).await,
        };
        self.backoff.judge(Kind::SetTags, set, (self.now)())
    }

    async fn verify_host_key(&self, id: &InstanceId, key: &HostKey) -> Result<HostKeyVerdict, CloudError> {
        self.judged(id, key).await.map_err(Failure::into_cloud_error)
    }

    fn quota_group(&self, provider_type: &ProviderType) -> String {
        quota_group::of(provider_type.as_str(), &self.params.instance_type_quota_groups)
    }

    /// No call tells prices. A VM costs what its type does, and its attached disk.
    fn price_history(&self, instance: &Instance, instance_type: &InstanceType) -> Vec<PricePoint> {
        let disk = self.params.scratch_disk_price * scratch_gib(instance_type) as f64 / HOURS_A_MONTH;
        let price = Price::new(instance_type.price.per_hour() + disk).filter(|_| disk > 0.0);
        let point = instance.launched.zip(price).map(|(start_time, price)| PricePoint { start_time, price });
        point.into_iter().collect()
    }

    fn remote_user(&self) -> &str {
        &self.params.admin_username
    }
}
