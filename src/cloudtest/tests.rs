use std::time::Duration;

use dispatch_core::driver::{CloudCall as Call, Login};
use dispatch_core::instance::{Market, Tags};
use dispatch_core::ports::{
    CapacityScope, CloudError, CloudErrorKind, ExecError, ExecErrorKind, Output, QuotaScope,
};
use dispatch_core::time::Timestamp;

use super::advice;
use super::report::{Trouble, one_line};
use super::subject::endpoint;
use super::trial::patience;

#[test]
fn an_address_may_carry_a_port() {
    assert_eq!(endpoint("10.1.2.3", 22), ("10.1.2.3", 22));
    assert_eq!(endpoint("127.0.0.1:4022", 22), ("127.0.0.1", 4022));
    assert_eq!(endpoint("fd00::7", 2222), ("fd00::7", 2222));
    assert_eq!(endpoint("[fd00::7]:23", 22), ("fd00::7", 23));
}

/// The words of the default driver.
const ADVICE: dispatch_ec2::Advice = dispatch_ec2::Advice;

const CALLS: [Call; 4] = [Call::List, Call::Create, Call::SetTags, Call::Destroy];

fn error(kind: CloudErrorKind, code: &str) -> CloudError {
    CloudError { kind, code: code.into(), message: "no luck".into() }
}

/// What is to be checked, by kind: for all calls, or for one of them.
#[test]
fn every_failure_of_the_cloud_says_what_to_check_and_names_the_clouds_code() {
    use CloudErrorKind::{Capacity, NotFound, Other, Quota, RateLimited, Unauthorized, Unknown};
    let until = Timestamp::UNIX_EPOCH;
    let rows: [(CloudErrorKind, &str, &[Call], &[&str]); 14] = [
        (RateLimited { until }, "Throttling", &CALLS, &["who else calls this account's API", "in a minute"]),
        (Quota(QuotaScope::All), "InstanceLimitExceeded", &CALLS, &["quota", "free addresses", "raised"]),
        (Quota(QuotaScope::Market(Market::Spot)), "MaxSpot", &CALLS, &["quota for this type and market"]),
        (Capacity(CapacityScope::Offering), "Insufficient", &CALLS, &["offers this type", "--instance-type"]),
        (Capacity(CapacityScope::All), "Insufficient", &CALLS, &["a subnet elsewhere", "or later"]),
        (NotFound, "InvalidInstanceID.NotFound", &CALLS, &["somebody else destroyed the instance"]),
        (Unauthorized, "AuthFailure", &CALLS, &["AccessKeyID", "role", "clock", "the policy allows ec2:"]),
        (Unknown, "timeout", &CALLS, &["DNS", "firewall", "AWS_ENDPOINT_URL", "--destroy-existing"]),
        (
            Other,
            "connection",
            &CALLS,
            &["DNS", "routes", "firewall", "HTTPS_PROXY", "certificate authorities"],
        ),
        (Other, "SomeCode", &[Call::List], &["DriverParameters.Region", "AWS_ENDPOINT_URL"]),
        (
            Other,
            "SomeCode",
            &[Call::Create],
            &["ImageID", "SubnetID", "SecurityGroupIDs", "IAMInstanceProfile"],
        ),
        (Other, "SomeCode", &[Call::SetTags], &["TagKeyPrefix", "ResourceTags"]),
        (Other, "SomeCode", &[Call::Destroy], &["protects the instance from termination", "console"]),
        (Unauthorized, "UnauthorizedOperation", &[Call::SetTags], &["ec2:CreateTags"]),
    ];
    for (kind, code, calls, words) in rows {
        for call in calls {
            let Trouble { message, check } = advice::of_cloud(&ADVICE, *call, &error(kind.clone(), code));
            assert_eq!(message, format!("no luck ({code})"));
            for word in words {
                assert!(check.contains(word), "{kind:?}, {call:?}: {word:?} is not in: {check}");
            }
        }
    }
}

/// A new instance is not known everywhere at once, and a way that is cut may be mended; a refusal stays one.
#[test]
fn what_may_pass_is_waited_for_and_a_refusal_is_not() {
    use CloudErrorKind::{Capacity, NotFound, Other, Quota, RateLimited, Unauthorized, Unknown};
    for (kind, code, waits) in [
        (RateLimited { until: Timestamp::UNIX_EPOCH }, "RequestLimitExceeded", true),
        (Unknown, "timeout", true),
        (NotFound, "InvalidInstanceID.NotFound", true),
        (Other, "connection", true),
        (Other, "InvalidParameterValue", false),
        (Unauthorized, "UnauthorizedOperation", false),
        (Quota(QuotaScope::All), "TagLimitExceeded", false),
        (Capacity(CapacityScope::All), "Code", false),
    ] {
        for call in [Call::List, Call::SetTags] {
            assert_eq!(patience(&ADVICE, call, &error(kind.clone(), code)).is_ok(), waits, "{kind:?} {code}");
        }
    }
}

