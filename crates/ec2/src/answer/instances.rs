//! Instances, as a listing or the answer to an order shows them.

use std::net::IpAddr;

use dispatch_core::id::{InstanceId, ProviderType};
use dispatch_core::instance::{Instance, Tags};
use serde::Deserialize;

use super::{Items, Malformed, next_page, read};
use crate::request::Action;

/// A VM, with what only this driver needs to know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub instance: Instance,
    /// Whether it was bought on the spot market.
    pub spot: bool,
    /// Its availability zone; may be empty.
    pub zone: String,
    /// Its subnet; may be empty.
    pub subnet: String,
}

#[derive(Deserialize)]
struct DescribeInstancesResponse {
    #[serde(rename = "reservationSet")]
    reservations: Items<Reservation>,
    #[serde(rename = "nextToken")]
    next_token: Option<String>,
}

#[derive(Deserialize)]
struct Reservation {
    #[serde(rename = "instancesSet", default)]
    instances: Items<Described>,
}

#[derive(Deserialize)]
struct RunInstancesResponse {
    #[serde(rename = "instancesSet")]
    instances: Items<Described>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Described {
    instance_id: String,
    instance_type: String,
    instance_state: State,
    private_ip_address: Option<String>,
    instance_lifecycle: Option<String>,
    subnet_id: Option<String>,
    placement: Option<Placement>,
    #[serde(default)]
    tag_set: Items<Tag>,
}

#[derive(Deserialize)]
struct State {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Placement {
    availability_zone: Option<String>,
}

#[derive(Deserialize)]
struct Tag {
    key: String,
    #[serde(default)]
    value: String,
}

/// A page of a listing and the token of the next, those on their way out left out.
pub(crate) fn page(body: &str) -> Result<(Vec<Listed>, Option<String>), Malformed> {
    let response: DescribeInstancesResponse = read(Action::DescribeInstances, body)?;
    let all = response.reservations.item.into_iter().flat_map(|it| it.instances.item);
    let living = all.filter(|it| !it.is_over());
    let listed = living.map(Described::checked).collect::<Result<_, _>>()?;
    Ok((listed, next_page(response.next_token)))
}

/// The VM that an order made.
pub(crate) fn created(body: &str) -> Result<Listed, Malformed> {
    let response: RunInstancesResponse = read(Action::RunInstances, body)?;
    let first = response.instances.item.into_iter().next();
    first.ok_or_else(|| Malformed("no instance in it".to_owned()))?.checked()
}

impl Described {
    fn is_over(&self) -> bool {
        matches!(self.instance_state.name.as_str(), "shutting-down" | "terminated")
    }

    fn checked(self) -> Result<Listed, Malformed> {
        let malformed = |error: dispatch_core::id::InvalidId| Malformed(error.to_string());
        let address = self.private_ip_address.unwrap_or_default();
        let tags = self.tag_set.item.into_iter().map(|tag| (tag.key, tag.value)).collect();
        let instance = Instance {
            id: InstanceId::new(&self.instance_id).map_err(malformed)?,
            provider_type: ProviderType::new(&self.instance_type).map_err(malformed)?,
            // It goes to an ssh client's command line, by way of a configuration file.
            address: if address.parse::<IpAddr>().is_ok() { address } else { String::new() },
            tags: Tags(tags),
            price_history: Vec::new(),
        };
        Ok(Listed {
            instance,
            spot: self.instance_lifecycle.as_deref() == Some("spot"),
            zone: self.placement.and_then(|it| it.availability_zone).unwrap_or_default(),
            subnet: self.subnet_id.unwrap_or_default(),
        })
    }
}
