//! What Compute Engine's words mean: one table, a row a word, and one for its quotas, which it counts by region, family and
//! market under one word.
//!
//! ```text
//!   word ─ ERRORS ─► meaning ─┬─ a quota that has a name ─ QUOTAS ─► which types, or which market
//!                             ├─ not found ─► a VM's end, if it names one
//!                             ├─ throttled ─► until the next full minute: rates are counted by the minute
//!                             └─ else as it is
//! ```

use std::time::Duration;

use dispatch_cloud_kit::{ErrorTable, Failure, Meaning, Reach, Row};
use dispatch_core::instance::Market;
use dispatch_core::ports::{CapacityScope, QuotaScope};
use dispatch_core::time::Timestamp;

use Meaning::{Capacity, NotFound, Other, Quota, Throttled, Unauthorized, Unknown};

/// The table of words.
pub(crate) const ERRORS: ErrorTable = ErrorTable { cloud: "Compute Engine", rows: TABLE };

const TABLE: &[Row] = &[
    // How many it has.
    ("ZONE_RESOURCE_POOL_EXHAUSTED*", None, Capacity(CapacityScope::Offering)),
    ("REGION_RESOURCE_POOL_EXHAUSTED*", None, Capacity(CapacityScope::Offering)),
    ("RESOURCE_POOL_EXHAUSTED*", None, Capacity(CapacityScope::Offering)),
    ("GPU_STOCKOUT", None, Capacity(CapacityScope::Offering)),
    ("insufficientCapacity", None, Capacity(CapacityScope::Offering)),
    // A spot VM that was taken away while it was made.
    ("UNSUPPORTED_OPERATION", None, Capacity(CapacityScope::Offering)),
    // How many the project may have: which of them, QUOTAS says.
    ("QUOTA_EXCEEDED", None, Quota(QuotaScope::All)),
    ("quotaExceeded", None, Quota(QuotaScope::All)),
    ("IP_SPACE_EXHAUSTED*", None, Quota(QuotaScope::All)),
    // How often we may call.
    ("rateLimitExceeded", None, Throttled),
    ("userRateLimitExceeded", None, Throttled),
    ("RATE_LIMIT_EXCEEDED", None, Throttled),
    ("operationRateExceeded", None, Throttled),
    ("RESOURCE_OPERATION_RATE_EXCEEDED", None, Throttled),
    ("RESOURCE_EXHAUSTED", None, Throttled),
    // Credentials, and projects that may not be used.
    ("authError", None, Unauthorized),
    ("UNAUTHENTICATED", None, Unauthorized),
    ("ACCESS_TOKEN_EXPIRED", None, Unauthorized),
    ("accessNotConfigured", None, Unauthorized),
    ("SERVICE_DISABLED", None, Unauthorized),
    ("BILLING_DISABLED", None, Unauthorized),
    ("billingNotEnabled", None, Unauthorized),
    ("forbidden", Some("billing"), Unauthorized),
    // Something of this one request is forbidden: its type, subnetwork, account or image. Others may be allowed.
    ("forbidden", None, Other),
    ("insufficientPermissions", None, Other),
    ("PERMISSION_DENIED", None, Other),
    ("IAM_PERMISSION_DENIED", None, Other),
    ("CONDITION_NOT_MET", None, Other),
    ("PERMISSIONS_ERROR", None, Other),
    // What is not there.
    ("notFound", None, NotFound),
    ("NOT_FOUND", None, NotFound),
    ("RESOURCE_NOT_FOUND", None, NotFound),
    // Its own troubles: nobody knows how far it got.
    ("backendError", None, Unknown),
    ("internalError", None, Unknown),
    ("INTERNAL_ERROR", None, Unknown),
    ("INTERNAL", None, Unknown),
    ("UNAVAILABLE", None, Unknown),
];

/// The one word under which quotas are looked up, by the name that stands in the message.
const QUOTA: &str = "quota";

