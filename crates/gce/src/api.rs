//! The calls of Compute Engine's API, as data: which method of Google's, where, with what.

use dispatch_cloud_kit::Method;
use dispatch_core::secret::Secret;
use serde_json::{Value, json};
use url::Url;

use crate::names::Vm;

/// A call. It has no `Debug`, because what it tells may be secret.
#[derive(Clone)]
pub(crate) struct Call {
    /// Google's name of the method: for metrics and people.
    pub name: &'static str,
    pub method: Method,
    pub url: Url,
    /// Empty = none.
    pub body: Secret,
    /// What must not be repeated if the cloud repeats it.
    pub secrets: Vec<Secret>,
}

impl Call {
    fn new(name: &'static str, method: Method, url: Url) -> Self {
        Self { name, method, url, body: Secret::default(), secrets: Vec::new() }
    }

    fn with_body(self, body: &Value) -> Self {
        Self { body: Secret::new(body.to_string()), ..self }
    }

    /// The same, with what must not be repeated.
    pub fn hiding(self, secret: &Secret) -> Self {
        Self { secrets: vec![secret.clone()], ..self }
    }

    fn with_query(mut self, pairs: &[(&str, &str)]) -> Self {
        self.url.query_pairs_mut().extend_pairs(pairs);
        self
    }
}

/// Where the project's resources are.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    /// Such as `https://compute.googleapis.com/compute/v1/`.
    base: Url,
    /// The project of the VMs.
    pub project: String,
}

impl Api {
    /// That project's there.
    pub fn new(base: Url, project: &str) -> Self {
        Self { base, project: project.to_owned() }
    }

    /// Where is called.
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// A resource of the project. Whatever is in a name, it is one part of the path.
    fn of_project<'a>(&'a self, parts: impl IntoIterator<Item = &'a str>) -> Url {
        let mut url = self.base.clone();
        let mut path = url.path_segments_mut().expect("an http URL has a path");
        path.pop_if_empty().extend(["projects", &self.project]).extend(parts);
        drop(path);
        url
    }

    fn of_vm<'a>(&'a self, vm: &'a Vm, method: Option<&'a str>) -> Url {
        self.of_project(["zones", &vm.zone, "instances", &vm.name].into_iter().chain(method))
    }

    /// Orders a VM. Sent twice under one id it is one order.
    pub fn insert(&self, zone: &str, request_id: &str, instance: &Value) -> Call {
        let url = self.of_project(["zones", zone, "instances"]);
        let call = Call::new("instances.insert", Method::POST, url).with_body(instance);
        call.with_query(&[("requestId", request_id)])
    }

    /// Waits for the end of an operation, up to two minutes.
    pub fn wait(&self, zone: &str, operation: &str) -> Call {
        let url = self.of_project(["zones", zone, "operations", operation, "wait"]);
        Call::new("zoneOperations.wait", Method::POST, url)
    }

    /// A page of that many of the VMs of all zones, or of those with that label.
    pub fn list(&self, label: Option<&(String, String)>, most: u32, page: Option<&str>) -> Call {
        let url = self.of_project(["aggregated", "instances"]);
        let filter = label.map(|(name, value)| format!("labels.{name}=\"{value}\""));
        let filter = filter.as_deref().map(|filter| ("filter", filter));
        let page = page.map(|page| ("pageToken", page));
        let most = most.to_string();
        let pairs: Vec<_> = [("maxResults", most.as_str())].into_iter().chain(filter).chain(page).collect();
        Call::new("instances.aggregatedList", Method::GET, url).with_query(&pairs)
    }

    /// One VM.
    pub fn get(&self, vm: &Vm) -> Call {
        Call::new("instances.get", Method::GET, self.of_vm(vm, None))
    }

    /// Ends one. Without a request's id: under the same one an end that has failed would never be tried again, and the end
    /// of what is gone is a success anyway.
    pub fn delete(&self, vm: &Vm) -> Call {
        Call::new("instances.delete", Method::DELETE, self.of_vm(vm, None))
    }

    /// Replaces all metadata, if they still have that fingerprint.
    pub fn set_metadata(&self, vm: &Vm, fingerprint: &str, items: &[(String, String)]) -> Call {
        let items: Vec<_> = items.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
        let body = json!({"fingerprint": fingerprint, "items": items});
        let url = self.of_vm(vm, Some("setMetadata"));
        Call::new("instances.setMetadata", Method::POST, url).with_body(&body)
    }

    /// Replaces all labels, if they still have that fingerprint.
    pub fn set_labels(
        &self,
        vm: &Vm,
        fingerprint: &str,
        labels: &std::collections::BTreeMap<String, String>,
    ) -> Call {
        let body = json!({"labelFingerprint": fingerprint, "labels": labels});
        let url = self.of_vm(vm, Some("setLabels"));
        Call::new("instances.setLabels", Method::POST, url).with_body(&body)
    }

    /// The host keys that one has published.
    pub fn host_keys(&self, vm: &Vm) -> Call {
        let url = self.of_vm(vm, Some("getGuestAttributes"));
        let call = Call::new("instances.getGuestAttributes", Method::GET, url);
        call.with_query(&[("queryPath", "hostkeys/")])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api() -> Api {
        Api::new(Url::parse("https://compute.googleapis.com/compute/v1/").unwrap(), "lab")
    }

    #[test]
    fn a_filter_is_quoted_and_pages_are_named() {
        let label = ("arvados-instance-set".to_owned(), "set".to_owned());
        let url = api().list(Some(&label), 500, Some("a/b&c")).url;
        assert_eq!(
            url.as_str(),
            "https://compute.googleapis.com/compute/v1/projects/lab/aggregated/instances?maxResults=500\
             &filter=labels.arvados-instance-set%3D%22set%22&pageToken=a%2Fb%26c"
        );
    }

    #[test]
    fn with_or_without_its_last_slash_an_endpoint_is_the_same() {
        let vm = Vm::new("us-central1-a", "arvados-1").unwrap();
        let wanted = "http://127.0.0.1:1/compute/v1/projects/lab/zones/us-central1-a/instances/arvados-1";
        for base in ["http://127.0.0.1:1/compute/v1", "http://127.0.0.1:1/compute/v1/"] {
            let api = Api::new(Url::parse(base).unwrap(), "lab");
            assert_eq!(api.get(&vm).url.as_str(), wanted);
        }
    }

    #[test]
    fn a_name_is_one_part_of_the_path() {
        let url = api().wait("us-central1-a", "../../x?y").url;
        assert!(url.path().ends_with("/operations/..%2F..%2Fx%3Fy/wait"), "{url}");
    }
}
