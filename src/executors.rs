//! How VMs are reached: the one place where a way to run commands on a VM is chosen. The service and `cloudtest`
//! both come here, so that a trial uses what the service uses.

use std::rc::Rc;

use anyhow::Result;
use dispatch_actors::system::MakeExecutors;
use dispatch_adapters::ssh;
use dispatch_core::ports::{ExecutorFactory, HostKeyVerifier};
use slog::Logger;

use crate::settings::Settings;

/// Executors over the system's ssh client. Everything that can fail is done now; what is left needs only the verifier
/// of host keys. What is wrong on our own side is told as long as they live.
///
/// # Errors
/// If there is no ssh client, the private key cannot be used, or the runtime directory cannot be prepared.
pub fn prepare(settings: &Settings, log: Logger) -> Result<(MakeExecutors, ssh::OwnTrouble)> {
    let (private_key, default_port) = (&settings.containers.private_key.pem, settings.cloud.ssh_port);
    let prepared = ssh::Prepared::new(private_key, "ssh".into(), &settings.runtime_directory)?;
    let prepared = prepared.with_key_exchange(settings.cloud.key_exchange);
    let trouble = prepared.trouble();
    let make = Box::new(move |verifier: Rc<dyn HostKeyVerifier>| {
        let executors = prepared.into_executors(verifier, default_port, ssh::Deadlines::default(), log);
        Rc::new(executors) as Rc<dyn ExecutorFactory>
    });
    Ok((make, trouble))
}
