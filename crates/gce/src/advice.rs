//! What to check when Compute Engine refuses something, or its instance cannot be used. Exhaustive: a new kind of error must
//! be given advice.

use dispatch_cloud_kit::never_arrived;
use dispatch_core::driver::{CloudCall, DriverAdvice, Login};
use dispatch_core::ports::{CapacityScope, CloudError, CloudErrorKind};

/// The advice of driver `gce`.
#[derive(Debug, Clone, Copy)]
pub struct Advice;

/// Words for a request that somebody's policy forbids.
const FORBIDDEN: [&str; 5] = [
    "forbidden",
    "insufficientPermissions",
    "PERMISSION_DENIED",
    "IAM_PERMISSION_DENIED",
    "CONDITION_NOT_MET",
];

/// What the call needs in Google's words.
fn permission(call: CloudCall) -> &'static str {
    match call {
        CloudCall::List => "compute.instances.list",
        CloudCall::Create => {
            "compute.instances.create, setMetadata, setLabels, setTags and setServiceAccount, compute.disks.create and \
             setLabels, compute.images.useReadOnly, compute.subnetworks.use, compute.zoneOperations.get (and \
             iam.serviceAccounts.actAs on ServiceAccount)"
        }
        CloudCall::SetTags => "compute.instances.get, setMetadata and setLabels",
        CloudCall::Destroy => "compute.instances.delete",
    }
}

/// What may be wrong with the call if Compute Engine just refuses.
fn refused(call: CloudCall) -> &'static str {
    match call {
        CloudCall::List => {
            "DriverParameters.ProjectID, and that CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE, if set, is right"
        }
        CloudCall::Create => {
            "ImageID, the type's ProviderType, Zones, Subnetwork, NetworkTags, ServiceAccount, BootDiskType, BootDiskSize \
             and ScratchDiskType against what the cloud says here: the zones must have them all"
        }
        CloudCall::SetTags => {
            "whether somebody else writes the instance's metadata; and ResourceTags and TagKeyPrefix"
        }
        CloudCall::Destroy => {
            "that nothing protects the instance from deletion (deletionProtection); delete it in the cloud's console"
        }
    }
}

impl DriverAdvice for Advice {
    fn never_arrived(&self, error: &CloudError) -> bool {
        never_arrived(error)
    }

    fn call_failed(&self, call: CloudCall, error: &CloudError) -> String {
        let check = match error.kind {
            CloudErrorKind::RateLimited { .. } => {
                "who else calls this project's API so often; try again in a minute, or have the rate raised"
            }
            CloudErrorKind::Quota(_) | CloudErrorKind::Capacity(CapacityScope::QuotaGroup) => {
                "the project's quota that is named here, in the region of Zones: have it raised, or destroy what is not \
                 needed"
            }
            CloudErrorKind::Capacity(_) => {
                "whether the zone has this type now: try --instance-type, or a zone elsewhere, or later"
            }
            // No driver answers so.
            CloudErrorKind::NotSent => "whether this process may act",
            CloudErrorKind::NotFound => "whether somebody else destroyed the instance",
            CloudErrorKind::Unauthorized => {
                "CredentialsFile or GOOGLE_APPLICATION_CREDENTIALS, or this host's service account and its access scopes \
                 (compute-rw), this host's clock, and that the project has the Compute Engine API and billing enabled"
            }
            CloudErrorKind::Unknown if error.code == "UNREACHABLE" => {
                "the cloud's status page: while a zone cannot be asked no listing is complete"
            }
            CloudErrorKind::Unknown => {
                "the way from this host to the cloud's API (DNS, proxy, firewall, \
                 CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE), then try again with --destroy-existing"
            }
            CloudErrorKind::Other if self.never_arrived(error) => {
                "the way from this host to the cloud's API: DNS, routes, firewall (Compute Engine is called directly, \
                 HTTPS_PROXY or not), the system's certificate authorities, and CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE, \
                 which says where it is"
            }
            CloudErrorKind::Other if FORBIDDEN.contains(&error.code.as_str()) => {
                return format!(
                    "that the account, and the organisation's policies, allow {} with what this call names",
                    permission(call)
                );
            }
            CloudErrorKind::Other => refused(call),
        };
        check.to_owned()
    }

    fn not_opened(&self) -> String {
        "Containers.CloudVMs.DriverParameters, GOOGLE_APPLICATION_CREDENTIALS and GCE_METADATA_HOST of this host's \
         environment; `config check --strict` tells what is wrong with the file"
            .to_owned()
    }

    fn not_listed(&self) -> String {
        "in the cloud's console whether it ended by itself (a spot instance that was taken away), and its label \
         arvados-instance-set"
            .to_owned()
    }

    fn tags_differ(&self) -> String {
        "whether somebody else writes the instance's metadata item arvados-tags".to_owned()
    }

    fn no_address(&self) -> String {
        "Subnetwork: the address is the instance's internal one".to_owned()
    }

    fn unreachable(&self, login: &Login) -> String {
        format!(
            "that a firewall rule of the network lets this host in at the SSH port (SSHPort {}) of instances with \
             NetworkTags, that this host has a route to the subnetwork, and that the image starts sshd; the serial port's \
             log shows how far it booted",
            login.port
        )
    }

    fn not_let_in(&self, login: &Login) -> String {
        format!(
            "that the image has Google's guest agent, which makes user {} (AdminUsername) and lets DispatchPrivateKey in; \
             without DeployPublicKey the image must have both",
            login.user
        )
    }

    fn secret_unreadable(&self, login: &Login) -> String {
        format!(
            "that the image runs startup scripts (Google's guest agent), or user data with InitBy: user-data (cloud-init), \
             and that {} has sudo without password for {}",
            login.user, login.secret_path
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(call: CloudCall, code: &str, kind: CloudErrorKind) -> String {
        let error = CloudError { kind, code: code.to_owned(), message: String::new() };
        Advice.call_failed(call, &error)
    }

    #[test]
    fn what_somebody_forbids_is_looked_for_in_permissions() {
        for (call, words) in [
            (CloudCall::List, "compute.instances.list"),
            (CloudCall::Create, "iam.serviceAccounts.actAs"),
            (CloudCall::SetTags, "setMetadata"),
            (CloudCall::Destroy, "compute.instances.delete"),
        ] {
            let told = told(call, "forbidden", CloudErrorKind::Other);
            assert!(told.contains(words) && told.contains("policies"), "{told}");
        }
        assert!(told(CloudCall::Create, "invalid", CloudErrorKind::Other).starts_with("ImageID"));
        assert!(told(CloudCall::List, "connection", CloudErrorKind::Other).contains("DNS"));
        assert!(told(CloudCall::List, "UNREACHABLE", CloudErrorKind::Unknown).contains("status page"));
    }
}
