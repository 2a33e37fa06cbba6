//! Instances, as a listing or the answer to an order shows them.

use std::net::IpAddr;

use dispatch_cloud_kit::Malformed;
use dispatch_core::id::{InstanceId, ProviderType};
use dispatch_core::instance::{Instance, Tags};
use serde::Deserialize;

use super::{Items, next_page, read};
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
    ipv6_address: Option<String>,
    #[serde(default)]
    network_interface_set: Items<Interface>,
    instance_lifecycle: Option<String>,
    subnet_id: Option<String>,
    placement: Option<Placement>,
    state_reason: Option<StateReason>,
    launch_time: Option<String>,
    #[serde(default)]
    tag_set: Items<Tag>,
}

#[derive(Deserialize)]
struct State {
    name: String,
}

#[derive(Deserialize, Default)]
struct StateReason {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Placement {
    availability_zone: Option<String>,
}

#[derive(Deserialize)]
struct Interface {
    #[serde(rename = "ipv6AddressesSet", default)]
    ipv6_addresses: Items<Ipv6Address>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ipv6Address {
    ipv6_address: Option<String>,
}

#[derive(Deserialize)]
struct Tag {
    key: String,
    #[serde(default)]
    value: String,
}

/// A VM of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shown {
    /// It exists.
    Living(Listed),
    /// It has ended, or is on its way out.
    Over {
        /// Which.
        id: InstanceId,
        /// Why, in EC2's words; may be empty.
        reason: String,
    },
}

/// A page of a listing and the token of the next.
pub(crate) fn page(body: &str) -> Result<(Vec<Shown>, Option<String>), Malformed> {
    let response: DescribeInstancesResponse = read(Action::DescribeInstances, body)?;
    let all = response.reservations.item.into_iter().flat_map(|it| it.instances.item);
    let shown = all.map(Described::shown).collect::<Result<_, _>>()?;
    Ok((shown, next_page(response.next_token)))
}

/// The VM that an order made.
pub(crate) fn created(body: &str) -> Result<Listed, Malformed> {
    let response: RunInstancesResponse = read(Action::RunInstances, body)?;
    let first = response.instances.item.into_iter().next();
    first.ok_or_else(|| Malformed("no instance in it".to_owned()))?.checked()
}

/// The longest reason that is passed on, in characters.
const LONGEST_REASON: usize = 300;

impl StateReason {
    /// The message begins with the code more often than not.
    fn text(self) -> String {
        let Self { code, message } = self;
        let text = match (message.is_empty(), message.starts_with(&code)) {
            (true, _) => code,
            (false, true) => message,
            (false, false) => format!("{code}: {message}"),
        };
        text.chars().take(LONGEST_REASON).collect()
    }
}

impl Described {
    fn is_over(&self) -> bool {
        matches!(self.instance_state.name.as_str(), "shutting-down" | "terminated")
    }

    fn shown(self) -> Result<Shown, Malformed> {
        if !self.is_over() {
            return self.checked().map(Shown::Living);
        }
        let id = InstanceId::new(&self.instance_id).map_err(|error| Malformed(error.to_string()))?;
        Ok(Shown::Over { id, reason: self.state_reason.unwrap_or_default().text() })
    }

    /// The private IPv4 address; in a subnet that has none, the first of IPv6. An address goes to an ssh client's
    /// command line, by way of a configuration file: what is no address is none.
    fn address(&self) -> String {
        let of_interfaces = self.network_interface_set.item.iter().flat_map(|it| &it.ipv6_addresses.item);
        let of_interfaces = of_interfaces.filter_map(|it| it.ipv6_address.as_ref());
        let mut all = self.private_ip_address.iter().chain(&self.ipv6_address).chain(of_interfaces);
        all.find(|text| text.parse::<IpAddr>().is_ok()).cloned().unwrap_or_default()
    }

    fn checked(self) -> Result<Listed, Malformed> {
        let malformed = |error: dispatch_core::id::InvalidId| Malformed(error.to_string());
        let address = self.address();
        let tags = self.tag_set.item.into_iter().map(|tag| (tag.key, tag.value)).collect();
        let instance = Instance {
            id: InstanceId::new(&self.instance_id).map_err(malformed)?,
            provider_type: ProviderType::new(&self.instance_type).map_err(malformed)?,
            address,
            tags: Tags(tags),
            price_history: Vec::new(),
            // Only an account of costs reads it: a date that cannot be read is none.
            launched: self.launch_time.and_then(|text| text.parse().ok()),
        };
        Ok(Listed {
            instance,
            spot: self.instance_lifecycle.as_deref() == Some("spot"),
            zone: self.placement.and_then(|it| it.availability_zone).unwrap_or_default(),
            subnet: self.subnet_id.unwrap_or_default(),
        })
    }
}
