//! The driver: the port's methods, each made of few calls.

use std::time::Duration;

use async_trait::async_trait;
use dispatch_cloud_kit::tls::TlsError;
use dispatch_cloud_kit::{Backoff, Failure, Malformed, Meaning, Operation, pages};
use dispatch_core::id::{InstanceId, ProviderType};
use dispatch_core::instance::{Instance, InstanceType, PricePoint, Tags};
use dispatch_core::ports::{CloudDriver, CloudError, CreateOrder, HostKey, HostKeyVerdict};
use dispatch_core::time::Timestamp;
use prometheus::Registry;
use slog::Logger;

use crate::answer::instances::{self, Shown};
use crate::answer::prices;
use crate::credentials::{self, Source};
use crate::endpoint::{Endpoint, EndpointError};
use crate::ends::Ends;
use crate::environment;
use crate::keys::Keys;
use crate::metrics::Metrics;
use crate::params::Params;
use crate::quota_group;
use crate::request::{self, Action, Request, RunInstances};
use crate::send::{self, Sender};
use crate::spot::{Question, SpotPrices};
use crate::subnets::Subnets;

/// A listing is worth more than the prices of what it shows, and than why what it does not show has ended.
const BESIDE_WITHIN: Duration = Duration::from_secs(10);

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
    /// Neither the configuration nor the environment names one.
    #[error("no region: set DriverParameters.Region or AWS_REGION (nothing else told one within {0:?})")]
    NoRegion(Duration),
    /// The default chain has no place to look at.
    #[error(
        "no AWS credentials: set DriverParameters.AccessKeyID and SecretAccessKey, or give this host a role"
    )]
    NoCredentials,
    /// A region or an endpoint that cannot be called.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// Somebody would have to log in, in a browser.
    #[error(
        "profile `{profile}` logs in by {word}, which a service without a person cannot do: use a profile with \
         credential_process, role_arn or keys, or give this host a role"
    )]
    SingleSignOn {
        /// The profile's name.
        profile: String,
        /// The word of the profile that says so.
        word: &'static str,
    },
    /// The file of authorities that the environment names.
    #[error("AWS_CA_BUNDLE: {0}")]
    Bundle(TlsError),
    /// The machine trusts no authority that could vouch for EC2's certificates.
    #[error(transparent)]
    Authorities(TlsError),
    /// There is a driver already.
    #[error("cannot register metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// Amazon's cloud.
pub struct Ec2Cloud {
    params: Params,
    sender: Sender,
    keys: Keys,
    subnets: Subnets,
    spot: SpotPrices,
    ends: Ends,
    backoff: Backoff,
    metrics: Metrics,
    now: fn() -> Timestamp,
    log: Logger,
}

impl Ec2Cloud {
    /// Finds region and credentials; calls EC2 for nothing yet.
    ///
    /// # Errors
    /// If there is no region, no source of credentials, or no way to call.
    pub async fn open(options: Options<'_>) -> Result<Self, OpenError> {
        let Options { params, call_timeout, now, registry, log } = options;
        let (credentials, endpoint) = Self::find(&params).await?;
        let metrics = Metrics::new(registry, &params.subnet_ids)?;
        Ok(Self {
            sender: Sender::new(endpoint, credentials, call_timeout, metrics.errors().clone())?,
            keys: Keys::default(),
            subnets: Subnets::new(&params.subnet_ids),
            spot: SpotPrices::new(params.spot_price_update_interval),
            ends: Ends::default(),
            backoff: Backoff::default(),
            metrics,
            params,
            now,
            log,
        })
    }

    /// Whether [`Ec2Cloud::open`] would find what it needs now; for one that will open it later, and should not be
    /// the first to notice then. Keeps nothing.
    ///
    /// # Errors
    /// The same as of `open`.
    pub async fn check(params: &Params) -> Result<(), OpenError> {
        let (_, endpoint) = Self::find(params).await?;
        match endpoint.url.scheme() {
            "https" => send::tls().map(drop),
            _ => Ok(()),
        }
    }

    pub(crate) async fn find(params: &Params) -> Result<(Source, Endpoint), OpenError> {
        let credentials::Found { source, region, variants } = credentials::find(params).await?;
        let variants = environment::variants(variants)?;
        Ok((source, Endpoint::new(&region, variants, params.endpoint.as_deref())?))
    }

    async fn make(&self, order: &CreateOrder) -> Result<Instance, Failure> {
        let key_name = match &order.public_key {
            Some(key) => {
                let name = self.keys.name_of(key, &self.sender, &self.log).await;
                Some(name.map_err(Failure::of_preparation)?)
            }
            None => None,
        };
        let attempt = |subnet| self.make_in(order, subnet, key_name.as_deref());
        self.subnets.try_each(&order.instance_type.offering(), attempt, (self.now)(), &self.log).await
    }

    async fn make_in(
        &self,
        order: &CreateOrder,
        subnet: Option<&str>,
        key_name: Option<&str>,
    ) -> Result<Instance, Failure> {
        let run = RunInstances { order, params: &self.params, subnet, key_name };
        let made = self.sender.call(&run.request(), instances::created).await;
        self.metrics.attempted(subnet, made.is_ok());
        made.map(|listed| listed.instance)
    }

