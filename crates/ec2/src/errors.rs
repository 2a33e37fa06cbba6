//! What EC2's error codes mean: one table, a row a code, or the beginning of codes.

use dispatch_cloud_kit::{ErrorTable, Failure, Meaning, Row};
use dispatch_core::instance::Market;
use dispatch_core::ports::{CapacityScope, QuotaScope};

use Meaning::{Capacity, NotFound, Other, Quota, Throttled, Unauthorized, Unknown};

/// EC2's table.
pub(crate) const ERRORS: ErrorTable = ErrorTable { cloud: "EC2", rows: TABLE };

const TABLE: &[Row] = &[
    // How many the account may have: of a family first, where the message says so.
    ("InstanceLimitExceeded", Some("for the specified instance type"), Capacity(CapacityScope::QuotaGroup)),
    ("InstanceLimitExceeded", None, Quota(QuotaScope::All)),
    ("InsufficientAddressCapacity", None, Quota(QuotaScope::All)),
    ("InsufficientFreeAddressesInSubnet", None, Quota(QuotaScope::All)),
    ("NetworkInterfaceLimitExceeded", None, Quota(QuotaScope::All)),
    ("VolumeLimitExceeded", None, Quota(QuotaScope::All)),
    ("MaxIOPSLimitExceeded", None, Quota(QuotaScope::All)),
    // Quotas of spot VMs are of families, too, and counted in vCPUs.
    ("MaxSpotInstanceCountExceeded", None, Capacity(CapacityScope::QuotaGroup)),
    ("VcpuLimitExceeded", None, Capacity(CapacityScope::QuotaGroup)),
    // Spot's own role is missing, and we may not make it: nothing can be bought there, and all else can.
    ("AuthFailure.ServiceLinkedRoleCreationNotPermitted", None, Quota(QuotaScope::Market(Market::Spot))),
    // How many EC2 has.
    ("Unsupported", Some("requested instance type"), Capacity(CapacityScope::Offering)),
    ("UnfulfillableCapacity", None, Capacity(CapacityScope::Offering)),
    ("ReservationCapacityExceeded", None, Capacity(CapacityScope::Offering)),
    // The market's price is above ours now: another type's may not be.
    ("SpotMaxPriceTooLow", None, Capacity(CapacityScope::Offering)),
    // How often we may call.
    ("Throttling", None, Throttled),
    ("ThrottlingException", None, Throttled),
    ("ThrottledException", None, Throttled),
    ("RequestThrottledException", None, Throttled),
    ("RequestThrottled", None, Throttled),
    ("RequestLimitExceeded", None, Throttled),
    ("TooManyRequestsException", None, Throttled),
    ("ProvisionedThroughputExceededException", None, Throttled),
    ("TransactionInProgressException", None, Throttled),
    ("BandwidthLimitExceeded", None, Throttled),
    ("LimitExceededException", None, Throttled),
    ("SlowDown", None, Throttled),
    ("PriorRequestNotComplete", None, Throttled),
    ("EC2ThrottledException", None, Throttled),
    // What is not there.
    ("InvalidInstanceID.NotFound", None, NotFound),
    // Something of this one request is forbidden or not ours: its type, market, image or tags. Others may be allowed.
    ("UnauthorizedOperation", None, Other),
    ("AccessDenied", None, Other),
    ("AccessDeniedException", None, Other),
    ("AuthFailure", Some("not authorized for images"), Other),
    ("OptInRequired", Some("marketplace"), Other),
    // Credentials, and accounts that may not be used.
    ("AuthFailure", None, Unauthorized),
    ("ExpiredToken", None, Unauthorized),
    ("ExpiredTokenException", None, Unauthorized),
    ("RequestExpired", None, Unauthorized),
    ("InvalidClientTokenId", None, Unauthorized),
    ("UnrecognizedClientException", None, Unauthorized),
    ("InvalidAccessKeyId", None, Unauthorized),
    ("SignatureDoesNotMatch", None, Unauthorized),
    ("IncompleteSignature", None, Unauthorized),
    ("MissingAuthenticationToken", None, Unauthorized),
    ("OptInRequired", None, Unauthorized),
    ("PendingVerification", None, Unauthorized),
    ("Blocked", None, Unauthorized),
    // EC2's own troubles: nobody knows how far it got.
    ("InternalError", None, Unknown),
    ("InternalFailure", None, Unknown),
    ("Unavailable", None, Unknown),
    ("ServiceUnavailable", None, Unknown),
    // Of instances, volumes, hosts, and of what EC2 will offer one day.
    ("Insufficient*", None, Capacity(CapacityScope::Offering)),
];

