//! Sample types, orders and commands for tests of the simulated world, in this crate and elsewhere.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dispatch_core::id::{InstanceSetId, ProviderType, TypeName};
use dispatch_core::instance::{Gpu, InstanceType, Price, TagKeys};
use dispatch_core::ports::{CreateOrder, ShellCommand};
use dispatch_core::secret::Secret;

/// An on-demand type with that many CPUs, and for each CPU 4 GiB of RAM, 50 GB of scratch space and a price
/// of 0.1 an hour. The provider's name for it is `std.` and `name`.
pub fn instance_type(name: &str, vcpus: u64) -> Arc<InstanceType> {
    Arc::new(InstanceType {
        name: TypeName::new(name).expect("a sample's name is valid"),
        provider_type: ProviderType::new(&format!("std.{name}")).expect("a sample's name is valid"),
        vcpus,
        ram: vcpus * (4 << 30),
        included_scratch: vcpus * 50_000_000_000,
        added_scratch: 0,
        price: Price::new(0.1 * vcpus as f64).expect("a sample's price is finite"),
        preemptible: false,
        gpu: Gpu::default(),
    })
}

/// The same type on the spot market, at a third of the price.
pub fn spot_type(name: &str, vcpus: u64) -> Arc<InstanceType> {
    let on_demand = InstanceType::clone(&instance_type(name, vcpus));
    let price = Price::new(on_demand.price.per_hour() / 3.0).expect("a sample's price is finite");
    Arc::new(InstanceType { preemptible: true, price, ..on_demand })
}

/// An order as a dispatcher of that instance set sends it, with that secret.
pub fn order(instance_type: &Arc<InstanceType>, set: &str, secret: &str) -> CreateOrder {
    let set = InstanceSetId::new(set).expect("a sample's set is valid");
    let secret = Secret::new(secret);
    let tags = TagKeys::new("Arvados").for_new(&set, &instance_type.name, &secret);
    let init_command =
        format!("umask 0177 && echo -n \"{}\" >/var/run/arvados-instance-secret", secret.expose());
    CreateOrder {
        instance_type: instance_type.clone(),
        image: "img".to_owned(),
        tags,
        init_command,
        secret,
        public_key: None,
    }
}

/// A command with a deadline of 30 s.
pub fn command(shell: &str, stdin: &str) -> ShellCommand {
    let stdin = Bytes::from(stdin.to_owned());
    ShellCommand { privileged: true, stdin, ..ShellCommand::new(shell, Duration::from_secs(30)) }
}
