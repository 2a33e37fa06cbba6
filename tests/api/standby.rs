//! While another dispatcher holds the lock: alive, not ready, nothing touched.

use arvados_dispatch_cloud::api::Active;
use serde_json::json;

use crate::support::Site;

#[actix_web::test]
async fn a_standby_answers_health_and_metrics_and_refuses_the_rest() {
    let site = Site::start().await;
    let active: Option<Active> = site.active.send_replace(None);
    assert_eq!(site.get("/_health/ping").await.json(), json!({"health": "OK", "standby": true}));
    let ready = site.get("/_health/ready").await;
    ready.assert_error(503);
    assert_eq!(ready.json()["checks"]["lock_held"]["ok"], false);
    assert_eq!(site.get("/metrics").await.status, 200);
    let container = "/arvados/v1/dispatch/container?container_uuid=zzzzz-dz642-000000000000001";
    site.get(container).await.assert_error(404);
    for path in ["containers", "instances", "creates", "cost", "debug/state"] {
        site.get(&format!("/arvados/v1/dispatch/{path}")).await.assert_error(503);
    }
    for action in ["hold", "drain", "run", "kill"] {
        let path = format!("/arvados/v1/dispatch/instances/{action}");
        site.post(&path, &[("instance_id", "i-1")]).await.assert_error(503);
    }
    let form = [("container_uuid", "zzzzz-dz642-000000000000001")];
    site.post("/arvados/v1/dispatch/containers/kill", &form).await.assert_error(503);
    site.active.send_replace(active);
    assert_eq!(site.get("/arvados/v1/dispatch/instances").await.status, 200);
}
