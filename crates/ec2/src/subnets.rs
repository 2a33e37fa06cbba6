//! Where new VMs go: the configured subnets in turn ([`Places`]), and which of EC2's errors another one may cure.

use dispatch_cloud_kit::{Failure, Places, Reach};
use dispatch_core::instance::Offering;
use dispatch_core::time::Timestamp;
use slog::Logger;

/// The configured subnets.
#[derive(Debug)]
pub(crate) struct Subnets(Places);

impl Subnets {
    /// None = the account's default.
    pub fn new(ids: &[String]) -> Self {
        Self(Places::new(ids, reach))
    }

    /// Tries one after the other until one succeeds, or fails of something that another subnet would not cure.
    pub async fn try_each<'a, T, F>(
        &'a self,
        offering: &Offering,
        attempt: impl Fn(Option<&'a str>) -> F,
        now: Timestamp,
        log: &Logger,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let tell = |subnet: &str, failure: &Failure, left_out: u64| {
            slog::warn!(log, "no instance in this subnet, trying the next"; "SubnetID" => subnet,
                "error" => &failure.message, "Code" => &failure.code, "Repeated" => left_out);
        };
        self.0.try_each(offering, attempt, now, tell).await
    }
}

/// How far a failure reaches that another subnet may cure: a zone lacks a type, a subnet lacks addresses for all.
fn reach(failure: &Failure) -> Option<Reach> {
    let is_of_offering = OF_ZONE.contains(&failure.code.as_str())
        || (failure.code.starts_with("Insufficient") && !is_of_subnet(failure));
    match another_may_cure(failure) {
        true if is_of_offering => Some(Reach::Offering),
        true => Some(Reach::Place),
        false => None,
    }
}

/// Capacity, prices and types of volumes are a zone's.
const OF_ZONE: [&str; 5] = [
    "Unsupported",
    "SpotMaxPriceTooLow",
    "VolumeTypeNotAvailableInZone",
    "UnfulfillableCapacity",
    "ReservationCapacityExceeded",
];

fn is_of_subnet(failure: &Failure) -> bool {
    failure.code.contains("Subnet") || failure.code == "InsufficientAddressCapacity"
}

