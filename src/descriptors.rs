//! File descriptors: the limit of this process, and what the fleet needs of it.
//!
//! Over the system's ssh client each VM has a process, and each command on it pipes and a socket; over russh a VM has a
//! socket. The soft limit, usually 1,024 for the sake of old programs that use `select`, would be reached with some
//! hundred VMs; the hard limit is what the operator has really set.

use dispatch_actors::{catalogue, event};
use dispatch_adapters::ssh::SshClient;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use slog::Logger;

use crate::settings::Settings;

/// What the process needs beside its VMs: for clients of the API, the controller, the log, the database.
const BESIDE_VMS: u64 = 512;

/// Raises the soft limit to the hard one. Returns the limit now; `None` = there is none.
pub fn raise_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // Where it is forbidden the old limit stays, and is judged below like any other.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    }
    getrlimit(Resource::Nofile).current
}

/// What is doubtful about that limit for so many VMs (0 = any number) over that client; `None` = nothing.
pub fn doubt(limit: Option<u64>, max_instances: u32, client: SshClient) -> Option<String> {
    let limit = limit?;
    let (fleet, each) = (u64::from(max_instances), client.descriptors_of_a_vm());
    let needed = BESIDE_VMS + fleet * each;
    let enough_for = limit.saturating_sub(BESIDE_VMS) / each;
    (fleet > 0 && needed > limit).then(|| {
        format!(
            "{fleet} VMs may need {needed} file descriptors, and this process may have {limit}, enough for \
             {enough_for} VMs: raise its hard limit (LimitNOFILE= of the systemd unit, --ulimit nofile= of docker run)"
        )
    })
}

/// Says in the log if so many VMs may need more than this process may have.
pub fn tell_doubt(settings: &Settings, log: &Logger) {
    let Settings { policy, cloud, .. } = settings;
    if let Some(reason) = doubt(raise_limit(), policy.max_instances, cloud.ssh_client) {
        let path = format!("Clusters.{}.Containers.CloudVMs.MaxInstances", policy.cluster_id);
        event!(log, catalogue::DOUBTFUL_SETTING, "Path" => path, "Reason" => reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_raised_to_the_hard_one() {
        let limit = raise_limit();
        assert_eq!(limit, getrlimit(Resource::Nofile).maximum);
    }

    #[test]
    fn a_limit_that_is_too_small_for_the_fleet_is_doubtful_and_says_what_it_is_enough_for() {
        for client in [SshClient::OpenSsh, SshClient::Russh] {
            let enough = BESIDE_VMS + 100 * client.descriptors_of_a_vm();
            assert_eq!(doubt(Some(enough), 100, client), None);
            let text = doubt(Some(enough), 101, client).unwrap();
            assert!(text.contains("101 VMs may need") && text.contains("enough for 100 VMs"), "{text}");
            assert_eq!(doubt(Some(1), 0, client), None, "any number: nobody knows how many");
            assert_eq!(doubt(None, 1_000_000, client), None, "there is no limit");
        }
    }
}
