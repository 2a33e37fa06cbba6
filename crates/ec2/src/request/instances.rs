//! Calls about instances that are there.

use dispatch_core::id::InstanceId;
use dispatch_core::instance::Tags;

use super::{Action, Request};

/// A page of the instances that carry all of these tags.
pub(crate) fn describe_instances(filter: &Tags, page: Option<&str>) -> Request {
    let request = Request::new(Action::DescribeInstances);
    let numbered = filter.0.iter().enumerate();
    let request = numbered.fold(request, |request, (index, (key, value))| {
        request.with_filter(index + 1, &format!("tag:{key}"), [value.as_str()])
    });
    request.with_page(page)
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