/// Whether the same order may succeed in another subnet.
fn another_may_cure(failure: &Failure) -> bool {
    let code = failure.code.as_str();
    if code.starts_with("InvalidParameter") {
        let message = failure.message.to_ascii_lowercase();
        let of_addresses = ["ipv4", "ipv6", "free"].iter().any(|word| message.contains(word));
        return message.contains("subnet") || (of_addresses && message.contains("address"));
    }
    code.contains("Subnet") || code.starts_with("Insufficient") || OF_ZONE.contains(&code)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::errors::ERRORS;

    fn failure(code: &str, message: &str) -> Failure {
        Failure {
            meaning: ERRORS.meaning(code, message, 400),
            code: code.to_owned(),
            message: message.to_owned(),
        }
    }

    #[test]
    fn what_another_subnet_may_cure_is_known_by_code_and_message() {
        for (code, message, may) in [
            ("InvalidSubnetID.NotFound", "The subnet ID 'subnet-1' does not exist", true),
            ("InsufficientFreeAddressesInSubnet", "", true),
            ("InsufficientInstanceCapacity", "", true),
            ("InsufficientVolumeCapacity", "", true),
            ("InsufficientQubits", "", true),
            ("SpotMaxPriceTooLow", "", true),
            ("VolumeTypeNotAvailableInZone", "", true),
            ("UnfulfillableCapacity", "", true),
            ("ReservationCapacityExceeded", "", true),
            ("MaxSpotInstanceCountExceeded", "", false),
            ("VolumeLimitExceeded", "", false),
            (
                "Unsupported",
                "Your requested instance type (x) is not supported in your requested Availability Zone",
                true,
            ),
            ("InvalidParameterValue", "Not enough free addresses in subnet subnet-1", true),
            ("InvalidParameterValue", "The Subnet must be in the VPC", true),
            ("InvalidParameterCombination", "no IPv6 addresses are available", true),
            ("InvalidParameterValue", "There are not enough free addresses", true),
            ("InvalidParameterValue", "Address 10.0.0.1 is in use", false),
            ("InvalidParameterValue", "Invalid value 'x' for instanceType", false),
            ("InvalidAMIID.NotFound", "The image id does not exist", false),
            ("VcpuLimitExceeded", "", false),
            ("InstanceLimitExceeded", "", false),
            ("RequestLimitExceeded", "", false),
            ("UnauthorizedOperation", "You are not authorized to use this subnet", false),
            ("timeout", "no answer", false),
        ] {
            assert_eq!(another_may_cure(&failure(code, message)), may, "{code}: {message}");
        }
    }

    fn small() -> Offering {
        dispatch_sim::samples::instance_type("small", 1).offering()
    }

    /// Tries subnets that fail as told; the codes of each attempt, and of what was reported.
    async fn tried(subnets: &Subnets, codes: &[(&'static str, &'static str)]) -> (Vec<String>, String) {
        let seen = RefCell::new(Vec::new());
        let log = Logger::root(slog::Discard, slog::o!());
        let outcome =
            subnets
                .try_each(
                    &small(),
                    |subnet| {
                        let subnet = subnet.unwrap_or("default").to_owned();
                        seen.borrow_mut().push(subnet.clone());
                        let code = codes.iter().find(|(it, _)| *it == subnet).map(|(_, code)| *code);
                        async move {
                            code.map_or(Ok(subnet), |code| Err(failure(code, "requested instance type")))
                        }
                    },
                    Timestamp::UNIX_EPOCH,
                    &log,
                )
                .await;
        (seen.into_inner(), outcome.unwrap_or_else(|failure| failure.code))
    }

    /// Counts lines, and what they say was left out.
    struct Lines(std::sync::mpsc::Sender<u64>);

    impl slog::Drain for Lines {
        type Ok = ();
        type Err = slog::Never;

        fn log(&self, record: &slog::Record<'_>, _: &slog::OwnedKVList) -> Result<(), slog::Never> {
            struct Repeated<'a>(&'a std::sync::mpsc::Sender<u64>);
            impl slog::Serializer for Repeated<'_> {
                fn emit_u64(&mut self, key: slog::Key, value: u64) -> slog::Result {
                    assert_eq!(key, "Repeated");
                    self.0.send(value).unwrap();
                    Ok(())
                }
                fn emit_arguments(&mut self, _: slog::Key, _: &std::fmt::Arguments<'_>) -> slog::Result {
                    Ok(())
                }
            }
            slog::KV::serialize(&record.kv(), record, &mut Repeated(&self.0)).unwrap();
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_subnet_that_fails_each_order_alike_is_told_once_and_then_once_a_minute() {
        use slog::Drain as _;
        let (lines, told) = std::sync::mpsc::channel();
        let log = Logger::root(Lines(lines).fuse(), slog::o!());
        let subnets = Subnets::new(&["a", "b"].map(str::to_owned));
        let fail = async |code: &'static str, second: i64| {
            let now = Timestamp::from_second(second).unwrap();
            let attempt = |_| async { Err::<(), _>(failure(code, "")) };
            subnets.try_each(&small(), attempt, now, &log).await.unwrap_err();
            told.try_iter().collect::<Vec<_>>()
        };
        // The last one tried is the next order's first, and no other is left to be told of.
        assert_eq!(fail("InsufficientInstanceCapacity", 0).await, [0], "in a");
        assert_eq!(fail("InsufficientInstanceCapacity", 1).await, [0], "in b");
        for second in 2..10 {
            assert_eq!(fail("InsufficientInstanceCapacity", second).await, [] as [u64; 0]);
        }
        assert_eq!(fail("InsufficientFreeAddressesInSubnet", 10).await, [0], "of something else");
        assert_eq!(fail("InsufficientInstanceCapacity", 61).await, [4], "in b: four orders of eight");
    }

    fn three() -> Subnets {
        Subnets::new(&["a", "b", "c"].map(str::to_owned))
    }

    #[tokio::test]
    async fn the_next_subnet_is_tried_and_then_kept() {
        let subnets = three();
        let (seen, outcome) = tried(&subnets, &[("a", "InsufficientInstanceCapacity")]).await;
        assert_eq!((seen.join(""), outcome.as_str()), ("ab".to_owned(), "b"));
        let (seen, _) = tried(&subnets, &[]).await;
        assert_eq!(seen, ["b"]);
        let all = [("a", "Unsupported"), ("b", "Unsupported"), ("c", "Unsupported")];
        assert_eq!(tried(&subnets, &all).await.0, ["b", "c", "a"]);
    }

    #[tokio::test]
    async fn the_last_word_on_capacity_is_reported() {
        let codes =
            [("a", "InsufficientInstanceCapacity"), ("b", "Unsupported"), ("c", "InvalidSubnetID.NotFound")];
        assert_eq!(tried(&three(), &codes).await.1, "Unsupported");
        let codes =
            [("a", "InvalidSubnetID.NotFound"), ("b", "InvalidSubnet"), ("c", "InsufficientVolumeCapacity")];
        assert_eq!(tried(&three(), &codes).await.1, "InsufficientVolumeCapacity");
    }

    #[tokio::test]
    async fn other_errors_end_it_and_the_next_order_begins_there() {
        let subnets = three();
        let (seen, outcome) = tried(&subnets, &[("a", "InvalidSubnet"), ("b", "VcpuLimitExceeded")]).await;
        assert_eq!((seen.join(""), outcome.as_str()), ("ab".to_owned(), "VcpuLimitExceeded"));
        assert_eq!(tried(&subnets, &[]).await.0, ["b"]);
    }

    #[tokio::test]
    async fn what_may_have_made_a_vm_is_told_whatever_was_before() {
        let codes = [("a", "InsufficientInstanceCapacity"), ("b", "InternalError")];
        let (seen, outcome) = tried(&three(), &codes).await;
        assert_eq!((seen.join(""), outcome.as_str()), ("ab".to_owned(), "InternalError"));
    }

    #[tokio::test]
    async fn a_subnet_that_leaves_it_unknown_is_not_the_next_orders_first() {
        let subnets = three();
        for seen in ["a", "b", "c", "a"] {
            let all = [("a", "InternalError"), ("b", "Unavailable"), ("c", "InternalFailure")];
            assert_eq!(tried(&subnets, &all).await.0, [seen], "nor is another tried for the same order");
        }
        assert_eq!(tried(&subnets, &[]).await.0, ["b"]);
        assert_eq!(tried(&subnets, &[]).await.0, ["b"], "and where it succeeds it stays");
    }

    #[tokio::test]
    async fn being_throttled_is_told_whatever_was_before() {
        let codes = [("a", "InsufficientInstanceCapacity"), ("b", "RequestLimitExceeded")];
        let (seen, outcome) = tried(&three(), &codes).await;
        assert_eq!((seen.join(""), outcome.as_str()), ("ab".to_owned(), "RequestLimitExceeded"));
    }

    #[tokio::test]
    async fn without_subnets_the_accounts_default_is_tried_once() {
        let (seen, outcome) = tried(&Subnets::new(&[]), &[("default", "InsufficientInstanceCapacity")]).await;
        assert_eq!((seen, outcome.as_str()), (vec!["default".to_owned()], "InsufficientInstanceCapacity"));
    }
}
