//! What Azure's error codes mean: one table, a row a code, or a code and a part of its message. The same codes stand in
//! refusals and in operations that have failed.

use dispatch_cloud_kit::{ErrorTable, Failure, Meaning, Row};
use dispatch_core::instance::Market;
use dispatch_core::ports::{CapacityScope, QuotaScope};

use Meaning::{Capacity, NotFound, Other, Quota, Unauthorized, Unknown};

/// Azure's table.
pub(crate) const ERRORS: ErrorTable = ErrorTable { cloud: "Azure", rows: TABLE };
/// Of an answer of status 429, whatever its code: the same codes mean a quota elsewhere.
pub(crate) const THROTTLED: ErrorTable = ErrorTable { cloud: "Azure", rows: &[] };

const SPOT: Meaning = Quota(QuotaScope::Market(Market::Spot));
/// Spot cores are counted apart.
const REGIONAL: Meaning = Quota(QuotaScope::Market(Market::OnDemand));
const FAMILY: Meaning = Capacity(CapacityScope::QuotaGroup);
const OFFERING: Meaning = Capacity(CapacityScope::Offering);

const TABLE: &[Row] = &[
    // How many cores the subscription may have.
    ("OperationNotAllowed", Some("lowprioritycores"), SPOT),
    ("OperationNotAllowed", Some("total regional cores"), REGIONAL),
    ("OperationNotAllowed", Some("family cores quota"), FAMILY),
    ("OperationNotAllowed", None, Other),
    ("QuotaExceeded", Some("lowprioritycores"), SPOT),
    ("QuotaExceeded", Some("total regional cores"), REGIONAL),
    ("QuotaExceeded", Some("family cores quota"), FAMILY),
    ("QuotaExceeded", None, Quota(QuotaScope::All)),
    ("SubnetIsFull", None, Quota(QuotaScope::All)),
    // How many Azure has.
    ("SkuNotAvailable", None, OFFERING),
    ("AllocationFailed", None, OFFERING),
    ("ZonalAllocationFailed", None, OFFERING),
    ("OverconstrainedAllocationRequest", None, OFFERING),
    ("OverconstrainedZonalAllocationRequest", None, OFFERING),
    ("SpotPriceGreaterThanProvidedMaxPrice", None, OFFERING),
    ("AzureSpotFeatureNotEnabledForSubscription", None, OFFERING),
    // What is not there.
    ("ResourceNotFound", None, NotFound),
    ("NotFound", None, NotFound),
    // Something of this one request is forbidden. Others may be allowed: policies often forbid some sizes.
    ("RequestDisallowedBy*", None, Other),
    ("ScopeLocked", None, Other),
    // Tokens, and what we may not do at all.
    ("InvalidAuthenticationToken*", None, Unauthorized),
    ("ExpiredAuthenticationToken", None, Unauthorized),
    ("AuthenticationFailed*", None, Unauthorized),
    ("AuthorizationFailed", None, Unauthorized),
    ("LinkedAuthorizationFailed", None, Unauthorized),
    ("SubscriptionNotFound", None, Unauthorized),
    ("ReadOnlyDisabledSubscription", None, Unauthorized),
    ("MissingSubscriptionRegistration", None, Unauthorized),
    // Azure's own troubles, or somebody is at work there: nobody knows how far it got.
    ("Conflict", None, Unknown),
    ("AnotherOperationInProgress", None, Unknown),
    ("InternalServerError", None, Unknown),
    ("InternalExecutionError", None, Unknown),
    ("ServerTimeout", None, Unknown),
    ("RetryableError", None, Unknown),
];

/// The code of the answer that a VM of that name is there already, whatever Azure calls it: of status 412.
pub(crate) const EXISTS: &str = "PreconditionFailed";

/// A failure of a call beside the order of a VM: that somebody else is at work there is a refusal.
pub(crate) fn of_no_order(failure: Failure) -> Failure {
    match failure.code.as_str() {
        "Conflict" | "AnotherOperationInProgress" => Failure { meaning: Other, ..failure },
        _ => failure,
    }
}

