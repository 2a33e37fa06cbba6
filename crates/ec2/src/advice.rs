//! What to check when EC2 refuses something, or its instance cannot be used. Exhaustive: a new kind of error must be
//! given advice.

use dispatch_cloud_kit::never_arrived;
use dispatch_core::driver::{CloudCall, DriverAdvice, Login};
use dispatch_core::ports::{CapacityScope, CloudError, CloudErrorKind};

/// The advice of driver `ec2`.
#[derive(Debug, Clone, Copy)]
pub struct Advice;

/// Codes of a request that somebody's policy forbids.
const FORBIDDEN: [&str; 3] = ["UnauthorizedOperation", "AccessDenied", "AccessDeniedException"];

/// The code of an order on the spot market, by which EC2 says that its own role is missing there.
const NO_SPOT_ROLE: &str = "AuthFailure.ServiceLinkedRoleCreationNotPermitted";

/// What the call needs in AWS's words.
fn permission(call: CloudCall) -> &'static str {
    match call {
        CloudCall::List => "ec2:DescribeInstances",
        CloudCall::Create => {
            "ec2:RunInstances with ec2:CreateTags (and iam:PassRole for IAMInstanceProfile, \
             ec2:DescribeKeyPairs and ec2:ImportKeyPair for DeployPublicKey)"
        }
        CloudCall::SetTags => "ec2:CreateTags",
        CloudCall::Destroy => "ec2:TerminateInstances",
    }
}

/// What may be wrong with the call if EC2 just refuses.
fn refused(call: CloudCall) -> &'static str {
    match call {
        CloudCall::List => "DriverParameters.Region, and that AWS_ENDPOINT_URL, if set, is right",
        CloudCall::Create => {
            "ImageID, the type's ProviderType, SubnetID, SecurityGroupIDs, IAMInstanceProfile, EBSVolumeType \
             and ResourceTags against what the cloud says here: all must be of the same region and network"
        }
        CloudCall::SetTags => {
            "TagKeyPrefix and ResourceTags: the cloud limits names, values and number of tags"
        }
        CloudCall::Destroy => {
            "that nothing protects the instance from termination; destroy it in the cloud's console"
        }
    }
}

impl DriverAdvice for Advice {
    fn never_arrived(&self, error: &CloudError) -> bool {
        never_arrived(error)
    }

    fn call_failed(&self, call: CloudCall, error: &CloudError) -> String {
        if error.code == NO_SPOT_ROLE {
            return "that the account has the role AWSServiceRoleForEC2Spot (aws iam create-service-linked-role \
                    --aws-service-name spot.amazonaws.com makes it, once), or that the policy allows \
                    iam:CreateServiceLinkedRole"
                .to_owned();
        }
        let check = match error.kind {
            CloudErrorKind::RateLimited { .. } => {
                "who else calls this account's API so often; try again in a minute"
            }
            CloudErrorKind::Quota(_) | CloudErrorKind::Capacity(CapacityScope::QuotaGroup) => {
                "the account's quota for this type and market (and the free addresses of the subnet): have it raised, \
                 or destroy what is not needed"
            }
            CloudErrorKind::Capacity(_) => {
                "whether the cloud offers this type in the subnet's zone: try --instance-type, or a subnet elsewhere, \
                 or later"
            }
            // No driver answers so.
            CloudErrorKind::NotSent => "whether this process may act",
            CloudErrorKind::NotFound => "whether somebody else destroyed the instance",
            CloudErrorKind::Unauthorized => {
                return format!(
                    "AccessKeyID and SecretAccessKey, or this host's role, this host's clock, and that the policy \
                     allows {}",
                    permission(call)
                );
            }
            CloudErrorKind::Unknown => {
                "the way from this host to the cloud's API (DNS, proxy, firewall, AWS_ENDPOINT_URL), then try again \
                 with --destroy-existing"
            }
            CloudErrorKind::Other if self.never_arrived(error) => {
                "the way from this host to the cloud's API: DNS, routes, firewall (EC2 is called directly, HTTPS_PROXY \
                 or not), the system's certificate authorities, and DriverParameters.Region or AWS_ENDPOINT_URL, which \
                 say where it is"
            }
            CloudErrorKind::Other if FORBIDDEN.contains(&error.code.as_str()) => {
                return format!(
                    "that the policy, and those of the organisation, allow {} with what this call names (for a create \
                     its ProviderType, market, ImageID, SubnetID, IAMInstanceProfile and tags)",
                    permission(call)
                );
            }
            CloudErrorKind::Other => refused(call),
        };
        check.to_owned()
    }

    fn not_opened(&self) -> String {
        "Containers.CloudVMs.DriverParameters and this host's AWS environment; \
         `config check --strict` tells what is wrong with the file"
            .to_owned()
    }

    fn not_listed(&self) -> String {
        "in the cloud's console whether it ended by itself, and its tags; a state reason such as Client.InternalError \
         says that the key of an encrypted image or volume may not be used: the policy's kms: actions, and the key's \
         own policy"
            .to_owned()
    }

    fn tags_differ(&self) -> String {
        "whether a tag policy of the account changes tags, and that the policy allows ec2:CreateTags"
            .to_owned()
    }

    fn no_address(&self) -> String {
        "SubnetID: the address is the instance's private one".to_owned()
    }

    fn unreachable(&self, login: &Login) -> String {
        format!(
            "that SecurityGroupIDs let this host in at the SSH port (SSHPort {}), that this host has a route to \
             the subnet, and that the image starts sshd; the console's system log shows how far it booted",
            login.port
        )
    }

    fn not_let_in(&self, login: &Login) -> String {
        format!(
            "that the image has user {} (AdminUsername) and lets DispatchPrivateKey in: with DeployPublicKey \
             cloud-init puts it there for the image's default user, without it the image must have it",
            login.user
        )
    }

    fn secret_unreadable(&self, login: &Login) -> String {
        format!(
            "that the image runs user data at first boot (cloud-init), and that {} has sudo without password \
             for {}",
            login.user, login.secret_path
        )
    }
}

#[cfg(test)]
mod tests {
    use dispatch_core::ports::QuotaScope;

    use super::*;

    fn told(code: &str, kind: CloudErrorKind) -> String {
        let error = CloudError { kind, code: code.to_owned(), message: String::new() };
        Advice.call_failed(CloudCall::Create, &error)
    }

    #[test]
    fn what_somebody_forbids_is_looked_for_in_policies_and_what_a_quota_lacks_in_quotas() {
        let group = CloudErrorKind::Capacity(CapacityScope::QuotaGroup);
        assert!(told("MaxSpotInstanceCountExceeded", group).contains("the account's quota"));
        let forbidden = told("UnauthorizedOperation", CloudErrorKind::Other);
        assert!(forbidden.contains("ec2:RunInstances") && forbidden.contains("ImageID"), "{forbidden}");
        assert!(
            told("AuthFailure", CloudErrorKind::Other).starts_with("ImageID"),
            "an image of somebody else's"
        );
        assert!(
            told(NO_SPOT_ROLE, CloudErrorKind::Quota(QuotaScope::All)).contains("AWSServiceRoleForEC2Spot")
        );
    }
}
