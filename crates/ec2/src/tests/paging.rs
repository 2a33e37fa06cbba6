//! Lists that come in pages, also from a cloud that loses its place.

use dispatch_core::instance::Tags;
use dispatch_core::ports::{CloudDriver as _, CloudErrorKind};
use dispatch_sim::stub::{Reply, Stub};

use super::{driver, params};

/// A page of one instance; an empty token is no next page.
fn page(id: &str, next: &str) -> Reply {
    let instance = format!(
        "<item><instanceId>{id}</instanceId><instanceType>m5.large</instanceType>\
         <instanceState><name>running</name></instanceState></item>"
    );
    let reservations = format!("<item><instancesSet>{instance}</instancesSet></item>");
    Reply::Xml(
        200,
        format!(
            "<DescribeInstancesResponse><reservationSet>{reservations}</reservationSet>\
             <nextToken>{next}</nextToken></DescribeInstancesResponse>"
        ),
    )
}

#[actix_rt::test]
async fn pages_are_read_one_after_the_other_until_none_is_named() {
    let stub = Stub::start(None).unwrap();
    let (cloud, _) = driver(&stub.endpoint, params()).await;
    for reply in [page("i-1", "two"), page("i-2", "three"), page("i-3", "")] {
        stub.next("DescribeInstances", reply);
    }
    let listed = cloud.list(&Tags::default()).await.unwrap();
    assert_eq!(listed.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(), ["i-1", "i-2", "i-3"]);
    let tokens: Vec<_> = stub.calls().iter().map(|call| call.get("NextToken").cloned()).collect();
    assert_eq!(tokens, [None, Some("two".to_owned()), Some("three".to_owned())]);
}

#[actix_rt::test]
async fn a_page_that_fails_fails_the_listing() {
    let stub = Stub::start(None).unwrap();
    let (cloud, _) = driver(&stub.endpoint, params()).await;
    stub.next("DescribeInstances", page("i-1", "two"));
    stub.next("DescribeInstances", Reply::refusal(503, "RequestLimitExceeded", "slow down"));
    let error = cloud.list(&Tags::default()).await.unwrap_err();
    assert!(matches!(error.kind, CloudErrorKind::RateLimited { .. }), "{error}");
}

#[actix_rt::test]
async fn a_list_in_a_circle_is_given_up() {
    let stub = Stub::start(None).unwrap();
    let (cloud, _) = driver(&stub.endpoint, params()).await;
    for next in ["two", "one", "two", "one"] {
        stub.next("DescribeInstances", page("i-1", next));
    }
    let error = cloud.list(&Tags::default()).await.unwrap_err();
    assert_eq!(error.code, "malformed", "{error}");
    assert_eq!(stub.calls().len(), 3);
}
