//! The call about prices on the spot market.

use dispatch_core::time::Timestamp;

use super::{Action, Request};

/// A page of what VMs of these types have cost since then, with Linux, in each zone.
pub(crate) fn describe_spot_price_history(types: &[String], since: Timestamp, page: Option<&str>) -> Request {
    Request::new(Action::DescribeSpotPriceHistory)
        .with_filter(1, "instance-type", types.iter().map(String::as_str))
        .with_filter(2, "product-description", ["Linux/UNIX"])
        .with("StartTime", since.strftime("%Y-%m-%dT%H:%M:%S.%3fZ"))
        .with_page(page)
}
