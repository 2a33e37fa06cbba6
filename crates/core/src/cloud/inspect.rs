//! What the account holds, to be shown to developers.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Account;
use crate::id::{InstanceId, ProviderType};
use crate::instance::Instance;
use crate::time::Timestamp;

/// What the account holds, and what is in flight since when. Without secrets.
#[derive(Debug, Serialize)]
pub struct AccountState {
    /// As Pool knows them.
    instances: Vec<InstanceState>,
    /// Creates that answered after the last listing began.
    created: BTreeMap<InstanceId, Timestamp>,
    calls: Vec<AccountCallState>,
    /// Before this moment the rate allows no call.
    next_slot: Timestamp,
    listing: ListingState,
}

#[derive(Debug, Serialize)]
struct InstanceState {
    id: InstanceId,
    provider_type: ProviderType,
    address: String,
    tags: BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
struct AccountCallState {
    operation: &'static str,
    /// It is, or will be, sent then.
    since: Timestamp,
}

#[derive(Debug, Serialize)]
struct ListingState {
    under_way_since: Option<Timestamp>,
    next: Option<Timestamp>,
    held_until: Option<Timestamp>,
    failing_since: Option<Timestamp>,
}

impl Account {
    /// What it holds; O(instances).
    pub fn inspect(&self) -> AccountState {
        let call = |slot: &super::CallSlot| AccountCallState {
            operation: slot.operation.as_str(),
            since: slot.send_at,
        };
        AccountState {
            instances: self.known.values().map(instance).collect(),
            created: self.created.clone(),
            calls: self.calls.in_flight().map(call).collect(),
            next_slot: self.calls.next_slot,
            listing: ListingState {
                under_way_since: self.listings.under_way,
                next: self.listings.next,
                held_until: self.listings.held_until,
                failing_since: self.listings.failing_since,
            },
        }
    }
}

fn instance(instance: &Instance) -> InstanceState {
    InstanceState {
        id: instance.id.clone(),
        provider_type: instance.provider_type.clone(),
        address: instance.address.clone(),
        tags: instance.tags.without_secrets(),
    }
}
