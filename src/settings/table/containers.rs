//! `Containers`, `CloudVMs` aside.

use std::sync::LazyLock;

use serde_json::json;

use super::unit::{COUNT, INTERVAL, LONG_COUNT, NUMBER, SIZE, TEXT, TEXTS, place};
use super::{Table, key, read_elsewhere};
use crate::settings::dump::HIDDEN;

/// `Containers`.
pub static CONTAINERS: LazyLock<Table> = LazyLock::new(|| Table {
    path: &["Containers"],
    keys: vec![
        read_elsewhere(
            "DispatchPrivateKey",
            "",
            |_| HIDDEN.into(),
            "Opens the VMs: PEM (RSA, ECDSA or ED25519, without passphrase), or file:///path. Required.",
        ),
        key(
            "StaleLockTimeout",
            "1m",
            &INTERVAL,
            place!(policy.stale_lock_timeout),
            "How long placement waits after a start for VMs that have not answered yet.",
        )
        .at_once(),
        key(
            "CrunchRunCommand",
            "crunch-run",
            &TEXT,
            place!(policy.runner.command),
            "Shell text that runs crunch-run on a VM if none is deployed there.",
        ),
        key(
            "CrunchRunArgumentsList",
            json!([]),
            &TEXTS,
            place!(policy.runner.arguments),
            "Further arguments of every start.",
        ),
        key(
            "ReserveExtraRAM",
            "550MiB",
            &SIZE,
            place!(policy.sizing.reserve_extra_ram),
            "Memory that each container gets besides what it asks for.",
        )
        .at_once(),
        key(
            "RuntimeEngine",
            "docker",
            &TEXT,
            place!(policy.runner.engine),
            "How the runner runs containers: docker, singularity, or process (this program's own, for tests).",
        ),
        key(
            "LocalKeepBlobBuffersPerVCPU",
            1,
            &LONG_COUNT,
            place!(policy.sizing.keep_buffers_per_vcpu),
            "Buffers a VCPU of a storage server beside each container; 0: there is no such server.",
        ),
        key(
            "MaximumPriceFactor",
            1.5,
            &NUMBER,
            place!(policy.sizing.maximum_price_factor),
            "Types up to this many times the cheapest price are used for a container.",
        )
        .at_once(),
        key(
            "PreemptiblePriceFactor",
            0,
            &NUMBER,
            place!(containers.preemptible_price_factor),
            "Above 0: for each on-demand type there is NAME.preemptible, at its price times this.",
        )
        .at_once(),
        key(
            "MaxDispatchAttempts",
            10,
            &COUNT,
            place!(policy.max_dispatch_attempts),
            "How often a container may be dispatched; the server enforces it, we report it.",
        )
        .at_once(),
    ],
});