/// The table of quotas.
const QUOTAS: ErrorTable = ErrorTable {
    cloud: "Compute Engine",
    rows: &[
        // Of the spot market as a whole, and of one kind there.
        (QUOTA, Some("'preemptible_cpus'"), Quota(QuotaScope::Market(Market::Spot))),
        (QUOTA, Some("'preemptible_local_ssd_gb'"), Quota(QuotaScope::Market(Market::Spot))),
        (QUOTA, Some("'preemptible_"), Capacity(CapacityScope::QuotaGroup)),
        // Of everything.
        (QUOTA, Some("'cpus_all_regions'"), Quota(QuotaScope::All)),
        (QUOTA, Some("_total_gb"), Quota(QuotaScope::All)),
        // Of a family, or a kind of GPU.
        (QUOTA, Some("'cpus'"), Capacity(CapacityScope::QuotaGroup)),
        (QUOTA, Some("_cpus'"), Capacity(CapacityScope::QuotaGroup)),
        (QUOTA, Some("cpus_per_vm_family'"), Capacity(CapacityScope::QuotaGroup)),
        (QUOTA, Some("'gpus_"), Capacity(CapacityScope::QuotaGroup)),
        (QUOTA, Some("'nvidia_"), Capacity(CapacityScope::QuotaGroup)),
        (QUOTA, None, Quota(QuotaScope::All)),
    ],
};

/// The word for what is there already.
pub(crate) const ALREADY_EXISTS: [&str; 2] = ["alreadyExists", "RESOURCE_ALREADY_EXISTS"];

/// What a failure means more exactly than its word: which quota it is, and until when there is no rate left.
pub(crate) fn refine(failure: Failure, now: Timestamp) -> Failure {
    let is_quota = ["quotaExceeded", "QUOTA_EXCEEDED"].contains(&failure.code.as_str());
    let meaning = match failure.meaning {
        Quota(_) if is_quota => QUOTAS.meaning(QUOTA, &head_of_quota(&failure.message), 403),
        Throttled => Meaning::ThrottledFor(until_next_minute(now)),
        // A project, a zone or an image that is not there says nothing of a VM.
        NotFound if !failure.message.contains("/instances/") => Other,
        other => other,
    };
    Failure { meaning, ..failure }
}

/// The name of the quota alone: the rest of a message may speak of others.
fn head_of_quota(message: &str) -> String {
    let after = message.split_once("quota '").map_or("", |(_, rest)| rest);
    let name = after.split('\'').next().unwrap_or_default();
    format!("'{name}'")
}

/// Rates are refilled at each full minute.
fn until_next_minute(now: Timestamp) -> Duration {
    let second = now.as_second().rem_euclid(60).unsigned_abs();
    Duration::from_secs(60 - second)
}

/// Whether other credentials may be the cure: Compute Engine itself says that it does not take ours, or that the project
/// may not be used (what is enabled now is seen by a new token at the latest).
pub(crate) fn speaks_of_credentials(failure: &Failure) -> bool {
    let is_its_own = !failure.code.starts_with("http_") || failure.code == "http_401";
    failure.meaning == Unauthorized && is_its_own
}

/// What one zone has and another has not, as messages name it.
const OF_ZONES: [&str; 4] = ["machine type", "machinetype", "acceleratortype", "disktype"];

/// How far a failure reaches that another zone may cure. Quotas and addresses are the region's.
pub(crate) fn reach(failure: &Failure) -> Option<Reach> {
    let message = failure.message.to_ascii_lowercase();
    let speaks = |words: &str| message.contains(words);
    match failure.meaning {
        Capacity(CapacityScope::Offering) => Some(Reach::Offering),
        Other if speaks("unknown zone") || speaks("'zone'") => Some(Reach::Place),
        Other if OF_ZONES.iter().any(|words| speaks(words)) => Some(Reach::Offering),
        Other if is_absent(failure) && speaks("zones/") && !speaks("/instances/") => Some(Reach::Offering),
        _ => None,
    }
}