/// A failure of an order before its VM was ordered, or after it was refused for certain: what is not there is not the VM.
pub(crate) fn of_an_order_without_vm(failure: Failure) -> Failure {
    match failure.meaning {
        Unknown | NotFound => Failure { meaning: Other, ..failure },
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CORES: &str = "Operation could not be completed as it results in exceeding approved";

    /// The contract, written down a second time and by hand.
    fn expected() -> Vec<(&'static str, &'static str, Meaning)> {
        let spot =
            "Operation could not be completed as it results in exceeding approved LowPriorityCores quota.";
        let total = "Operation could not be completed as it results in exceeding approved Total Regional Cores quota. Additional details - Deployment Model: Resource Manager, Location: westeurope, Current Limit: 10";
        let family = "Operation could not be completed as it results in exceeding approved standardDSv5Family Cores quota. Additional details - Deployment Model: Resource Manager";
        assert!([spot, total, family].iter().all(|it| it.starts_with(CORES)));
        let mut rows = Vec::new();
        for code in ["OperationNotAllowed", "QuotaExceeded"] {
            rows.extend([(code, spot, SPOT), (code, total, REGIONAL), (code, family, FAMILY)]);
        }
        rows.extend([
            ("OperationNotAllowed", "Changing property 'osDisk' is not allowed.", Other),
            ("QuotaExceeded", "Resource quota of PublicIPAddresses exceeded.", Quota(QuotaScope::All)),
            ("SubnetIsFull", "Subnet default with address prefix 10.0.0.0/24 does not have enough capacity for 1 IP addresses.", Quota(QuotaScope::All)),
            ("SkuNotAvailable", "The requested size for resource 'x' is currently not available in location 'westeurope'", OFFERING),
            ("InvalidParameter", "The value of parameter imageReference is invalid.", Other),
            ("ImageNotFound", "", Other),
            ("PropertyChangeNotAllowed", "", Other),
            ("InvalidTemplateDeployment", "", Other),
            ("NicReservedForAnotherVm", "Nic(s) in request is reserved for another Virtual Machine for 180 seconds.", Other),
            ("NicInUse", "", Other),
            ("SomethingOfTomorrow", "", Other),
        ]);
        let of = |codes: &'static str, meaning: Meaning| {
            codes.split_whitespace().map(move |code| (code, "whatever", meaning.clone()))
        };
        rows.extend(of(
            "AllocationFailed ZonalAllocationFailed OverconstrainedAllocationRequest \
             OverconstrainedZonalAllocationRequest SpotPriceGreaterThanProvidedMaxPrice \
             AzureSpotFeatureNotEnabledForSubscription",
            OFFERING,
        ));
        rows.extend(of("ResourceNotFound NotFound", NotFound));
        rows.extend(of("RequestDisallowedByPolicy RequestDisallowedByAzure ScopeLocked", Other));
        rows.extend(of(
            "InvalidAuthenticationToken InvalidAuthenticationTokenTenant ExpiredAuthenticationToken AuthenticationFailed \
             AuthorizationFailed LinkedAuthorizationFailed SubscriptionNotFound ReadOnlyDisabledSubscription \
             MissingSubscriptionRegistration",
            Unauthorized,
        ));
        rows.extend(of(
            "Conflict AnotherOperationInProgress InternalServerError InternalExecutionError ServerTimeout RetryableError",
            Unknown,
        ));
        rows
    }

    #[test]
    fn every_code_means_what_the_contract_says_and_every_row_has_its_test() {
        assert_eq!(ERRORS.objections(&expected()), Vec::<String>::new());
    }

    #[test]
    fn a_policys_word_comes_before_its_status_and_that_of_too_many_calls_after_it() {
        // A site's policy, and Azure's own.
        assert_eq!(ERRORS.meaning("RequestDisallowedByPolicy", "", 403), Other);
        assert_eq!(ERRORS.meaning("RequestDisallowedByAzure", "", 403), Other);
        assert_eq!(ERRORS.meaning("SomethingNew", "", 403), Unauthorized);
        assert_eq!(ERRORS.meaning("SomethingNew", "", 500), Unknown);
        for code in ["TooManyRequests", "SubscriptionRequestsThrottled", "OperationNotAllowed"] {
            assert_eq!(THROTTLED.meaning(code, CORES, 429), Meaning::Throttled, "{code}");
        }
    }

    #[test]
    fn what_is_in_doubt_of_an_order_is_not_in_doubt_elsewhere() {
        let failure = |code: &str, meaning| Failure::ours(meaning, code, "");
        assert_eq!(of_no_order(failure("Conflict", Unknown)).meaning, Other);
        assert_eq!(of_no_order(failure("InternalServerError", Unknown)).meaning, Unknown);
        assert_eq!(of_an_order_without_vm(failure("ResourceNotFound", NotFound)).meaning, Other);
        assert_eq!(of_an_order_without_vm(failure("timeout", Unknown)).meaning, Other);
        assert_eq!(
            of_an_order_without_vm(failure("SubnetIsFull", Quota(QuotaScope::All))).meaning,
            Quota(QuotaScope::All)
        );
    }
}
