//! What to check when Azure refuses something, or its instance cannot be used. Exhaustive: a new kind of error must be
//! given advice.

use dispatch_cloud_kit::never_arrived;
use dispatch_core::driver::{CloudCall, DriverAdvice, Login};
use dispatch_core::ports::{CapacityScope, CloudError, CloudErrorKind};

/// The advice of driver `azure`.
#[derive(Debug, Clone, Copy)]
pub struct Advice;

/// What the call needs in Azure's words.
fn permission(call: CloudCall) -> &'static str {
    match call {
        CloudCall::List => {
            "Microsoft.Compute/virtualMachines/read and Microsoft.Network/networkInterfaces/read on ResourceGroup"
        }
        CloudCall::Create => {
            "Microsoft.Compute/virtualMachines/write, Microsoft.Compute/disks/write and \
             Microsoft.Network/networkInterfaces/{write,join/action} on ResourceGroup, \
             Microsoft.Network/virtualNetworks/subnets/join/action on the subnet, and read on the image"
        }
        CloudCall::SetTags => "Microsoft.Resources/tags/write on ResourceGroup",
        CloudCall::Destroy => "Microsoft.Compute/virtualMachines/delete on ResourceGroup",
    }
}

/// What may be wrong with the call if Azure just refuses.
fn refused(call: CloudCall) -> &'static str {
    match call {
        CloudCall::List => "SubscriptionID, ResourceGroup and CloudEnvironment",
        CloudCall::Create => {
            "ImageID with ImageResourceGroup or the gallery, the type's ProviderType, Location, Network and Subnet with \
             NetworkResourceGroup, AdminUsername and ResourceTags against what the cloud says here (all must be of the \
             same region), and that no policy of the subscription forbids it"
        }
        CloudCall::SetTags => {
            "TagKeyPrefix and ResourceTags: the cloud limits names, values and number of tags"
        }
        CloudCall::Destroy => "that no lock protects the instance; delete it in the portal",
    }
}

impl DriverAdvice for Advice {
    fn never_arrived(&self, error: &CloudError) -> bool {
        never_arrived(error)
    }

    fn call_failed(&self, call: CloudCall, error: &CloudError) -> String {
        let check = match error.kind {
            CloudErrorKind::RateLimited { .. } => {
                "who else calls this subscription's API so often; try again in a minute"
            }
            CloudErrorKind::Quota(_) | CloudErrorKind::Capacity(CapacityScope::QuotaGroup) => {
                "the subscription's quota of cores in this region, for this family and market (and the free addresses of \
                 the subnet): have it raised, or delete what is not needed"
            }
            CloudErrorKind::Capacity(_) => {
                "whether the cloud offers this type in Location to this subscription (az vm list-skus): try \
                 --instance-type, or later"
            }
            // No driver answers so.
            CloudErrorKind::NotSent => "whether this process may act",
            CloudErrorKind::NotFound => "whether somebody else deleted the instance",
            CloudErrorKind::Unauthorized => {
                return format!(
                    "ClientID, ClientSecret (has it expired?) and TenantID, or this host's managed identity, this host's \
                     clock, CloudEnvironment, and that the role allows {}",
                    permission(call)
                );
            }
            CloudErrorKind::Unknown => {
                "the way from this host to the cloud's API (DNS, proxy, firewall), then try again with \
                 --destroy-existing"
            }
            CloudErrorKind::Other if self.never_arrived(error) => {
                "the way from this host to the cloud's API and to its login: DNS, routes, firewall (Azure is called \
                 directly, HTTPS_PROXY or not), the system's certificate authorities, and CloudEnvironment, which says \
                 where it is"
            }
            CloudErrorKind::Other => refused(call),
        };
        check.to_owned()
    }

    fn not_opened(&self) -> String {
        "Containers.CloudVMs.DriverParameters and this host's environment (AZURE_…); `config check --strict` tells what \
         is wrong with the file"
            .to_owned()
    }

    fn not_listed(&self) -> String {
        "in the portal whether the VM's provisioning failed, and its tags".to_owned()
    }

    fn tags_differ(&self) -> String {
        "whether a policy of the subscription changes tags, and that the role allows Microsoft.Resources/tags/write"
            .to_owned()
    }

    fn no_address(&self) -> String {
        "Network and Subnet: the address is the private one of the instance's network interface".to_owned()
    }

    fn unreachable(&self, login: &Login) -> String {
        format!(
            "that the subnet's network security group lets this host in at the SSH port (SSHPort {}), that this host has \
             a route to the subnet, and that the image starts sshd; the portal's boot diagnostics show how far it booted",
            login.port
        )
    }

    fn not_let_in(&self, login: &Login) -> String {
        format!(
            "that the image has cloud-init or Azure's agent, which makes user {} (AdminUsername) and puts the key there, \
             and that AdminUsername is the user that DispatchPrivateKey is for",
            login.user
        )
    }

    fn secret_unreadable(&self, login: &Login) -> String {
        format!(
            "that the image runs custom data at first boot (cloud-init), and that {} has sudo without password for {}",
            login.user, login.secret_path
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_quota_lacks_is_looked_for_in_quotas_and_what_a_role_lacks_in_roles() {
        let told = |kind| {
            let error = CloudError { kind, code: "code".to_owned(), message: String::new() };
            Advice.call_failed(CloudCall::Create, &error)
        };
        assert!(told(CloudErrorKind::Capacity(CapacityScope::QuotaGroup)).contains("quota of cores"));
        assert!(told(CloudErrorKind::Capacity(CapacityScope::Offering)).contains("list-skus"));
        assert!(told(CloudErrorKind::Unauthorized).contains("subnets/join/action"));
        assert!(told(CloudErrorKind::Other).starts_with("ImageID"));
    }
}
