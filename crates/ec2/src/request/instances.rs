//! Calls about instances that are there.

use dispatch_core::id::InstanceId;
use dispatch_core::instance::Tags;

use super::{Action, Request};

/// The most that EC2 puts on a page. Without it a page is of EC2's choice, and the size of its answers not bounded.
const PAGE: u32 = 1000;
/// All states but those of an instance that is on its way out. EC2 lists an instance for an hour after its end; where
/// VMs live for minutes that would be most of a listing.
const STATES: [&str; 4] = ["pending", "running", "stopping", "stopped"];
/// The most values that EC2 takes in all filters of a call.
pub(crate) const MOST_VALUES: usize = 200;

/// A page of the instances that carry all of these tags and have not ended.
pub(crate) fn describe_instances(filter: &Tags, page: Option<&str>) -> Request {
    let request = Request::new(Action::DescribeInstances);
    let numbered = filter.0.iter().enumerate();
    let request = numbered.fold(request, |request, (index, (key, value))| {
        request.with_filter(index + 1, &format!("tag:{key}"), [value.as_str()])
    });
    request
        .with_filter(filter.0.len() + 1, "instance-state-name", STATES)
        .with("MaxResults", PAGE)
        .with_page(page)
}

/// A page of these instances, in whatever state they are; [`MOST_VALUES`] at most. They are named in a filter, because
/// one that EC2 does not know would make it refuse a list of ids.
pub(crate) fn describe_ended(ids: &[InstanceId], page: Option<&str>) -> Request {
    Request::new(Action::DescribeInstances)
        .with_filter(1, "instance-id", ids.iter().map(InstanceId::as_str))
        .with("MaxResults", PAGE)
        .with_page(page)
}

/// Ends one.
pub(crate) fn terminate_instances(id: &InstanceId) -> Request {
    Request::new(Action::TerminateInstances).with_list("InstanceId", [id.as_str()])
}

/// Adds tags to one, replacing equal keys.
pub(crate) fn create_tags(id: &InstanceId, tags: &Tags) -> Request {
    let tags = tags.0.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    Request::new(Action::CreateTags).with_list("ResourceId", [id.as_str()]).with_tags("Tag", tags)
}
