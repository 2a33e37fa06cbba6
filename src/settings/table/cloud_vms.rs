//! `Containers.CloudVMs`. Counts: 0 = unlimited where the meaning says so.

use std::sync::LazyLock;

use serde_json::json;

use super::unit::{
    COUNT, FLAG, INTERVAL, KEY_EXCHANGE, LIMIT, PORT, PROBE_RATE, RESERVE, RETRIES, RUNNER, SCRIPT, SHARE,
    SSH_CLIENT, TAGS, TEXT, place,
};
use super::{Table, key, read_elsewhere};

/// `Containers.CloudVMs`.
pub static CLOUD_VMS: LazyLock<Table> = LazyLock::new(|| {
    Table {
    path: &["Containers", "CloudVMs"],
    keys: vec![
        key(
            "Enable",
            false,
            &FLAG,
            place!(cloud.enable),
            "Whether the site uses this dispatcher; false is a warning, no more.",
        ),
        key("SSHPort", "22", &PORT, place!(cloud.ssh_port), "Port of the VMs' SSH servers."),
        key(
            "PollInterval",
            "10s",
            &INTERVAL,
            place!(policy.poll_interval),
            "How often the queue is polled, at most.",
        ).at_once(),
        key("SyncInterval", "1m", &INTERVAL, place!(policy.sync_interval), "How often the cloud is listed.").at_once(),
        key("ProbeInterval", "10s", &INTERVAL, place!(policy.probe_interval), "How often each VM is probed.").at_once(),
        key(
            "BootProbeCommand",
            "systemctl is-system-running",
            &TEXT,
            place!(policy.runner.boot_probe_command),
            "Shell text that succeeds when a VM has booted; empty: it has booted when ssh works.",
        ),
        key(
            "MaxProbesPerSecond",
            10,
            &PROBE_RATE,
            place!(policy.max_probes_per_second),
            "Probes a second over all VMs; left out: as many as see each VM once a ProbeInterval, 10 at least.",
        ).at_once(),
        key(
            "TimeoutSignal",
            "5s",
            &INTERVAL,
            place!(policy.timeout_signal),
            "Time between two signals to a process that is to end.",
        ).at_once(),
        key(
            "TimeoutStaleRunLock",
            "5s",
            &INTERVAL,
            place!(policy.timeout_stale_run_lock),
            "How long a lock of a dead runner is tolerated before its VM is drained.",
        ).at_once(),
        key(
            "TimeoutTERM",
            "2m",
            &INTERVAL,
            place!(policy.timeout_term),
            "How long a process is signalled before it is given up and its VM is drained.",
        ).at_once(),
        key(
            "TimeoutIdle",
            "1m",
            &INTERVAL,
            place!(policy.timeout_idle),
            "How long a VM may be idle before it is shut down.",
        ).at_once(),
        key(
            "TimeoutBooting",
            "10m",
            &INTERVAL,
            place!(policy.timeout_booting),
            "How long a new VM may go without a successful probe.",
        ).at_once(),
        key(
            "TimeoutProbe",
            "10m",
            &INTERVAL,
            place!(policy.timeout_probe),
            "How long any other VM may go without one.",
        ).at_once(),
        key(
            "TimeoutShutdown",
            "10s",
            &INTERVAL,
            place!(policy.timeout_shutdown),
            "How long a VM may stay listed before it is destroyed again.",
        ).at_once(),
        key(
            "MaxCloudOpsPerSecond",
            10,
            &LIMIT,
            place!(policy.max_cloud_ops_per_second),
            "Calls to the cloud a second; 0: unlimited.",
        ).at_once(),
        key(
            "MaxConcurrentInstanceCreateOps",
            1,
            &LIMIT,
            place!(policy.max_concurrent_creates),
            "VMs being created at the same time; 0: unlimited.",
        ).at_once(),
        key(
            "MaxInstances",
            64,
            &LIMIT,
            place!(policy.max_instances),
            "VMs in any state, and where the ceiling on concurrent containers starts; 0: unlimited.",
        ).at_once(),
        key(
            "MaxInstanceAge",
            "0s",
            &INTERVAL,
            place!(policy.max_instance_age),
            "How old a VM may become before it is renewed: it gets nothing new, and is shut down when it is empty; 0: as old as it likes.",
        )
        .private()
        .at_once(),
        key(
            "DriftBudget",
            0,
            &COUNT,
            place!(policy.drift_budget),
            "How many VMs may be renewed at a time, because they are older than MaxInstanceAge, or would be made otherwise today; 0: none.",
        )
        .private()
        .at_once(),
        key(
            "MaxRunningContainersPerInstance",
            0,
            &LIMIT,
            place!(policy.max_containers_per_instance),
            "Containers on one VM; 0: as many as fit.",
        ).at_once(),
        key(
            "InitialQuotaEstimate",
            0,
            &LIMIT,
            place!(policy.initial_quota_estimate),
            "Where the ceiling on concurrent containers starts; it rises while the controller is well; 0: at MaxInstances.",
        ),
        key(
            "SupervisorFraction",
            0.5,
            &SHARE,
            place!(policy.supervisor_fraction),
            "Share of the ceiling on containers that workflow supervisors may take; 0: no limit.",
        ).at_once(),
        key(
            "BackfillPatience",
            "0s",
            &INTERVAL,
            place!(policy.backfill_patience),
            "How long containers may start on VMs in use while one before them waits for a quota; 0: they never do.",
        )
        .private()
        .at_once(),
        key(
            "IdleReserve",
            json!({}),
            &RESERVE,
            place!(policy.idle_reserve),
            "How many VMs of each type are kept without work, or created ahead; they are the first to go when somebody waits for a quota. See docs/operate.md, \"Spare VMs\".",
        )
        .private()
        .at_once(),
        key(
            "PackContainers",
            false,
            &FLAG,
            place!(policy.pack_containers),
            "Whether a VM of a larger type is created if those that wait fill it so well that it costs a tenth less than VMs of the cheapest types.",
        )
        .private()
        .at_once(),
        key(
            "SpotRetries",
            "never",
            &RETRIES,
            place!(policy.sizing.spot_retries),
            "How many VMs the spot market may take from a container, or from earlier attempts for the same request, before it is placed on demand; never: it stays on the spot market.",
        )
        .private()
        .at_once(),
        key(
            "SSHKex",
            "",
            &KEY_EXCHANGE,
            place!(cloud.key_exchange),
            "fast: keys of connections are agreed with Curve25519 alone, at a seventh of the CPU time; empty: so that no quantum computer can read them later, if the VM's server can.",
        )
        .private(),
        key(
            "SSHClient",
            "openssh",
            &SSH_CLIENT,
            place!(cloud.ssh_client),
            "openssh: connections are processes of the system's ssh client; russh: they are made inside this process, in a seventh of the memory.",
        )
        .private(),
        key("ImageID", "", &TEXT, place!(cloud.image_id), "The image of new VMs. Required with ec2, azure and gce."),
        key(
            "InstanceInitCommand",
            "",
            &SCRIPT,
            place!(cloud.instance_init_command),
            "Shell text that is run on a VM's first boot.",
        ),
        key(
            "DeployRunnerBinary",
            "/usr/bin/crunch-run",
            &RUNNER,
            place!(cloud.runner),
            "The runner that is copied to VMs; empty: none is.",
        )
        .ours(),
        key(
            "DeployRunnerDirectory",
            "/tmp/arvados-crunch-run",
            &TEXT,
            place!(cloud.runner_directory),
            "Where on VMs it goes.",
        ),
        key(
            "DeployPublicKey",
            true,
            &FLAG,
            place!(cloud.deploy_public_key),
            "Whether new VMs are told our public key.",
        ),
        key(
            "ResourceTags",
            json!({}),
            &TAGS,
            place!(cloud.resource_tags),
            "Tags of all VMs, besides our own.",
        ),
        key(
            "TagKeyPrefix",
            "Arvados",
            &TEXT,
            place!(cloud.tag_key_prefix),
            "What the names of our own tags begin with.",
        ),
        read_elsewhere(
            "Driver",
            "ec2",
            |it| it.driver.name().into(),
            "ec2, azure (see azure.example.yml), gce (Google Compute Engine, see gce.example.yml), or loopback (SSH servers inside this process, for development; see loopback.yml).",
        ),
        read_elsewhere("DriverParameters", json!({}), |it| it.driver.dump(), ""),
    ],
}
});