/// Codes that say that the credentials themselves are bad: expired, revoked, or of somebody else.
const OF_CREDENTIALS: [&str; 8] = [
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "RequestExpired",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
];

/// Whether other credentials may be the cure. An image that is not ours is no fault of them, although EC2 has the same code
/// for it.
pub(crate) fn speaks_of_credentials(failure: &Failure) -> bool {
    failure.meaning == Unauthorized && OF_CREDENTIALS.contains(&failure.code.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The contract, written down a second time and by hand; `None` = whatever the message.
    fn expected() -> Vec<(&'static str, &'static str, Meaning)> {
        let all = || Quota(QuotaScope::All);
        let mut rows = vec![
            (
                "InstanceLimitExceeded",
                "You have requested more instances (5) than your current instance limit of 4 allows",
                all(),
            ),
            (
                "InstanceLimitExceeded",
                "You have requested more instances (1) than your current instance limit of 0 allows for the specified instance type. Please visit http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit.",
                Capacity(CapacityScope::QuotaGroup),
            ),
            (
                "NetworkInterfaceLimitExceeded",
                "You have reached the limit on the number of network interfaces",
                all(),
            ),
            ("VolumeLimitExceeded", "You have reached the limit on your EBS volume storage", all()),
            ("MaxIOPSLimitExceeded", "You have reached the limit on your IOPS usage", all()),
            (
                "AuthFailure.ServiceLinkedRoleCreationNotPermitted",
                "The provided credentials do not have permission to create the service-linked role for EC2 Spot Instances.",
                Quota(QuotaScope::Market(Market::Spot)),
            ),
            (
                "InsufficientAddressCapacity",
                "Not enough available addresses to satisfy your minimum request",
                all(),
            ),
            (
                "InsufficientFreeAddressesInSubnet",
                "There are not enough free addresses in subnet 'subnet-1'",
                all(),
            ),
            (
                "InsufficientVolumeCapacity",
                "There is not enough capacity to fulfill your EBS volume provision request",
                Capacity(CapacityScope::Offering),
            ),
            ("Insufficient*", "A word of tomorrow", Capacity(CapacityScope::Offering)),
            ("InsufficientHostCapacity", "", Capacity(CapacityScope::Offering)),
            ("InsufficientQubits", "", Capacity(CapacityScope::Offering)),
            ("UnfulfillableCapacity", "", Capacity(CapacityScope::Offering)),
            ("ReservationCapacityExceeded", "", Capacity(CapacityScope::Offering)),
            (
                "MaxSpotInstanceCountExceeded",
                "Max spot instance count exceeded",
                Capacity(CapacityScope::QuotaGroup),
            ),
            (
                "InsufficientInstanceCapacity",
                "We currently do not have sufficient m5.large capacity in the Availability Zone you requested (us-east-1a).",
                Capacity(CapacityScope::Offering),
            ),
            (
                "Unsupported",
                "Your requested instance type (p5.48xlarge) is not supported in your requested Availability Zone (us-east-1e).",
                Capacity(CapacityScope::Offering),
            ),
            ("Unsupported", "The requested configuration is currently not supported.", Other),
            (
                "SpotMaxPriceTooLow",
                "Your Spot request price of 0.02 is lower than the minimum required Spot request fulfillment price of 0.03.",
                Capacity(CapacityScope::Offering),
            ),
            (
                "VcpuLimitExceeded",
                "You have requested more vCPU capacity than your current vCPU limit of 32 allows for the instance bucket",
                Capacity(CapacityScope::QuotaGroup),
            ),
            ("InvalidInstanceID.NotFound", "The instance ID 'i-1' does not exist", NotFound),
            ("InvalidInstanceID.Malformed", "Invalid id: \"x\"", Other),
            ("InvalidAMIID.NotFound", "The image id '[ami-1]' does not exist", Other),
            ("InvalidSubnetID.NotFound", "The subnet ID 'subnet-1' does not exist", Other),
            ("AuthFailure", "Not authorized for images: [ami-0123456789abcdef0]", Other),
            ("AuthFailure", "AWS was not able to validate the provided access credentials", Unauthorized),
            (
                "OptInRequired",
                "In order to use this AWS Marketplace product you need to accept terms and subscribe.",
                Other,
            ),
            ("UnauthorizedOperation", "You are not authorized to perform this operation.", Other),
            ("AccessDenied", "", Other),
            ("AccessDeniedException", "", Other),
            ("VolumeTypeNotAvailableInZone", "The volume type is not available in this zone", Other),
            ("IdempotentParameterMismatch", "", Other),
            ("SomethingNew", "", Other),
            ("", "", Other),
        ];
        let throttled = "Throttling ThrottlingException ThrottledException RequestThrottledException RequestThrottled \
            RequestLimitExceeded TooManyRequestsException ProvisionedThroughputExceededException \
            TransactionInProgressException BandwidthLimitExceeded LimitExceededException SlowDown \
            PriorRequestNotComplete EC2ThrottledException";
        rows.extend(throttled.split_whitespace().map(|code| (code, "Rate exceeded", Throttled)));
        let unauthorized = "AuthFailure ExpiredToken ExpiredTokenException RequestExpired InvalidClientTokenId UnrecognizedClientException \
            InvalidAccessKeyId SignatureDoesNotMatch IncompleteSignature MissingAuthenticationToken \
            OptInRequired PendingVerification Blocked";
        rows.extend(unauthorized.split_whitespace().map(|code| (code, "", Unauthorized)));
        let unknown = "InternalError InternalFailure Unavailable ServiceUnavailable";
        rows.extend(unknown.split_whitespace().map(|code| (code, "", Unknown)));
        rows
    }

    #[test]
    fn every_code_means_what_the_contract_says_and_every_row_has_its_test() {
        assert_eq!(ERRORS.objections(&expected()), Vec::<String>::new());
    }

    #[test]
    fn only_what_is_said_of_the_credentials_themselves_makes_them_forgotten() {
        let speaks = |code: &str, message: &str| {
            let meaning = ERRORS.meaning(code, message, 403);
            speaks_of_credentials(&Failure::ours(meaning, code, message))
        };
        for code in OF_CREDENTIALS {
            assert!(speaks(code, ""), "{code}");
        }
        // A policy that forbids something, an opt-in, a proxy's 403, and an image of somebody else's.
        for code in
            ["UnauthorizedOperation", "AccessDenied", "AccessDeniedException", "OptInRequired", "http_403"]
        {
            assert!(!speaks(code, ""), "{code}");
        }
        assert!(!speaks("AuthFailure", "Not authorized for images: [ami-1]"));
    }

    #[test]
    fn the_codes_word_comes_before_the_statuss() {
        assert_eq!(ERRORS.meaning("RequestLimitExceeded", "", 503), Throttled);
        assert_eq!(
            ERRORS.meaning("InsufficientInstanceCapacity", "", 500),
            Capacity(CapacityScope::Offering)
        );
        assert_eq!(ERRORS.meaning("SomethingNew", "", 500), Unknown);
        assert_eq!(ERRORS.meaning("SomethingNew", "", 429), Throttled);
        assert_eq!(ERRORS.meaning("SomethingNew", "", 403), Unauthorized);
    }
}
