//! What is tried: the same driver, orders and ssh client as the service's, for one subnet.

use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Context, Result};
use async_trait::async_trait;
use dispatch_actors::cloud::CreateDefaults;
use dispatch_adapters::ssh;
use dispatch_core::driver::{DriverAdvice, Login};
use dispatch_core::id::{InstanceId, InstanceSetId};
use dispatch_core::instance::{Instance, InstanceType, TagKeys, Tags};
use dispatch_core::ports::{
    CloudDriver, CloudError, CreateOrder, Executor, ExecutorFactory, HostKey, HostKeyVerdict,
    HostKeyVerifier, Target,
};
use dispatch_core::secret::Secret;
use dispatch_core::worker::runner::Commands;
use prometheus::Registry;
use rand::RngExt as _;
use slog::Logger;

use super::report::Plan;
use crate::app::create_defaults;
use crate::drivers;
use crate::executors;
use crate::settings::{Driver, Settings};

/// A cloud and the means to log in to its instances.
pub(super) struct Subject {
    pub settings: Settings,
    pub subnet: Option<String>,
    pub set: InstanceSetId,
    pub driver: Rc<dyn CloudDriver>,
    pub tag_keys: TagKeys,
    /// The boot probe, as the service words it.
    pub commands: Commands,
    instance_type: Arc<InstanceType>,
    defaults: CreateDefaults,
    executors: Rc<dyn ExecutorFactory>,
}

impl Subject {
    /// Opens the driver for that subnet alone.
    pub async fn open(
        settings: &Settings,
        plan: &Plan,
        subnet: Option<String>,
        log: &Logger,
    ) -> Result<Self> {
        let settings = narrowed(settings, subnet.as_deref());
        let pem = &settings.containers.private_key.pem;
        let key = ssh::check_private_key(pem.expose()).context("cannot use Containers.DispatchPrivateKey")?;
        let opened = drivers::open(&settings, &key.openssh_public, &Registry::new(), log).await?;
        let verifier = Rc::new(ByDriver(Rc::clone(&opened.driver)));
        let executors = executors::prepare(&settings, log.clone())?.0(verifier);
        let policy = settings.policy.clone();
        let defaults = create_defaults(&settings, key.openssh_public);
        Ok(Self {
            subnet,
            set: plan.set.clone(),
            instance_type: Arc::clone(&plan.instance_type),
            driver: opened.driver,
            tag_keys: policy.tag_keys,
            commands: Commands::without_binary(policy.runner),
            defaults,
            executors,
            settings,
        })
    }

    /// An order as the service sends it, with a secret of its own.
    pub fn order(&self) -> CreateOrder {
        let secret = Secret::new(hex::encode(rand::rng().random::<[u8; 20]>()));
        let tags = self.tag_keys.for_new(&self.set, &self.instance_type.name, &secret);
        self.defaults.order(tags, Arc::clone(&self.instance_type), secret, &self.driver.secret_path())
    }

    /// What a listing of our set is filtered by.
    pub fn filter(&self) -> Tags {
        Tags([(self.tag_keys.instance_set_id.clone(), self.set.as_str().to_owned())].into())
    }

    /// The instances of our set; what else a driver shows is left out, as the service does.
    pub async fn of_set(&self) -> Result<Vec<Instance>, CloudError> {
        let filter = self.filter();
        let listed = self.driver.list(&filter).await?;
        Ok(listed.into_iter().filter(|it| it.tags.matches(&filter)).collect())
    }

    /// A shell on that instance.
    pub fn executor(&self, instance: &InstanceId, address: &str, secret: &Secret) -> Rc<dyn Executor> {
        self.executors.open(Target {
            id: instance.clone(),
            address: address.to_owned(),
            user: self.driver.remote_user().to_owned(),
            secret: Some(secret.clone()),
            secret_path: self.driver.secret_path(),
            secret_copy: None,
        })
    }

    /// What to check, in the words of this cloud.
    pub fn advice(&self) -> &'static dyn DriverAdvice {
        self.settings.driver.advice()
    }

    /// How one logs in, for those who give advice about it.
    pub fn login(&self) -> Login {
        Login {
            user: self.driver.remote_user().to_owned(),
            port: self.settings.cloud.ssh_port,
            secret_path: self.driver.secret_path(),
        }
    }

    /// The command that a person logs in with; a key that stands in the configuration must be put into a file.
    pub fn ssh_command(&self, address: &str) -> String {
        let (host, port) = endpoint(address, self.settings.cloud.ssh_port);
        let file = self.settings.containers.private_key.file.as_deref();
        let file = file.unwrap_or("DISPATCH_PRIVATE_KEY_FILE");
        format!("ssh -i {file} -p {port} {}@{host}", self.driver.remote_user())
    }

    /// Takes what must not be shown out of a text that comes from elsewhere.
    pub fn without_secrets(&self, text: &str, instance_secret: &Secret) -> String {
        let settings = &self.settings;
        let mut secrets = vec![instance_secret, &settings.system_root_token, &settings.management_token];
        secrets.extend(settings.driver.parameters.secrets());
        // What is that short occurs by chance.
        let secrets = secrets.into_iter().map(Secret::expose).filter(|it| it.len() >= 8);
        secrets.fold(text.to_owned(), |text, secret| text.replace(secret, "(secret)"))
    }
}

/// The settings for one subnet.
fn narrowed(settings: &Settings, subnet: Option<&str>) -> Settings {
    let mut settings = settings.clone();
    let Driver { description, parameters } = &settings.driver;
    settings.driver.parameters = description.narrowed(parameters, subnet, &settings.policy.cluster_id);
    settings
}

/// `HOST`, `HOST:PORT` or `[HOST]:PORT`; a bare IPv6 address has no port.
pub(super) fn endpoint(address: &str, default_port: u16) -> (&str, u16) {
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, port.parse().ok()),
        _ => (address, None),
    };
    (host.trim_start_matches('[').trim_end_matches(']'), port.unwrap_or(default_port))
}

/// Asks the driver itself: there is no actor here.
struct ByDriver(Rc<dyn CloudDriver>);

#[async_trait(?Send)]
impl HostKeyVerifier for ByDriver {
    async fn verify(&self, id: &InstanceId, key: &HostKey) -> Result<HostKeyVerdict, CloudError> {
        self.0.verify_host_key(id, key).await
    }
}
