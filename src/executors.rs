//! How VMs are reached: the one place where a way to run commands on a VM is chosen. The service and `cloudtest`
//! both come here, so that a trial uses what the service uses.

use std::rc::Rc;

use anyhow::Result;
use dispatch_actors::system::MakeExecutors;
use dispatch_adapters::ssh::{self, ClientSetup, SshClient};
use dispatch_core::ports::{ExecutorFactory, HostKeyVerifier};
use slog::Logger;

use crate::settings::Settings;

/// Executors over the ssh client that the site wants. Everything that can fail is done now; what is left needs only the
/// verifier of host keys. What is wrong on our own side is told as long as they live.
///
/// # Errors
/// If the private key cannot be used, there is no such client, or what it needs of this machine cannot be prepared.
pub fn prepare(settings: &Settings, log: Logger) -> Result<(MakeExecutors, ssh::OwnTrouble)> {
    let (private_key, default_port) = (&settings.containers.private_key.pem, settings.cloud.ssh_port);
    let client = match settings.cloud.ssh_client {
        SshClient::OpenSsh => {
            let runtime_dir = settings.runtime_directory.clone();
            ClientSetup::OpenSsh { program: "ssh".into(), runtime_dir }
        }
        SshClient::Russh => ClientSetup::Russh,
    };
    let prepared = ssh::Prepared::new(private_key, client, settings.cloud.key_exchange)?;
    let trouble = prepared.trouble();
    let make = Box::new(move |verifier: Rc<dyn HostKeyVerifier>| {
        let executors = prepared.into_executors(verifier, default_port, ssh::Deadlines::default(), log);
        Rc::new(executors) as Rc<dyn ExecutorFactory>
    });
    Ok((make, trouble))
}
