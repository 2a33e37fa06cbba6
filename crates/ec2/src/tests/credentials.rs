//! When EC2 does not take what we have, the next call is signed with something else; when we just may not, it is not.

use std::sync::atomic::Ordering;
use std::time::Duration;

use dispatch_cloud_kit::clock;
use dispatch_core::id::InstanceId;
use dispatch_core::instance::Tags;
use dispatch_sim::stub::{Reply, Stub};
use prometheus::Registry;

use crate::credentials::tests::role;
use crate::endpoint::Endpoint;
use crate::metrics::Metrics;
use crate::request;
use crate::send::Sender;

/// The keys with which three calls were signed, if the second is refused with that code; and how often the chain was
/// asked for any.
async fn keys(status: u16, code: &str) -> (Vec<String>, u32) {
    let stub = Stub::start(None).unwrap();
    let (source, asked) = role(u32::MAX, clock::system_time());
    let endpoint = Endpoint::new("us-east-1", Default::default(), Some(&stub.endpoint)).unwrap();
    let metrics = Metrics::new(&Registry::new(), &[]).unwrap();
    let deadline = Duration::from_secs(30);
    let sender = Sender::new(endpoint, source, deadline, metrics.errors().clone()).unwrap();
    let id = InstanceId::new("i-1").unwrap();
    let tags = Tags([("a".to_owned(), "b".to_owned())].into());
    let good = || Reply::Xml(200, "<CreateTagsResponse/>".to_owned());
    for reply in [good(), Reply::refusal(status, code, "no"), good()] {
        stub.next("CreateTags", reply);
        // The second fails.
        let _ = sender.done(&request::create_tags(&id, &tags)).await;
    }
    let key = |authorization: &str| {
        let (_, rest) = authorization.split_once("Credential=").unwrap();
        rest.split('/').next().unwrap().to_owned()
    };
    let keys = stub.calls().iter().map(|call| key(&call["Authorization"])).collect();
    (keys, asked.load(Ordering::Relaxed))
}

#[actix_rt::test]
async fn the_call_after_an_expired_token_is_signed_with_the_chains_new_keys() {
    for code in ["ExpiredToken", "RequestExpired", "AuthFailure", "SignatureDoesNotMatch"] {
        assert_eq!(
            keys(400, code).await,
            (["key-1", "key-1", "key-2"].map(str::to_owned).into(), 2),
            "{code}"
        );
    }
}

/// A policy that lacks an action is no reason to ask the metadata service at each call.
#[actix_rt::test]
async fn who_may_not_do_something_keeps_the_keys() {
    for code in ["UnauthorizedOperation", "AccessDenied", "OptInRequired", "RequestLimitExceeded"] {
        assert_eq!(keys(403, code).await, (vec!["key-1".to_owned(); 3], 1), "{code}");
    }
}