    async fn listed(&self, filter: &Tags) -> Result<Vec<Instance>, Failure> {
        let shown = self
            .pages(
                Action::DescribeInstances,
                |page| request::describe_instances(filter, page),
                instances::page,
            )
            .await?;
        let listed = self.ends.sort_out(shown);
        // Without a filter others' instances are shown, too: they are neither counted nor priced here.
        if filter.0.is_empty() {
            return Ok(listed.into_iter().map(|it| it.instance).collect());
        }
        self.metrics.listed(&listed);
        let missing = self.ends.missing(filter, &listed);
        if !missing.is_empty() {
            self.ask_for_reasons(&missing).await;
        }
        self.spot.saw(&listed);
        if let Some(question) = self.spot.due((self.now)()) {
            self.ask_for_prices(&question).await;
        }
        Ok(listed.into_iter().map(|it| it.instance).collect())
    }

    /// A listing is as good without the reasons why others have ended.
    async fn ask_for_reasons(&self, missing: &[InstanceId]) {
        let action = Action::DescribeInstances;
        let all = self.pages(action, |page| request::describe_ended(missing, page), instances::page);
        // A failure is counted, as each of a call is; there is nothing more to say of it.
        let shown = self.soon(action, all).await.unwrap_or_default();
        for it in shown {
            if let Shown::Over { id, reason } = it {
                self.metrics.ended(&reason);
                self.ends.ended(id, reason);
            }
        }
    }

    /// A listing is as good without prices.
    async fn ask_for_prices(&self, question: &Question) {
        let Question { types, since } = question;
        let action = Action::DescribeSpotPriceHistory;
        let ask = |page: Option<&str>| request::describe_spot_price_history(types, *since, page);
        let answer = self.soon(action, self.pages(action, ask, prices::page)).await;
        if let Err(failure) = &answer {
            slog::warn!(self.log, "cannot fetch spot prices"; "error" => &failure.message, "Code" => &failure.code);
        }
        self.spot.learned(question, answer.ok(), (self.now)());
    }

    /// What a listing does not wait for any longer than that.
    async fn soon<T>(
        &self,
        action: Action,
        asked: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::time::timeout(BESIDE_WITHIN, asked).await.unwrap_or_else(|_| {
            let text = format!("{}: not within {} s", action.as_str(), BESIDE_WITHIN.as_secs());
            let failure = Failure::ours(Meaning::Unknown, "timeout", text);
            self.metrics.errors().failed(action, &failure);
            Err(failure)
        })
    }

    /// All pages of what is asked for.
    async fn pages<T>(
        &self,
        action: Action,
        ask: impl Fn(Option<&str>) -> Request,
        read: impl Fn(&str) -> Result<(Vec<T>, Option<String>), Malformed>,
    ) -> Result<Vec<T>, Failure> {
        let page = async |token: Option<String>| self.sender.call(&ask(token.as_deref()), &read).await;
        pages::all(action.as_str(), page).await
    }
}

#[async_trait(?Send)]
impl CloudDriver for Ec2Cloud {
    async fn create(&self, order: &CreateOrder) -> Result<Instance, CloudError> {
        let made = self.make(order).await.map_err(|failure| failure.without(&order.secret));
        match &made {
            Ok(instance) => self.ends.made(instance),
            Err(failure) => self.keys.failed(failure),
        }
        self.backoff.judge(Operation::Create, made, (self.now)())
    }

    async fn list(&self, filter: &Tags) -> Result<Vec<Instance>, CloudError> {
        let listed = self.listed(filter).await;
        self.backoff.judge(Operation::List, listed, (self.now)())
    }

    async fn destroy(&self, id: &InstanceId) -> Result<(), CloudError> {
        let ended = match self.sender.done(&request::terminate_instances(id)).await {
            // The instance, or a part of it that went before it: the call names nothing else.
            Err(failure) if failure.code.ends_with(".NotFound") => Ok(()),
            ended => ended,
        };
        if ended.is_ok() {
            self.ends.destroyed(id);
        }
        self.backoff.judge(Operation::Destroy, ended, (self.now)())
    }

    async fn set_tags(&self, id: &InstanceId, tags: &Tags) -> Result<(), CloudError> {
        // EC2 refuses an empty list.
        let set = match tags.0.is_empty() {
            true => Ok(()),
            false => self.sender.done(&request::create_tags(id, tags)).await,
        };
        self.backoff.judge(Operation::SetTags, set, (self.now)())
    }

    async fn verify_host_key(&self, _: &InstanceId, _: &HostKey) -> Result<HostKeyVerdict, CloudError> {
        Ok(HostKeyVerdict::NotSupported)
    }

    fn quota_group(&self, provider_type: &ProviderType) -> String {
        quota_group::of(provider_type.as_str(), &self.params.instance_type_quota_groups)
    }

    fn price_history(&self, instance: &Instance, instance_type: &InstanceType) -> Vec<PricePoint> {
        self.spot.history(instance, instance_type, self.params.ebs_price)
    }

    fn end_reason(&self, id: &InstanceId) -> Option<String> {
        self.ends.reason(id)
    }

    fn remote_user(&self) -> &str {
        &self.params.admin_username
    }
}
