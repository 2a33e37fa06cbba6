//! Orders: the insert in each zone in turn, the look at its operation, and the VM that was made before.

use std::time::Duration;

use dispatch_cloud_kit::{Failure, Meaning};
use dispatch_core::instance::{Instance, Tags};
use dispatch_core::ports::CreateOrder;

use super::GceCloud;
use crate::answer::instances;
use crate::answer::operation::{self, Operation};
use crate::errors::ALREADY_EXISTS;
use crate::insert::Insert;
use crate::names::{self, Vm};
use crate::tags;

/// Between two looks at an operation whose server does not wait.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(500);

impl GceCloud {
    pub(super) async fn make(&self, order: &CreateOrder) -> Result<Instance, Failure> {
        let attempt = |zone| self.make_in(order, zone);
        self.zones.try_each(&order.instance_type.offering(), attempt, (self.now)(), &self.log).await
    }

    async fn make_in(&self, order: &CreateOrder, zone: &str) -> Result<Instance, Failure> {
        let made = self.insert(order, zone).await;
        self.metrics.attempted(zone, made.is_ok());
        // Of an order's parts this one is not there; the port's word for a VM that is gone is another.
        made.map_err(|failure| match failure.meaning {
            Meaning::NotFound => Failure { meaning: Meaning::Other, ..failure },
            _ => failure,
        })
    }

    async fn insert(&self, order: &CreateOrder, zone: &str) -> Result<Instance, Failure> {
        let set = tags::set_of(&order.tags);
        let vm = Vm { zone: zone.to_owned(), name: names::of_order(set, &order.secret) };
        let api = &self.sender.api;
        let insert = Insert { order, params: &self.params, project: &api.project, zone, name: &vm.name };
        let request_id = names::request_id(set, &order.secret, zone);
        let call = api.insert(zone, &request_id, &insert.body()?).hiding(&order.secret);
        let accepted = self.sender.call(&call, operation::read).await;
        let made = match accepted {
            Ok(operation) => self.watch(call.name, operation, order, zone).await,
            Err(failure) => Err(failure),
        };
        match made {
            Ok(()) => {}
            Err(failure) if is_there_already(&failure) => return self.adopt(order, &vm, failure).await,
            Err(failure) => return Err(failure),
        }
        Ok(Instance {
            id: vm.id(),
            provider_type: order.instance_type.provider_type.clone(),
            address: String::new(),
            tags: order.tags.clone(),
            price_history: Vec::new(),
            launched: None,
        })
    }

    /// Waits until the operation has ended, but not for ever: one that still runs will end well, or its VM is in no listing.
    async fn watch(
        &self,
        call: &'static str,
        first: Operation,
        order: &CreateOrder,
        zone: &str,
    ) -> Result<(), Failure> {
        let ended = tokio::time::timeout(self.patience, self.end_of(first, zone)).await;
        match ended {
            Ok(Ok(Operation::Failed(error))) => {
                Err(self.sender.refused(call, error.refusal(), std::slice::from_ref(&order.secret)))
            }
            Ok(Ok(Operation::Done | Operation::Running(_))) | Err(_) => Ok(()),
            // That it was not answered says nothing of the VM; that we may not look says that the order was accepted.
            Ok(Err(failure)) if failure.meaning == Meaning::Unknown => Err(failure),
            Ok(Err(_)) => Ok(()),
        }
    }

    async fn end_of(&self, first: Operation, zone: &str) -> Result<Operation, Failure> {
        let mut operation = first;
        let mut looks = 0;
        while let Operation::Running(name) = &operation {
            if looks > 0 {
                tokio::time::sleep(LOOK_AGAIN_AFTER).await;
            }
            operation = self.sender.call(&self.sender.api.wait(zone, name), operation::read).await?;
            looks += 1;
        }
        Ok(operation)
    }

    /// The order was sent before: it is this VM, if it is ours. Without a look nobody knows.
    async fn adopt(&self, order: &CreateOrder, vm: &Vm, why: Failure) -> Result<Instance, Failure> {
        let call = self.sender.api.get(vm).hiding(&order.secret);
        let found = self.sender.call(&call, instances::one).await;
        let found = found.map_err(|failure| Failure { meaning: Meaning::Unknown, ..failure })?;
        let is_same = |of: fn(&Tags) -> &str| of(&found.instance.tags) == of(&order.tags);
        match is_same(tags::set_of) && is_same(tags::secret_of) {
            true => Ok(found.instance),
            false => Err(Failure { message: format!("{}, and is none of ours", why.message), ..why }),
        }
    }
}

fn is_there_already(failure: &Failure) -> bool {
    ALREADY_EXISTS.contains(&failure.code.as_str())
}
