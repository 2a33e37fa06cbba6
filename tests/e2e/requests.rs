//! Which container requests wait for which containers: our client of the controller's API against the simulated one.

use dispatch_adapters::arvados::{Client, Options};
use dispatch_core::id::ContainerUuid;
use dispatch_core::ports::{ApiErrorKind, ArvadosApi as _};
use dispatch_core::secret::Secret;

use crate::support::{SOON, Site};

fn client(site: &Site, token: &str) -> Client {
    let base_url = site.controller.url().parse().unwrap();
    Client::new(Options { base_url, token: Secret::new(token), insecure: false, timeout: SOON }).unwrap()
}

/// Fifty uuids are too long for a query: the call is sent as a form.
#[actix_rt::test]
async fn each_container_that_waits_has_its_request_and_one_that_has_ended_has_none() {
    let site = Site::new();
    site.submit(50).await;
    let uuids: Vec<ContainerUuid> = site.records().await.iter().map(|it| it.uuid).collect();
    let client = client(&site, site.controller.token());
    let told = client.requests_of(&uuids).await.unwrap();
    assert_eq!((told.items.len(), told.undecodable.len()), (50, 0));
    let expected = uuids.clone();
    let expected = site.controller.with(move |arvados, _| arvados.requests_of(&expected)).await.unwrap();
    let sorted = |mut pairs: Vec<_>| {
        pairs.sort();
        pairs
    };
    assert_eq!(sorted(told.items), sorted(expected));
    client.cancel(uuids[0], None).await.unwrap();
    let told = client.requests_of(&uuids[..2]).await.unwrap().items;
    assert_eq!(told.iter().map(|(uuid, _)| *uuid).collect::<Vec<_>>(), [uuids[1]]);
}

#[actix_rt::test]
async fn whoever_shows_no_token_is_told_nothing() {
    let site = Site::new();
    site.submit(1).await;
    let uuid = site.records().await[0].uuid;
    let refused = client(&site, "nobody").requests_of(&[uuid]).await.unwrap_err();
    assert_eq!((refused.kind, refused.status), (ApiErrorKind::Unauthorized, Some(401)));
}