/// Whether something is not there, be it a VM or not.
pub(crate) fn is_absent(failure: &Failure) -> bool {
    ["notFound", "NOT_FOUND", "RESOURCE_NOT_FOUND"].contains(&failure.code.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Meaning {
        Quota(QuotaScope::All)
    }

    /// The contract, written down a second time and by hand.
    fn expected() -> Vec<(&'static str, &'static str, Meaning)> {
        let offering = || Capacity(CapacityScope::Offering);
        let of = |words: &'static str, meaning: Meaning| {
            words.split_whitespace().map(move |word| (word, "", meaning.clone())).collect::<Vec<_>>()
        };
        let capacity = "ZONE_RESOURCE_POOL_EXHAUSTED ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS \
            REGION_RESOURCE_POOL_EXHAUSTED RESOURCE_POOL_EXHAUSTED GPU_STOCKOUT insufficientCapacity \
            UNSUPPORTED_OPERATION";
        let mut rows = of(capacity, offering());
        rows.extend(of(
            "QUOTA_EXCEEDED quotaExceeded IP_SPACE_EXHAUSTED IP_SPACE_EXHAUSTED_WITH_DETAILS",
            all(),
        ));
        let throttled = "rateLimitExceeded userRateLimitExceeded RATE_LIMIT_EXCEEDED operationRateExceeded \
            RESOURCE_OPERATION_RATE_EXCEEDED RESOURCE_EXHAUSTED";
        rows.extend(of(throttled, Throttled));
        let unauthorized = "authError UNAUTHENTICATED ACCESS_TOKEN_EXPIRED accessNotConfigured SERVICE_DISABLED \
            BILLING_DISABLED billingNotEnabled";
        rows.extend(of(unauthorized, Unauthorized));
        rows.push(("forbidden", "This API method requires billing to be enabled.", Unauthorized));
        let other = "forbidden insufficientPermissions PERMISSION_DENIED IAM_PERMISSION_DENIED CONDITION_NOT_MET \
            PERMISSIONS_ERROR conditionNotMet invalid required INVALID_FIELD_VALUE INVALID_USAGE alreadyExists \
            SomethingNew";
        rows.extend(of(other, Other));
        rows.extend(of("notFound NOT_FOUND RESOURCE_NOT_FOUND", NotFound));
        rows.extend(of("backendError internalError INTERNAL_ERROR INTERNAL UNAVAILABLE", Unknown));
        rows
    }

    #[test]
    fn every_word_means_what_the_contract_says_and_every_row_has_its_test() {
        assert_eq!(ERRORS.objections(&expected()), Vec::<String>::new());
    }

    #[test]
    fn every_quota_means_what_the_contract_says_and_every_row_has_its_test() {
        let (group, spot) = (Capacity(CapacityScope::QuotaGroup), Quota(QuotaScope::Market(Market::Spot)));
        let names = [
            ("PREEMPTIBLE_CPUS", spot.clone()),
            ("PREEMPTIBLE_LOCAL_SSD_GB", spot),
            ("PREEMPTIBLE_NVIDIA_T4_GPUS", group.clone()),
            ("PREEMPTIBLE_N2_CPUS", group.clone()),
            ("CPUS_ALL_REGIONS", all()),
            ("SSD_TOTAL_GB", all()),
            ("INSTANCES", all()),
            ("IN_USE_ADDRESSES", all()),
            ("CPUS", group.clone()),
            ("N2_CPUS", group.clone()),
            ("C3_CPUS", group.clone()),
            ("CPUS_PER_VM_FAMILY", group.clone()),
            ("GPUS_ALL_REGIONS", group.clone()),
            ("NVIDIA_A100_80GB_GPUS", group),
            ("", all()),
        ];
        let quoted: Vec<_> = names.iter().map(|(name, meaning)| (format!("'{name}'"), meaning)).collect();
        let examples: Vec<_> =
            quoted.iter().map(|(name, meaning)| (QUOTA, name.as_str(), (*meaning).clone())).collect();
        assert_eq!(QUOTAS.objections(&examples), Vec::<String>::new());
        for (name, meaning) in names {
            for code in ["QUOTA_EXCEEDED", "quotaExceeded"] {
                let message =
                    format!("instances.insert: {code}: quota '{name}': Limit 'GPUS_ALL_REGIONS' exceeded");
                let failure = Failure { meaning: all(), code: code.to_owned(), message };
                assert_eq!(refine(failure, Timestamp::UNIX_EPOCH).meaning, meaning, "{name}");
            }
        }
        let unnamed = Failure::ours(all(), "QUOTA_EXCEEDED", "'CPUS' and the like");
        assert_eq!(refine(unnamed, Timestamp::UNIX_EPOCH).meaning, all());
    }

    #[test]
    fn only_a_vm_that_is_not_there_is_not_found() {
        let of = |what: &str| {
            let message = format!("The resource 'projects/lab{what}' was not found");
            refine(Failure::ours(NotFound, "notFound", message), Timestamp::UNIX_EPOCH).meaning
        };
        assert_eq!(of("/zones/us-central1-a/instances/arvados-0"), NotFound);
        assert_eq!([of(""), of("/global/images/worker"), of("/zones/us-central1-z")], [Other, Other, Other]);
    }

    #[test]
    fn a_rate_is_refilled_at_the_next_full_minute() {
        let at = |text: &str| {
            let failure = Failure::ours(Throttled, "rateLimitExceeded", "");
            refine(failure, text.parse().unwrap()).meaning
        };
        let wait = |seconds| Meaning::ThrottledFor(Duration::from_secs(seconds));
        assert_eq!(at("2026-11-22T21:09:52.512Z"), wait(8));
        assert_eq!(at("2026-11-22T21:09:00Z"), wait(60));
        assert_eq!(at("2026-11-22T21:09:59.999Z"), wait(1));
        let told = Failure::ours(wait(7), "rateLimitExceeded", "");
        assert_eq!(refine(told, Timestamp::UNIX_EPOCH).meaning, wait(7), "what the cloud says comes first");
    }

    #[test]
    fn only_what_it_says_itself_makes_a_token_forgotten() {
        let speaks = |code: &str| {
            let meaning = ERRORS.meaning(code, "", 403);
            speaks_of_credentials(&Failure::ours(meaning, code, ""))
        };
        assert!(speaks("authError") && speaks("SERVICE_DISABLED") && speaks("http_401"));
        assert!(!speaks("http_403") && !speaks("forbidden") && !speaks("insufficientPermissions"));
    }

    #[test]
    fn what_another_zone_may_cure_is_known_by_word_and_message() {
        let not_found = |what: &str| format!("The resource 'projects/lab/{what}' was not found");
        let (offering, place) = (Some(Reach::Offering), Some(Reach::Place));
        for (code, message, wanted) in [
            ("ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", String::new(), offering),
            ("UNSUPPORTED_OPERATION", String::new(), offering),
            ("GPU_STOCKOUT", String::new(), offering),
            ("notFound", not_found("zones/us-central1-a/machineTypes/n9-x"), offering),
            ("notFound", not_found("zones/us-central1-a/diskTypes/hyperdisk-x"), offering),
            ("notFound", not_found("zones/us-central1-a/acceleratorTypes/nvidia-l4"), offering),
            ("notFound", not_found("global/images/worker"), None),
            ("notFound", not_found("regions/us-central1/subnetworks/jobs"), None),
            (
                "invalid",
                "Machine type with name 'n9-x' does not exist in zone 'us-central1-a'.".to_owned(),
                offering,
            ),
            (
                "invalid",
                "Invalid value for field 'resource.disks[0].initializeParams.diskType': '…/diskTypes/hyperdisk-x'. The \
                 referenced diskType resource cannot be found."
                    .to_owned(),
                offering,
            ),
            ("invalid", "Invalid value for field 'zone': 'us-central1-z'. Unknown zone.".to_owned(), place),
            ("invalid", "Invalid value for field 'resource.name': 'X'".to_owned(), None),
            ("QUOTA_EXCEEDED", "Quota 'CPUS' exceeded in region".to_owned(), None),
            ("IP_SPACE_EXHAUSTED", String::new(), None),
            ("forbidden", "Required 'compute.subnetworks.use' permission".to_owned(), None),
            ("rateLimitExceeded", String::new(), None),
            ("INTERNAL_ERROR", String::new(), None),
        ] {
            let meaning = match ERRORS.meaning(code, &message, 400) {
                // As an order has it.
                NotFound => Other,
                meaning => meaning,
            };
            let failure = Failure { meaning, code: code.to_owned(), message: message.clone() };
            assert_eq!(reach(&failure), wanted, "{code}: {message}");
        }
    }
}
