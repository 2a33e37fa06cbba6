//! Prices on the spot market.

use dispatch_cloud_kit::Malformed;
use dispatch_core::instance::{Price, PricePoint};
use dispatch_core::time::Timestamp;
use serde::Deserialize;

use super::{Items, next_page, read};
use crate::request::Action;

/// From when on VMs of a type cost what in a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SpotPrice {
    pub provider_type: String,
    pub zone: String,
    pub point: PricePoint,
}

#[derive(Deserialize)]
struct DescribeSpotPriceHistoryResponse {
    #[serde(rename = "spotPriceHistorySet")]
    prices: Items<Entry>,
    #[serde(rename = "nextToken")]
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(default)]
    instance_type: String,
    #[serde(default)]
    availability_zone: String,
    #[serde(default)]
    spot_price: String,
    #[serde(default)]
    timestamp: String,
}

/// A page and the token of the next. An entry that says no price is left out: it hurts only itself.
pub(crate) fn page(body: &str) -> Result<(Vec<SpotPrice>, Option<String>), Malformed> {
    let response: DescribeSpotPriceHistoryResponse = read(Action::DescribeSpotPriceHistory, body)?;
    let prices = response.prices.item.into_iter().filter_map(Entry::checked).collect();
    Ok((prices, next_page(response.next_token)))
}

impl Entry {
    fn checked(self) -> Option<SpotPrice> {
        let price = Price::new(self.spot_price.parse().ok()?)?;
        let start_time: Timestamp = self.timestamp.parse().ok()?;
        let point = PricePoint { start_time, price };
        Some(SpotPrice { provider_type: self.instance_type, zone: self.availability_zone, point })
    }
}
