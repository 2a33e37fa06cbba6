//! What EC2's error codes mean: one table, a row a code.

use dispatch_core::instance::Market;
use dispatch_core::ports::{CapacityScope, CloudError, CloudErrorKind, QuotaScope};
use dispatch_core::secret::Secret;

use Meaning::{Capacity, NotFound, Other, Quota, Throttled, Unauthorized, Unknown};

/// The most of EC2's words that is repeated: some messages carry kilobytes of encoded detail.
const LONGEST_TEXT: usize = 400;

/// What a failure means to the dispatcher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Too many calls: how long to wait is ours to say.
    Throttled,
    /// The account may not have more.
    Quota(QuotaScope),
    /// EC2 has no more.
    Capacity(CapacityScope),
    /// No such instance.
    NotFound,
    /// Credentials are missing, wrong, expired, or not enough.
    Unauthorized,
    /// It may have taken effect.
    Unknown,
    /// Refused, or never sent.
    Other,
}

/// A failed call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub meaning: Meaning,
    /// EC2's code, or a word of ours in lower case where there is none.
    pub code: String,
    /// What failed and with what, for people.
    pub message: String,
}

/// A code; what must be in its message, where one code means several things; what it means.
type Row = (&'static str, Option<&'static str>, Meaning);

const TABLE: &[Row] = &[
    // How many the account may have.
    ("InstanceLimitExceeded", None, Quota(QuotaScope::All)),
    ("InsufficientAddressCapacity", None, Quota(QuotaScope::All)),
    ("InsufficientFreeAddressesInSubnet", None, Quota(QuotaScope::All)),
    ("InsufficientVolumeCapacity", None, Quota(QuotaScope::All)),
    ("MaxSpotInstanceCountExceeded", None, Quota(QuotaScope::Market(Market::Spot))),
    // How many EC2 has, or lets us have of a family.
    ("InsufficientInstanceCapacity", None, Capacity(CapacityScope::Offering)),
    ("Unsupported", Some("requested instance type"), Capacity(CapacityScope::Offering)),
    // The market's price is above ours now: another type's may not be.
    ("SpotMaxPriceTooLow", None, Capacity(CapacityScope::Offering)),
    ("VcpuLimitExceeded", None, Capacity(CapacityScope::QuotaGroup)),
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
    // Credentials and permissions.
    ("AuthFailure", None, Unauthorized),
    ("UnauthorizedOperation", None, Unauthorized),
    ("AccessDenied", None, Unauthorized),
    ("AccessDeniedException", None, Unauthorized),
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
    ("Blocked", None, Unauthorized),
    // EC2's own troubles: nobody knows how far it got.
    ("InternalError", None, Unknown),
    ("InternalFailure", None, Unknown),
    ("Unavailable", None, Unknown),
    ("ServiceUnavailable", None, Unknown),
];

/// What an error answer means. A code that nobody knows is a refusal, unless the server says that it broke.
pub(crate) fn meaning(code: &str, message: &str, status: u16) -> Meaning {
    let message = message.to_ascii_lowercase();
    let row = TABLE
        .iter()
        .find(|(known, wanted, _)| *known == code && wanted.is_none_or(|wanted| message.contains(wanted)));
    match row {
        Some((_, _, meaning)) => meaning.clone(),
        None => by_status(status),
    }
}

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

/// Whether other credentials may be the cure; those that just may not do something are the right ones.
pub(crate) fn speaks_of_credentials(code: &str) -> bool {
    OF_CREDENTIALS.contains(&code)
}

/// What an answer without a code that we know means.
pub(crate) fn by_status(status: u16) -> Meaning {
    match status {
        429 => Throttled,
        401 | 403 => Unauthorized,
        500..=599 => Unknown,
        _ => Other,
    }
}

/// EC2's words as they may be told. Secrets first: of one that is cut in two, the head would stay.
pub(crate) fn repeatable(words: String, secrets: &[Secret]) -> String {
    secrets.iter().fold(words, without).chars().take(LONGEST_TEXT).collect()
}

fn without(text: String, secret: &Secret) -> String {
    // What is that short occurs by chance, and is nobody's secret.
    if secret.expose().len() < 8 { text } else { text.replace(secret.expose(), "(secret)") }
}

impl Failure {
    /// An error without an answer of EC2; `code` is our own word.
    pub fn ours(meaning: Meaning, code: &str, message: impl Into<String>) -> Self {
        Self { meaning, code: code.to_owned(), message: message.into() }
    }

    /// The error of a call that comes before the order: whatever became of it, nothing has been ordered.
    pub fn of_preparation(self) -> Self {
        match self.meaning {
            Unknown => Self { meaning: Other, ..self },
            _ => self,
        }
    }

