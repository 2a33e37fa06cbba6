//! The driver: the port's methods, each made of few calls.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;
use dispatch_cloud_kit::tls::{self, TlsError};
use dispatch_cloud_kit::{Backoff, Failure, Http, Meaning, Method, NO_CONNECTION, Operation, Repeats};
use dispatch_core::id::{InstanceId, ProviderType};
use dispatch_core::instance::{Instance, Tags};
use dispatch_core::ports::{CloudDriver, CloudError, CreateOrder, HostKey, HostKeyVerdict};
use dispatch_core::secret::Secret;
use dispatch_core::time::Timestamp;
use prometheus::Registry;
use serde_json::json;
use slog::Logger;

use crate::answer::{Interface, Machine};
use crate::arm::{Arm, Call, Reply, Request};
use crate::cloud::{Cloud, UnknownCloud};
use crate::credentials::{Credentials, Identity};
use crate::environment::Environment;
use crate::errors::{EXISTS, of_an_order_without_vm};
use crate::leftovers::{Leftovers, Seen};
use crate::metrics::{Leftover, Metrics};
use crate::operation::{self, Fate};
use crate::order::Making;
use crate::params::Params;
use crate::{quota_group, resource};

/// How long an order that has failed waits until its own leavings are deleted; a clean-up looks for the rest.
const TIDY_WITHIN: Duration = Duration::from_secs(10);

