use std::time::Duration;

use dispatch_core::instance::Tags;
use dispatch_core::ports::{CloudError, CloudErrorKind, Output};
use dispatch_core::time::Timestamp;

use super::advice::{self, Call};
use super::report::{Trouble, one_line};
use super::subject::endpoint;

#[test]
fn an_address_may_carry_a_port() {
    assert_eq!(endpoint("10.1.2.3", 22), ("10.1.2.3", 22));
    assert_eq!(endpoint("127.0.0.1:4022", 22), ("127.0.0.1", 4022));
    assert_eq!(endpoint("fd00::7", 2222), ("fd00::7", 2222));
    assert_eq!(endpoint("[fd00::7]:23", 22), ("fd00::7", 23));
}

#[test]
fn every_failure_of_the_cloud_says_what_to_check_and_names_the_clouds_code() {
    let until = Timestamp::UNIX_EPOCH;
    for kind in [
        CloudErrorKind::RateLimited { until },
        CloudErrorKind::NotFound,
        CloudErrorKind::Unauthorized,
        CloudErrorKind::Unknown,
        CloudErrorKind::Other,
    ] {
        for call in [Call::List, Call::Create, Call::SetTags, Call::Destroy] {
            let error = CloudError { kind: kind.clone(), code: "SomeCode".into(), message: "no luck".into() };
            let trouble = advice::of_cloud(call, &error);
            assert_eq!(trouble.message, "no luck (SomeCode)");
            assert!(trouble.check.len() > 20, "{kind:?}: {}", trouble.check);
        }
    }
}

#[test]
fn refusals_of_different_calls_are_told_apart() {
    let error =
        |kind| CloudError { kind, code: "UnauthorizedOperation".into(), message: "you may not".into() };
    let check = |call| advice::of_cloud(call, &error(CloudErrorKind::Unauthorized)).check;
    assert!(check(Call::Create).contains("ec2:RunInstances"));
    assert!(check(Call::Destroy).contains("ec2:TerminateInstances"));
    assert!(advice::of_cloud(Call::Create, &error(CloudErrorKind::Other)).check.contains("ImageID"));
}

#[test]
fn tags_that_differ_are_named_and_their_values_are_not() {
    let tags = |value: &str| Tags([("ArvadosInstanceSecret".to_owned(), value.to_owned())].into());
    let trouble = advice::tags_differ(&tags("one-secret"), &tags("another-secret"));
    assert!(trouble.message.contains("ArvadosInstanceSecret"), "{}", trouble.message);
    assert!(!trouble.message.contains("one-secret") && !trouble.message.contains("another"), "{trouble:?}");
}

#[test]
fn a_boot_probe_that_failed_is_told_with_its_last_words() {
    let output = Output { status: 1, stdout: b"starting\n\n".to_vec(), stderr: Vec::new() };
    let trouble = advice::boot_probe("systemctl is-system-running", &output);
    assert_eq!(trouble.message, "`systemctl is-system-running` ended with status 1: starting");
    let late = trouble.not_within(Duration::from_secs(600));
    assert!(late.message.starts_with("not within 600 s: `systemctl"), "{}", late.message);
}

#[test]
fn what_comes_from_elsewhere_stays_on_its_line() {
    assert_eq!(one_line("a\r\nb \u{1b}[31mc"), "a b [31mc");
    let left = Trouble::new("m", "c").with_instance("i-1");
    assert_eq!(left.check, "c; instance i-1 may still cost money");
}