    /// Takes a secret out of the message, should EC2 have repeated it.
    pub fn without(self, secret: &Secret) -> Self {
        Self { message: without(self.message, secret), ..self }
    }

    /// The error as the port has it. How long a throttled caller must wait is not known here.
    pub fn into_cloud_error(self) -> CloudError {
        let kind = match &self.meaning {
            Quota(scope) => CloudErrorKind::Quota(scope.clone()),
            Capacity(scope) => CloudErrorKind::Capacity(*scope),
            NotFound => CloudErrorKind::NotFound,
            Unauthorized => CloudErrorKind::Unauthorized,
            Unknown => CloudErrorKind::Unknown,
            Throttled | Other => CloudErrorKind::Other,
        };
        self.into_error(kind)
    }

    /// The error as the port has it, of that kind.
    pub fn into_error(self, kind: CloudErrorKind) -> CloudError {
        CloudError { kind, code: self.code, message: self.message }
    }
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
                all(),
            ),
            (
                "MaxSpotInstanceCountExceeded",
                "Max spot instance count exceeded",
                Quota(QuotaScope::Market(Market::Spot)),
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
            ("IdempotentParameterMismatch", "", Other),
            ("SomethingNew", "", Other),
            ("", "", Other),
        ];
        let throttled = "Throttling ThrottlingException ThrottledException RequestThrottledException RequestThrottled \
            RequestLimitExceeded TooManyRequestsException ProvisionedThroughputExceededException \
            TransactionInProgressException BandwidthLimitExceeded LimitExceededException SlowDown \
            PriorRequestNotComplete EC2ThrottledException";
        rows.extend(throttled.split_whitespace().map(|code| (code, "Rate exceeded", Throttled)));
        let unauthorized = "AuthFailure UnauthorizedOperation AccessDenied AccessDeniedException ExpiredToken \
            ExpiredTokenException RequestExpired InvalidClientTokenId UnrecognizedClientException \
            InvalidAccessKeyId SignatureDoesNotMatch IncompleteSignature MissingAuthenticationToken \
            OptInRequired Blocked";
        rows.extend(unauthorized.split_whitespace().map(|code| (code, "", Unauthorized)));
        let unknown = "InternalError InternalFailure Unavailable ServiceUnavailable";
        rows.extend(unknown.split_whitespace().map(|code| (code, "", Unknown)));
        rows
    }

    #[test]
    fn every_code_means_what_the_contract_says() {
        for (code, message, wanted) in expected() {
            assert_eq!(meaning(code, message, 400), wanted, "{code}: {message}");
        }
    }

    #[test]
    fn every_row_has_its_test() {
        let expected = expected();
        for (code, _, meant) in TABLE {
            let tested = expected.iter().any(|(known, _, wanted)| known == code && wanted == meant);
            assert!(tested, "{code} is in the table and not in the test");
        }
    }

    #[test]
    fn a_code_is_in_the_table_once_unless_its_message_tells_more() {
        for (index, (code, wanted, _)) in TABLE.iter().enumerate() {
            let again = TABLE[index + 1..]
                .iter()
                .any(|(other, other_wanted, _)| other == code && other_wanted == wanted);
            assert!(!again, "{code} twice");
        }
    }

    #[test]
    fn only_what_is_said_of_the_credentials_themselves_makes_them_forgotten() {
        for (code, _, meaning) in TABLE.iter().filter(|(code, ..)| speaks_of_credentials(code)) {
            assert_eq!(*meaning, Unauthorized, "{code}");
        }
        for code in OF_CREDENTIALS {
            assert!(TABLE.iter().any(|(known, ..)| *known == code), "{code} is not in the table");
        }
        // A policy that forbids something, an opt-in, a proxy's 403.
        for code in
            ["UnauthorizedOperation", "AccessDenied", "AccessDeniedException", "OptInRequired", "http_403"]
        {
            assert!(!speaks_of_credentials(code), "{code}");
        }
    }

    #[test]
    fn the_codes_word_comes_before_the_statuss() {
        assert_eq!(meaning("RequestLimitExceeded", "", 503), Throttled);
        assert_eq!(meaning("InsufficientInstanceCapacity", "", 500), Capacity(CapacityScope::Offering));
        assert_eq!(meaning("SomethingNew", "", 500), Unknown);
        assert_eq!(meaning("SomethingNew", "", 429), Throttled);
        assert_eq!(meaning("SomethingNew", "", 403), Unauthorized);
    }

    #[test]
    fn a_repeated_secret_is_taken_out() {
        let failure = Failure::ours(Other, "InvalidParameterValue", "value 0123456789abcdef is bad");
        let failure = failure.without(&Secret::new("0123456789abcdef")).without(&Secret::new("bad"));
        assert_eq!(failure.message, "value (secret) is bad");
    }
}
