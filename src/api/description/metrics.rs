//! The form of `/metrics.json`, which `dispatch_actors` writes.
#![expect(dead_code, reason = "described here, written there")]

use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};

use super::words::one_of;

/// The series of one name.
#[derive(ToSchema)]
pub(super) struct MetricFamily {
    name: String,
    help: String,
    r#type: MetricKind,
    metric: Vec<Metric>,
}

/// What kind of values they are.
#[derive(ToSchema)]
#[schema(rename_all = "UPPERCASE")]
enum MetricKind {
    Counter,
    Gauge,
    Summary,
    Histogram,
}

/// One series.
#[derive(ToSchema)]
struct Metric {
    #[schema(nullable = false)]
    label: Option<Vec<Label>>,
    #[schema(nullable = false)]
    counter: Option<Single>,
    #[schema(nullable = false)]
    gauge: Option<Single>,
    #[schema(nullable = false)]
    summary: Option<Summary>,
    #[schema(nullable = false)]
    histogram: Option<Histogram>,
}

#[derive(ToSchema)]
struct Label {
    name: String,
    value: String,
}

#[derive(ToSchema)]
struct Single {
    #[schema(schema_with = number)]
    value: f64,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct Summary {
    sample_count: String,
    #[schema(schema_with = number)]
    sample_sum: f64,
    #[schema(nullable = false)]
    quantile: Option<Vec<Quantile>>,
}

#[derive(ToSchema)]
struct Quantile {
    quantile: f64,
    #[schema(schema_with = number)]
    value: f64,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct Histogram {
    sample_count: String,
    #[schema(schema_with = number)]
    sample_sum: f64,
    bucket: Vec<Bucket>,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct Bucket {
    cumulative_count: String,
    #[schema(schema_with = number)]
    upper_bound: f64,
}

/// A number, or the name of one that JSON has no word for.
fn number() -> Schema {
    let finite = ObjectBuilder::new().schema_type(Type::Number);
    let names = one_of(["NaN", "Infinity", "-Infinity"]);
    Schema::OneOf(OneOfBuilder::new().item(finite).item(names).build())
}