/// What a driver is made of.
pub struct Options<'a> {
    /// The site's wishes.
    pub params: Params,
    /// What the environment says.
    pub environment: Environment,
    /// The name of the tag that says of which instance set a VM is.
    pub set_tag: String,
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
    /// Neither a name nor a file says where to call.
    #[error(transparent)]
    Cloud(#[from] UnknownCloud),
    /// The environment says that we are a workload identity, and not whose.
    #[error(
        "AZURE_FEDERATED_TOKEN_FILE is set: AZURE_TENANT_ID must be, too, and AZURE_CLIENT_ID or \
         DriverParameters.ClientID"
    )]
    HalfWorkloadIdentity,
    /// It would become a part of a URL.
    #[error("the tenant (TenantID of DriverParameters, or AZURE_TENANT_ID) is no directory's id or domain")]
    BadTenant,
    /// Whoever answers there says who we are.
    #[error("AZURE_POD_IDENTITY_AUTHORITY_HOST is no URL of this host's metadata service")]
    BadIdentityHost,
    /// The machine trusts no authority that could vouch for Azure's certificates.
    #[error(transparent)]
    Authorities(#[from] TlsError),
    /// There is a driver already.
    #[error("cannot register metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// What the driver shares with the clean-up that goes on beside it.
pub(crate) struct Core {
    pub arm: Arm,
    pub params: Params,
    pub set_tag: String,
    pub metrics: Metrics,
    pub repeats: Repeats,
    pub now: fn() -> Timestamp,
    pub log: Logger,
}

/// Microsoft's cloud.
pub struct AzureCloud {
    core: Rc<Core>,
    backoff: Backoff,
    leftovers: Leftovers,
}

impl AzureCloud {
    /// Finds out where to call and who we are; calls nobody yet.
    ///
    /// # Errors
    /// If the parameters, the environment and this machine do not say so.
    pub fn open(options: Options<'_>) -> Result<Self, OpenError> {
        let Options { params, environment, set_tag, call_timeout, now, registry, log } = options;
        let (cloud, identity) = Self::find(&params, &environment)?;
        let metrics = Metrics::new(registry)?;
        let http = || -> Result<Http, OpenError> {
            let tls = if needs_tls(&cloud, &identity) { Some(tls::config(None)?) } else { None };
            Ok(Http::new(call_timeout, tls))
        };
        let (of_tokens, of_calls) = (http()?, http()?);
        let credentials = Credentials::new(identity, cloud.clone(), of_tokens);
        let arm = Arm::new(of_calls, cloud.manager, credentials, metrics.errors().clone());
        let core = Core { arm, params, set_tag, metrics, repeats: Repeats::default(), now, log };
        Ok(Self { core: Rc::new(core), backoff: Backoff::default(), leftovers: Leftovers::default() })
    }

    /// Whether [`AzureCloud::open`] would find what it needs now; for one that will open it later, and should not be the
    /// first to notice then. Keeps nothing.
    ///
    /// # Errors
    /// The same as of `open`.
    pub fn check(params: &Params, environment: &Environment) -> Result<(), OpenError> {
        let (cloud, identity) = Self::find(params, environment)?;
        match needs_tls(&cloud, &identity) {
            true => Ok(tls::config(None).map(drop)?),
            false => Ok(()),
        }
    }

    fn find(params: &Params, environment: &Environment) -> Result<(Cloud, Identity), OpenError> {
        let cloud = Cloud::new(&params.cloud_environment, environment.cloud_file.as_deref())?;
        Ok((cloud, Identity::new(params, environment)?))
    }

    // ------------------------------------------------------------ an order

    async fn make(&self, order: &CreateOrder) -> Result<Instance, Failure> {
        let core = &self.core;
        let making = Making::new(order, &core.params, &core.set_tag, (core.now)())?;
        let interface = self.make_interface(&making, &order.secret).await.map_err(of_an_order_without_vm)?;
        match self.order_machine(&making, &interface.id, &order.secret).await {
            Ok(accepted) => self.accepted(&making, order, &interface, &accepted).await,
            Err(failure) if failure.code == EXISTS => self.found(&making, &interface).await,
            Err(failure) if failure.meaning == Meaning::Unknown => Err(failure),
            Err(failure) => {
                // It was refused: nobody will need the NIC. Without a connection it would not go either.
                if failure.code != NO_CONNECTION {
                    self.tidy(Call::DeleteInterface, &making.interface(), resource::NETWORK).await;
                }
                Err(of_an_order_without_vm(failure))
            }
        }
    }

    async fn make_interface(&self, making: &Making<'_>, secret: &Secret) -> Result<Interface, Failure> {
        let arm = &self.core.arm;
        let request = Request {
            body: Some(making.interface_body()),
            secrets: vec![secret.clone()],
            ..Request::new(Call::PutInterface, Method::PUT, arm.url(&making.interface(), resource::NETWORK))
        };
        let read = arm.call(request).await?.read::<Interface>();
        // Azure's own id may be spelled otherwise.
        read.map(|it| it.of_id(making.interface()))
            .map_err(|failure| failure.of_call(Call::PutInterface.as_str()))
            .inspect_err(|failure| arm.failed(Call::PutInterface, failure))
    }

    async fn order_machine(
        &self,
        making: &Making<'_>,
        interface: &str,
        secret: &Secret,
    ) -> Result<Reply, Failure> {
        let arm = &self.core.arm;
        let request = Request {
            body: Some(making.machine_body(interface)),
            only_new: true,
            secrets: vec![secret.clone()],
            ..Request::new(Call::PutMachine, Method::PUT, arm.url(&making.machine(), resource::COMPUTE))
        };
        arm.call(request).await
    }

    /// Azure has taken the order; whether it can be done is seen in the next seconds, or in listings.
    async fn accepted(
        &self,
        making: &Making<'_>,
        order: &CreateOrder,
        interface: &Interface,
        accepted: &Reply,
    ) -> Result<Instance, Failure> {
        let arm = &self.core.arm;
        // An answer that is none may come from anybody: whether the VM is there, a listing says.
        let machine: Machine = accepted
            .read()
            .map_err(|failure| failure.of_call(Call::PutMachine.as_str()))
            .inspect_err(|failure| arm.failed(Call::PutMachine, failure))?;
        if !machine.is_settled()
            && let Fate::Failed(failure) =
                operation::watch(arm, accepted, std::slice::from_ref(&order.secret)).await
        {
            arm.failed(Call::PutMachine, &failure);
            // It is there, does not work, and counts; NIC and disks go with it.
            if self.tidy(Call::DeleteMachine, &making.machine(), resource::COMPUTE).await {
                self.core.metrics.deleted(Leftover::Machine);
            }
            return Err(failure);
        }
        Ok(Instance {
            id: instance_id(&making.machine())?,
            provider_type: order.instance_type.provider_type.clone(),
            address: interface.address().to_owned(),
            tags: making.tags.clone(),
            price_history: Vec::new(),
            launched: machine.created(),
        })
    }

    /// The same order has made it before.
    async fn found(&self, making: &Making<'_>, interface: &Interface) -> Result<Instance, Failure> {
        let arm = &self.core.arm;
        let url = arm.url(&making.machine(), resource::COMPUTE);
        let found = arm.call(Request::new(Call::GetMachine, Method::GET, url)).await;
        let found = found.and_then(|reply| {
            let read = reply.read::<Machine>();
            read.map_err(|failure| failure.of_call(Call::GetMachine.as_str()))
                .inspect_err(|failure| arm.failed(Call::GetMachine, failure))
        });
        // It has just been there.
        let machine = found.map_err(|failure| Failure { meaning: Meaning::Unknown, ..failure })?;
        self.instance(&machine, interface.address())
    }

    /// Deletes what an order that has failed leaves; whether Azure took that.
    async fn tidy(&self, call: Call, id: &str, version: &str) -> bool {
        let arm = &self.core.arm;
        let request = Request::new(call, Method::DELETE, arm.url(id, version));
        matches!(tokio::time::timeout(TIDY_WITHIN, arm.call(request)).await, Ok(Ok(_)))
    }

    // ------------------------------------------------------------ a listing

    async fn listed(&self, filter: &Tags) -> Result<Vec<Instance>, Failure> {
        let (arm, params) = (&self.core.arm, &self.core.params);
        let url = arm.url(&resource::machines(params), resource::COMPUTE);
        let machines: Vec<Machine> = arm.all(Call::ListMachines, url).await?;
        let ours: Vec<&Machine> = machines.iter().filter(|it| Tags(it.tags()).matches(filter)).collect();
        let set = filter.get(&self.core.set_tag).filter(|_| self.leftovers.is_due((self.core.now)()));
        if ours.is_empty() && set.is_none() {
            return Ok(Vec::new());
        }
        // After the VMs: a VM's NIC is there before it.
        let url = arm.url(&resource::interfaces(params), resource::NETWORK);
        let interfaces: Vec<Interface> = arm.all(Call::ListInterfaces, url).await?;
        let addresses: BTreeMap<String, &str> =
            interfaces.iter().map(|it| (it.id.to_ascii_lowercase(), it.address())).collect();
        let address = |machine: &Machine| {
            let mut all = machine.interfaces().filter_map(|id| addresses.get(&id.to_ascii_lowercase()));
            all.next().copied().unwrap_or_default()
        };
        let listed = ours.into_iter().map(|it| self.instance(it, address(it))).collect::<Result<_, _>>()?;
        if let Some(set) = set {
            let lower = |text: &str| text.to_ascii_lowercase();
            let used: BTreeSet<_> = machines.iter().flat_map(|it| it.interfaces().map(lower)).collect();
            let seen = Seen {
                set: set.to_owned(),
                machines: machines.iter().map(|it| lower(&it.name)).collect(),
                used,
                interfaces,
            };
            self.leftovers.begin(&self.core, seen);
        }
        Ok(listed)
    }

    /// Names are compared without case, and Azure does not keep it: an id is the same in all listings.
    fn instance(&self, machine: &Machine, address: &str) -> Result<Instance, Failure> {
        let all = resource::machines(&self.core.params);
        let provider_type = ProviderType::new(machine.size())
            .map_err(|_| Failure::malformed("a VM whose size has no name"))?;
        Ok(Instance {
            id: instance_id(&format!("{all}/{}", machine.name.to_ascii_lowercase()))?,
            provider_type,
            address: address.to_owned(),
            tags: Tags(machine.tags()),
            price_history: Vec::new(),
            launched: machine.created(),
        })
    }

    /// The path of an instance of ours. One of another group is not there for us.
    fn path(&self, id: &InstanceId) -> Result<String, Failure> {
        let not_ours = || {
            let group = &self.core.params.resource_group;
            Failure::ours(Meaning::Other, "not_ours", format!("{id} is no VM of resource group {group}"))
        };
        resource::of_instance(&self.core.params, id).ok_or_else(not_ours)
    }

    async fn end(&self, id: &InstanceId) -> Result<(), Failure> {
        let arm = &self.core.arm;
        let url = arm.url(&self.path(id)?, resource::COMPUTE);
        match arm.call(Request::new(Call::DeleteMachine, Method::DELETE, url)).await {
            Ok(_) | Err(Failure { meaning: Meaning::NotFound, .. }) => Ok(()),
            Err(failure) => Err(failure),
        }
    }

    async fn merge_tags(&self, id: &InstanceId, tags: &Tags) -> Result<(), Failure> {
        let arm = &self.core.arm;
        let path = format!("{}/providers/Microsoft.Resources/tags/default", self.path(id)?);
        if tags.0.is_empty() {
            return Ok(());
        }
        let request = Request {
            body: Some(json!({"operation": "Merge", "properties": {"tags": tags.0}})),
            ..Request::new(Call::MergeTags, Method::PATCH, arm.url(&path, resource::TAGS))
        };
        arm.call(request).await.map(drop)
    }
}

/// Whether any of those that are called is called by https.
fn needs_tls(cloud: &Cloud, identity: &Identity) -> bool {
    let of_identity = match identity {
        Identity::Managed { service, .. } => Some(service),
        Identity::ServicePrincipal { .. } | Identity::Workload { .. } => None,
    };
    [&cloud.manager, &cloud.login].into_iter().chain(of_identity).any(|it| it.scheme() == "https")
}

fn instance_id(text: &str) -> Result<InstanceId, Failure> {
    InstanceId::new(text).map_err(|_| Failure::malformed("a VM whose name is no part of an id"))
}

#[async_trait(?Send)]
impl CloudDriver for AzureCloud {
    async fn create(&self, order: &CreateOrder) -> Result<Instance, CloudError> {
        let made = self.make(order).await.map_err(|failure| failure.without(&order.secret));
        self.backoff.judge(Operation::Create, made, (self.core.now)())
    }

    async fn list(&self, filter: &Tags) -> Result<Vec<Instance>, CloudError> {
        let listed = self.listed(filter).await;
        self.backoff.judge(Operation::List, listed, (self.core.now)())
    }

    async fn destroy(&self, id: &InstanceId) -> Result<(), CloudError> {
        let ended = self.end(id).await;
        self.backoff.judge(Operation::Destroy, ended, (self.core.now)())
    }

    async fn set_tags(&self, id: &InstanceId, tags: &Tags) -> Result<(), CloudError> {
        let set = self.merge_tags(id, tags).await;
        self.backoff.judge(Operation::SetTags, set, (self.core.now)())
    }

    async fn verify_host_key(&self, _: &InstanceId, _: &HostKey) -> Result<HostKeyVerdict, CloudError> {
        Ok(HostKeyVerdict::NotSupported)
    }

    fn quota_group(&self, provider_type: &ProviderType) -> String {
        quota_group::of(provider_type.as_str(), &self.core.params.instance_type_quota_groups)
    }

    fn remote_user(&self) -> &str {
        &self.core.params.admin_username
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    #[test]
    fn who_is_called_by_https_is_believed_by_its_certificate_whoever_of_them_it_is() {
        let url = |scheme: &str| Url::parse(&format!("{scheme}://127.0.0.1:1/")).unwrap();
        let cloud = |manager, login| Cloud {
            manager: url(manager),
            login: url(login),
            audience: "whoever".to_owned(),
        };
        let host = |scheme| Identity::Managed { client: String::new(), service: url(scheme) };
        assert!(!needs_tls(&cloud("http", "http"), &host("http")));
        assert!(needs_tls(&cloud("https", "http"), &host("http")));
        assert!(needs_tls(&cloud("http", "https"), &host("http")));
        assert!(needs_tls(&cloud("http", "http"), &host("https")));
    }
}
