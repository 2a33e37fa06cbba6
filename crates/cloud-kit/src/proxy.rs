//! Clouds are called directly. A proxy would be one more party whose answers look like the cloud's, and the metadata
//! service that gives credentials is not behind any; a site that has one is told so.

use dispatch_core::driver::{Remark, RemarkKind, Surroundings};

/// A remark if the environment names a proxy that would be meant for this cloud.
pub fn unused_proxy(surroundings: &Surroundings<'_>, cloud: &str) -> Option<Remark> {
    let is_https = surroundings.endpoint.is_none_or(|url| url.starts_with("https:"));
    let variable = surroundings.https_proxy.filter(|_| is_https)?;
    let message = format!("{variable} of the environment is not used: {cloud} is called without a proxy");
    Some(Remark::cloud_vms("Driver", RemarkKind::Doubtful(message)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_for_https_is_remarked_upon_where_the_cloud_is_called_by_https() {
        let told = |https_proxy, endpoint| {
            let surroundings = Surroundings { https_proxy, endpoint, ..Surroundings::default() };
            unused_proxy(&surroundings, "the cloud").is_some()
        };
        assert!(told(Some("HTTPS_PROXY"), None) && told(Some("https_proxy"), Some("https://a.example/")));
        assert!(!told(None, None) && !told(Some("HTTPS_PROXY"), Some("http://127.0.0.1:1/")));
    }
}
