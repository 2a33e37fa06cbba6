//! The API's description (OpenAPI 3.1), at `/arvados/v1/dispatch/openapi.json`.
//!
//! ```text
//!   routes: path, method, handler, sketch ─┬─► paths: operations (`operations`, with `parameters` and `refusals`)
//!   view: the types that are serialised ───┴─► components: schemas, derived by utoipa (`words` for their words)
//! ```
//! A route cannot be without a description (but the page, which is for people), and a description cannot be of no route:
//! both are one row of the table in `routes`. A schema allows nothing that it does not name, unless it says so.
//!
//! It is made once, and needs the token, as everything else does.

mod close;
mod metrics;
pub(super) mod operations;
pub(super) mod parameters;
mod refusals;
mod sketch;
pub(in crate::api) mod words;

use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::http::header::ContentType;
use bytes::Bytes;
pub(super) use sketch::Sketch;
use utoipa::openapi::path::{PathItem, PathsBuilder};
use utoipa::openapi::schema::{Components, ComponentsBuilder};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{HttpMethod, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder};
use utoipa::{PartialSchema as _, ToSchema as _};

use super::error::Errors;
use super::routes::{self, Route};
use sketch::Named;

/// The document, as it is sent.
static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| {
    let text = document(&routes::table()).to_json().expect("it is a tree of texts");
    Bytes::from(text)
});

/// The description.
pub(super) async fn openapi() -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::json()).body(DOCUMENT.clone())
}

/// Describes these routes.
fn document(routes: &[Route]) -> OpenApi {
    let mut schemas: Named = vec![(Errors::name().into_owned(), Errors::schema())];
    let mut paths = PathsBuilder::new();
    for route in routes {
        if let Some(describe) = route.describe {
            paths = paths.path(route.path, path(route, describe, &mut schemas));
        }
    }
    OpenApiBuilder::new()
        .info(info())
        .paths(paths)
        .components(Some(components(schemas)))
        .security(Some(SCHEMES.map(|name| SecurityRequirement::new(name, [""; 0]))))
        .build()
}

fn info() -> utoipa::openapi::Info {
    InfoBuilder::new()
        .title("arvados-dispatch-cloud: management API")
        .version(crate::VERSION)
        .description(Some(
            "What operators, dashboards and the site's health checker ask the dispatcher. HEAD is answered where GET is.",
        ))
        .license(Some(LicenseBuilder::new().name("AGPL-3.0-only").identifier(Some("AGPL-3.0-only")).build()))
        .build()
}

/// What a path is answered with, by each of its methods.
fn path(route: &Route, describe: fn() -> Sketch, schemas: &mut Named) -> PathItem {
    let methods: &[HttpMethod] =
        if route.is_read { &[HttpMethod::Get, HttpMethod::Head] } else { &[HttpMethod::Post] };
    let mut item = PathItem::default();
    for method in methods {
        let (operation, named) = describe().operation(method);
        item.merge_operations(PathItem::new(method.clone(), operation));
        schemas.extend(named);
    }
    item
}

fn components(schemas: Named) -> Components {
    let schemas = schemas.into_iter().map(|(name, schema)| (name, close::closed(schema)));
    let components = ComponentsBuilder::new().schemas_from_iter(schemas).responses_from_iter(refusals::all());
    let [bearer, basic, oauth2] = SCHEMES;
    components
        .security_scheme(bearer, http(HttpAuthScheme::Bearer, "The management token."))
        .security_scheme(
            basic,
            http(HttpAuthScheme::Basic, "Any user name; the management token as password."),
        )
        .security_scheme(
            oauth2,
            SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(
                "Authorization",
                "`OAuth2 `, and the management token: as the site's other services take it.",
            ))),
        )
        .build()
}

/// How the token may be shown; any of them will do.
const SCHEMES: [&str; 3] = ["bearer", "basic", "oauth2"];

fn http(scheme: HttpAuthScheme, description: &str) -> SecurityScheme {
    SecurityScheme::Http(HttpBuilder::new().scheme(scheme).description(Some(description)).build())
}
