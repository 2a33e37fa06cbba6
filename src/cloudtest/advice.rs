//! What to check, for each way to fail. Exhaustive: a new kind of error must be given advice.

use dispatch_core::id::InstanceSetId;
use dispatch_core::instance::Tags;
use dispatch_core::ports::{CloudError, CloudErrorKind, ExecError, ExecErrorKind, Output};

use super::report::{Trouble, one_line};

/// Which call of the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    List,
    Create,
    SetTags,
    Destroy,
}

impl Call {
    /// What it needs in AWS's words.
    fn permission(self) -> &'static str {
        match self {
            Self::List => "ec2:DescribeInstances",
            Self::Create => {
                "ec2:RunInstances with ec2:CreateTags (and iam:PassRole for IAMInstanceProfile, \
                 ec2:DescribeKeyPairs and ec2:ImportKeyPair for DeployPublicKey)"
            }
            Self::SetTags => "ec2:CreateTags",
            Self::Destroy => "ec2:TerminateInstances",
        }
    }

    /// What may be wrong with it if the cloud just refuses.
    fn refused(self) -> &'static str {
        match self {
            Self::List => "DriverParameters.Region, and that AWS_ENDPOINT_URL, if set, is right",
            Self::Create => {
                "ImageID, the type's ProviderType, SubnetID, SecurityGroupIDs, IAMInstanceProfile, EBSVolumeType \
                 and ResourceTags against what the cloud says here: all must be of the same region and network"
            }
            Self::SetTags => {
                "TagKeyPrefix and ResourceTags: the cloud limits names, values and number of tags"
            }
            Self::Destroy => {
                "that nothing protects the instance from termination; destroy it in the cloud's console"
            }
        }
    }
}

/// A call of the driver has failed.
pub(super) fn of_cloud(call: Call, error: &CloudError) -> Trouble {
    let check = match error.kind {
        CloudErrorKind::RateLimited { .. } => {
            "who else calls this account's API so often; try again in a minute".to_owned()
        }
        CloudErrorKind::Quota(_) => {
            "the account's quota for this type and market (and the free addresses of the subnet): have it raised, \
             or destroy what is not needed"
                .to_owned()
        }
        CloudErrorKind::Capacity(_) => {
            "whether the cloud offers this type in the subnet's zone: try --instance-type, or a subnet elsewhere, \
             or later"
                .to_owned()
        }
        CloudErrorKind::NotFound => "whether somebody else destroyed the instance".to_owned(),
        CloudErrorKind::Unauthorized => format!(
            "AccessKeyID and SecretAccessKey, or this host's role, this host's clock, and that the policy allows {}",
            call.permission()
        ),
        CloudErrorKind::Unknown => {
            "the way from this host to the cloud's API (DNS, proxy, firewall, AWS_ENDPOINT_URL), then try again with \
             --destroy-existing"
                .to_owned()
        }
        CloudErrorKind::Other if never_arrived(error) => {
            "the way from this host to the cloud's API: DNS, routes, firewall (EC2 is called directly, HTTPS_PROXY or not), \
             the system's certificate authorities, and DriverParameters.Region or AWS_ENDPOINT_URL, which say where it is"
                .to_owned()
        }
        CloudErrorKind::Other => call.refused().to_owned(),
    };
    Trouble::new(format!("{error} ({})", error.code), check)
}

/// The call was not sent: there was no connection.
pub(super) fn never_arrived(error: &CloudError) -> bool {
    error.kind == CloudErrorKind::Other && error.code == dispatch_ec2::NO_CONNECTION
}

/// No driver could be made.
pub(super) fn not_opened(error: &anyhow::Error) -> Trouble {
    let check = "Containers.CloudVMs.DriverParameters and this host's AWS environment; \
                 `config check --strict` tells what is wrong with the file";
    Trouble::new(format!("{error:#}"), check)
}

/// Somebody was here before.
pub(super) fn leftovers(set: &InstanceSetId, ids: &[&str]) -> Trouble {
    let message = format!("set {set} has instances already: {}", ids.join(", "));
    let check = "whether another cloudtest runs; if not, give --destroy-existing, or --instance-set-id for another set";
    Trouble::new(message, check)
}