#[test]
fn every_failure_of_the_shell_says_what_to_check() {
    let login = Login { user: "admin".into(), port: 2222, secret_path: "/run/the-secret".into() };
    let rows: [(ExecErrorKind, &[&str]); 11] = [
        (ExecErrorKind::NotReady, &["SubnetID", "private"]),
        (ExecErrorKind::Refused, &["SecurityGroupIDs", "SSHPort 2222", "route", "sshd"]),
        (ExecErrorKind::ConnectTimeout, &["SecurityGroupIDs", "SSHPort 2222", "system log"]),
        (
            ExecErrorKind::Authentication,
            &["user admin (AdminUsername)", "DispatchPrivateKey", "DeployPublicKey"],
        ),
        (ExecErrorKind::SecretUnreadable, &["cloud-init", "admin has sudo", "/run/the-secret"]),
        (ExecErrorKind::Verification, &["another machine", "the secret's file"]),
        (ExecErrorKind::VerifierFailed, &["host key"]),
        (ExecErrorKind::CommandTimeout, &["what the command waits for"]),
        (ExecErrorKind::ConnectionLost, &["restarted", "memory", "cuts connections"]),
        (ExecErrorKind::OutputTooLarge, &["32 MiB"]),
        (ExecErrorKind::Local, &["openssh-client", "RUNTIME_DIRECTORY", "file descriptors"]),
    ];
    for (kind, words) in rows {
        let Trouble { message, check } =
            advice::of_shell(&ADVICE, &ExecError { kind, message: "no luck".into() }, &login);
        assert!(message.contains("no luck"), "{message}");
        for word in words {
            assert!(check.contains(word), "{kind:?}: {word:?} is not in: {check}");
        }
    }
}

#[test]
fn what_does_not_come_or_go_is_told_with_where_to_look() {
    let not_opened =
        advice::not_opened(&ADVICE, &anyhow::anyhow!("no region").context("cannot use driver ec2"));
    let filter = Tags([("Set".to_owned(), "set".to_owned())].into());
    let rows: [(Trouble, &str, &[&str]); 5] = [
        (not_opened, "cannot use driver ec2: no region", &["DriverParameters", "config check --strict"]),
        (advice::no_address(&ADVICE), "has no address", &["SubnetID", "private"]),
        (advice::still_listed(), "destroyed, and still listed", &["console", "destroy it there"]),
        (
            advice::not_listed(&ADVICE, &Tags::default()),
            "without a filter",
            &["Client.InternalError", "kms:", "its tags"],
        ),
        (
            advice::not_listed(&ADVICE, &filter),
            "filtered by the set's tag",
            &["ended by itself", "encrypted image"],
        ),
    ];
    for (Trouble { message, check }, said, words) in rows {
        assert!(message.contains(said), "{message}");
        for word in words {
            assert!(check.contains(word), "{word:?} is not in: {check}");
        }
    }
}

#[test]
fn refusals_of_different_calls_are_told_apart() {
    let error =
        |kind| CloudError { kind, code: "UnauthorizedOperation".into(), message: "you may not".into() };
    let check = |call| advice::of_cloud(&ADVICE, call, &error(CloudErrorKind::Unauthorized)).check;
    assert!(check(Call::Create).contains("ec2:RunInstances"));
    assert!(check(Call::Destroy).contains("ec2:TerminateInstances"));
    assert!(advice::of_cloud(&ADVICE, Call::Create, &error(CloudErrorKind::Other)).check.contains("ImageID"));
}

#[test]
fn tags_that_differ_are_named_and_their_values_are_not() {
    let tags = |value: &str| Tags([("ArvadosInstanceSecret".to_owned(), value.to_owned())].into());
    let trouble = advice::tags_differ(&ADVICE, &tags("one-secret"), &tags("another-secret"));
    assert!(trouble.message.contains("ArvadosInstanceSecret"), "{}", trouble.message);
    assert!(!trouble.message.contains("one-secret") && !trouble.message.contains("another"), "{trouble:?}");
}

#[test]
fn a_boot_probe_that_failed_is_told_with_its_last_output() {
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
