//! Where new VMs go: the configured subnets in turn, from the one that was tried last, or from the one after it
//! if nobody knows what became of that try.

use std::cell::Cell;
use std::future::Future;

use dispatch_core::time::Timestamp;
use slog::Logger;

use crate::errors::{Failure, Meaning};
use crate::repeats::Repeats;

/// The configured subnets, and which is the next order's first.
#[derive(Debug)]
pub(crate) struct Subnets {
    /// At least one; `None` = the account's default.
    ids: Vec<Option<String>>,
    first: Cell<usize>,
    /// A subnet that is full is full for each order of a burst.
    told: Repeats,
}

impl Subnets {
    pub fn new(ids: &[String]) -> Self {
        let mut ids: Vec<_> = ids.iter().cloned().map(Some).collect();
        if ids.is_empty() {
            ids.push(None);
        }
        Self { ids, first: Cell::new(0), told: Repeats::default() }
    }

    /// Tries one after the other until one succeeds, or fails of something that another subnet would not cure.
    /// The failure is the last that speaks of capacity, else the last; but one that may have made a VM, and one
    /// that asks for patience, is always told.
    pub async fn try_each<'a, T, F>(
        &'a self,
        attempt: impl Fn(Option<&'a str>) -> F,
        now: Timestamp,
        log: &Logger,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let first = self.first.get();
        let mut told = None;
        for offset in 0..self.ids.len() {
            let index = (first + offset) % self.ids.len();
            let subnet = self.ids[index].as_deref();
            // Also after a failure that ends this: a subnet that always fails must not hide the others' news.
            self.first.set(index);
            let failure = match attempt(subnet).await {
                Ok(made) => return Ok(made),
                Err(failure) => failure,
            };
            if failure.meaning == Meaning::Unknown {
                // It is not tried elsewhere now, because there could be two VMs then; but a subnet whose zone does not answer must not
                // hold up every order to come.
                self.first.set((index + 1) % self.ids.len());
            }
            let goes_on = another_may_cure(&failure) && offset + 1 < self.ids.len();
            if goes_on {
                self.tell(subnet.unwrap_or_default(), &failure, now, log);
            }
            told = Some(more_telling(told, failure));
            if !goes_on {
                break;
            }
        }
        Err(told.expect("there is at least one subnet"))
    }

    fn tell(&self, subnet: &str, failure: &Failure, now: Timestamp, log: &Logger) {
        if let Some(n) = self.told.note(&format!("{subnet} {}", failure.code), now) {
            slog::warn!(log, "no instance in this subnet, trying the next"; "SubnetID" => subnet,
                "error" => &failure.message, "Code" => &failure.code, "Repeated" => n);
        }
    }
}

fn more_telling(before: Option<Failure>, now: Failure) -> Failure {
    let speaks_of_capacity = |it: &Failure| matches!(it.meaning, Meaning::Capacity(_));
    let must_be_told = matches!(now.meaning, Meaning::Capacity(_) | Meaning::Unknown | Meaning::Throttled);
    match before {
        Some(before) if speaks_of_capacity(&before) && !must_be_told => before,
        _ => now,
    }
}

/// Whether the same order may succeed in another subnet.
fn another_may_cure(failure: &Failure) -> bool {
    let code = failure.code.as_str();
    if code.starts_with("InvalidParameter") {
        let message = failure.message.to_ascii_lowercase();
        let of_addresses = ["ipv4", "ipv6", "free"].iter().any(|word| message.contains(word));
        return message.contains("subnet") || (of_addresses && message.contains("address"));
    }
    // Capacity, prices and types of volumes are a zone's.
    code.contains("Subnet")
        || code.starts_with("Insufficient")
        || matches!(
            code,
            "Unsupported"
                | "SpotMaxPriceTooLow"
                | "VolumeTypeNotAvailableInZone"
                | "UnfulfillableCapacity"
                | "ReservationCapacityExceeded"
        )
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::errors;

    fn failure(code: &str, message: &str) -> Failure {
        Failure {
            meaning: errors::meaning(code, message, 400),
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

    /// Tries subnets that fail as told; the codes of each attempt, and of what was reported.
    async fn tried(subnets: &Subnets, codes: &[(&'static str, &'static str)]) -> (Vec<String>, String) {
        let seen = RefCell::new(Vec::new());
        let log = Logger::root(slog::Discard, slog::o!());
        let outcome =
            subnets
                .try_each(
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
            subnets.try_each(attempt, now, &log).await.unwrap_err();
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