/// The listing does not show it.
pub(super) fn not_listed(filter: &Tags) -> Trouble {
    let how = if filter.0.is_empty() { "without a filter" } else { "filtered by the set's tag" };
    let message = format!("a listing {how} does not show the instance");
    Trouble::new(
        message,
        "in the cloud's console whether it ended by itself, and its tags; a state reason such as Client.InternalError \
         says that the key of an encrypted image or volume may not be used: the policy's kms: actions, and the key's \
         own policy",
    )
}

/// The listing shows other tags.
pub(super) fn tags_differ(seen: &Tags, wanted: &Tags) -> Trouble {
    let differ = wanted.0.iter().filter(|(key, value)| seen.get(key) != Some(value));
    let names: Vec<_> = differ.map(|(key, _)| key.as_str()).collect();
    let message = format!("tags are missing or differ: {}", names.join(", "));
    Trouble::new(
        message,
        "whether a tag policy of the account changes tags, and that the policy allows ec2:CreateTags",
    )
}

/// It has none.
pub(super) fn no_address() -> Trouble {
    Trouble::new("the instance has no address", "SubnetID: the address is the instance's private one")
}

/// It was destroyed and does not go.
pub(super) fn still_listed() -> Trouble {
    let message = "destroyed, and still listed";
    Trouble::new(message, "in the cloud's console what keeps it, and destroy it there")
}

/// How the service logs in.
#[derive(Debug, Clone)]
pub(super) struct Login {
    pub user: String,
    pub port: u16,
    /// Where the instance keeps its secret.
    pub secret_path: String,
}

/// The instance cannot be used.
pub(super) fn of_shell(error: &ExecError, login: &Login) -> Trouble {
    let Login { user, port, secret_path } = login;
    let check = match error.kind {
        ExecErrorKind::NotReady => "SubnetID: the address is the instance's private one".to_owned(),
        ExecErrorKind::Refused | ExecErrorKind::ConnectTimeout => format!(
            "that SecurityGroupIDs let this host in at the SSH port (SSHPort {port}), that this host has a route to \
             the subnet, and that the image starts sshd; the console's system log shows how far it booted"
        ),
        ExecErrorKind::Authentication => format!(
            "that the image has user {user} (AdminUsername) and lets DispatchPrivateKey in: with DeployPublicKey \
             cloud-init puts it there for the image's default user, without it the image must have it"
        ),
        ExecErrorKind::SecretUnreadable => format!(
            "that the image runs user data at first boot (cloud-init), and that {user} has sudo without password \
             for {secret_path}"
        ),
        ExecErrorKind::Verification => {
            "whether the address is that of another machine, and that the image's own start-up does not change the \
             secret's file"
                .to_owned()
        }
        ExecErrorKind::CommandTimeout => "what the command waits for: log in and run it".to_owned(),
        ExecErrorKind::ConnectionLost => {
            "whether the instance restarted or ran out of memory, and what cuts connections on the way".to_owned()
        }
        ExecErrorKind::OutputTooLarge => "why the command writes more than 32 MiB; let it write to a file".to_owned(),
        ExecErrorKind::Local => {
            "this host: the ssh client (package openssh-client), its user in /etc/passwd, free file descriptors, \
             a writable RUNTIME_DIRECTORY or temporary directory"
                .to_owned()
        }
    };
    Trouble::new(error.to_string(), check)
}

/// It has not booted.
pub(super) fn boot_probe(text: &str, output: &Output) -> Trouble {
    let message = format!("`{text}` ended with status {}{}", output.status, words(output));
    let check = "BootProbeCommand: log in with the ssh command above (--pause-before-destroy keeps the instance) and \
                 run it; `systemctl --failed` and cloud-init's log tell what does not start, and TimeoutBooting must \
                 be longer than a boot";
    Trouble::new(message, check)
}

/// `--command` has failed.
pub(super) fn command(status: i32) -> Trouble {
    let check = "its output, and, with --pause-before-destroy, the instance itself";
    Trouble::new(format!("ended with status {status}"), check)
}

/// The last line of what it wrote.
fn words(output: &Output) -> String {
    let text = if output.stderr.is_empty() { &output.stdout } else { &output.stderr };
    let text = String::from_utf8_lossy(text);
    let last = text.lines().rfind(|line| !line.trim().is_empty()).map(one_line);
    last.map_or_else(String::new, |line| format!(": {}", line.chars().take(300).collect::<String>()))
}
