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

mod create;
mod list;

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;
use dispatch_cloud_kit::tls::{self, TlsError};
use dispatch_cloud_kit::{Backoff, Failure, Http, Meaning, Operation as Kind, Repeats};
use dispatch_core::id::{InstanceId, ProviderType};
use dispatch_core::instance::{Instance, InstanceType, Price, PricePoint, Tags};
use dispatch_core::ports::{CloudDriver, CloudError, CreateOrder, HostKey, HostKeyVerdict};
use dispatch_core::secret::Secret;
use dispatch_core::time::Timestamp;
use prometheus::Registry;
use slog::Logger;

use self::list::PageSize;
use crate::answer::attributes;
use crate::answer::instances;
use crate::api::Api;
use crate::credentials::{Credentials, Source};
use crate::endpoint::{self, EndpointError};
use crate::environment::Environment;
use crate::host_keys::HostKeys;
use crate::insert::scratch_gib;
use crate::key_file::{KeyFile, KeyFileError};
use crate::metadata_server::MetadataServer;
use crate::metrics::Metrics;
use crate::names::{Vm, is_project};
use crate::params::Params;
use crate::quota_group;
use crate::send::Sender;
use crate::stopped::Stopped;
use crate::tags::{self, TAGS_ITEM};
use crate::zones::Zones;

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
    page_size: PageSize,
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
            page_size: PageSize::default(),
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
        let labels = tags::merged_labels(&found.labels, &tags);
        if labels != found.labels {
            let call = api.set_labels(&vm, &found.label_fingerprint, &labels).hiding(&secret);
            self.sender.change(&call).await?;
        }
        let items = with_tags(found.metadata, &tags);
        let call = api.set_metadata(&vm, &found.metadata_fingerprint, &items).hiding(&secret);
        self.sender.change(&call).await
    }

    // ------------------------------------------------------------ the rest

    async fn end(&self, id: &InstanceId) -> Result<(), Failure> {
        let vm = Vm::of_id(id).ok_or_else(|| not_an_id(id, Meaning::Other))?;
        match self.sender.change(&self.sender.api.delete(&vm)).await {
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

/// No call is made with what is no id of ours.
fn not_an_id(id: &InstanceId, meaning: Meaning) -> Failure {
    Failure::ours(meaning, "bad_id", format!("`{id}` is not ZONE/NAME"))
}

/// All metadata, with these tags: what is not sent again would be gone, startup script and keys too.
fn with_tags(metadata: Vec<(String, String)>, tags: &Tags) -> Vec<(String, String)> {
    let others = metadata.into_iter().filter(|(key, _)| key != TAGS_ITEM);
    others.chain([(TAGS_ITEM.to_owned(), tags::to_item(tags))]).collect()
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
