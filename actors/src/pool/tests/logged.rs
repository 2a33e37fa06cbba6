//! What is logged when a fault strikes many at once, or goes on and on.

use super::*;
use crate::testing::Line;

impl Site {
    /// The lines with that message since the last look.
    fn told(&self, event: &catalogue::Event) -> Vec<Line> {
        self.lines.take().into_iter().filter(|line| line.message == event.message).collect()
    }

    /// One create after the other comes to nothing in that way, and each time an instance goes, which ends a hold.
    async fn refuse(&self, times: usize, error: impl Fn() -> CloudError) {
        for n in 0..times {
            self.answers.borrow_mut().push_back(Err(error()));
            self.create().await.unwrap();
            pass_millis(600).await;
            self.vanish(&format!("vm-{n}")).await;
        }
    }

    /// It is ended, and in no listing any more.
    async fn vanish(&self, name: &str) {
        let kill = ShutdownInstance { id: id(name), reason: ShutdownReason::Operator("test".into()) };
        self.pool.send(kill).await.unwrap().unwrap();
        pass_millis(50).await;
        let gone = InstanceGone { id: id(name), began: clock::now(), reason: None };
        assert_eq!(self.pool.send(gone).await.unwrap(), GoneReply::Confirmed);
    }
}

async fn with_ten() -> Site {
    let names: Vec<_> = (0..10).map(|n| format!("vm-{n}")).collect();
    with_workers(&names.iter().map(String::as_str).collect::<Vec<_>>()).await
}

#[actix::test]
async fn seven_refusals_for_a_quota_are_one_line_and_a_count() {
    let site = with_ten().await;
    site.refuse(7, || cloud_error(CloudErrorKind::Quota(QuotaScope::All))).await;
    let told = site.told(&catalogue::AT_QUOTA);
    assert_eq!(told.len(), 1, "{told:#?}");
    // If it does not come again, the count is told all the same.
    pass(180).await;
    let counts: Vec<_> = site.told(&catalogue::LEFT_OUT).into_iter().map(|it| it.facts).collect();
    assert_eq!(counts.len(), 1, "{counts:#?}");
    assert_eq!((&*counts[0]["Message"], &*counts[0]["Repeated"]), (catalogue::AT_QUOTA.message, "6"));
}

/// Of creates that are in flight together each has an answer of its own.
async fn told_of_ten_at_once(kind: CloudErrorKind, event: &catalogue::Event) -> Vec<Line> {
    let site = site_with(Policy { max_concurrent_creates: 10, ..policy() });
    let answers = std::iter::repeat_with(|| Err(cloud_error(kind.clone())));
    site.answers.borrow_mut().extend(answers.take(10));
    for _ in 0..10 {
        site.create().await.unwrap();
    }
    pass(1).await;
    let told = site.told(event);
    pass(180).await;
    let counts: Vec<_> = site.told(&catalogue::LEFT_OUT).into_iter().map(|it| it.facts).collect();
    assert_eq!(counts.len(), 1, "{counts:#?}");
    assert_eq!((&*counts[0]["Message"], &*counts[0]["Repeated"]), (event.message, "9"));
    told
}

async fn ten_at_once_are_one_line(kind: CloudErrorKind, event: &catalogue::Event) {
    let told = told_of_ten_at_once(kind, event).await;
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!(told[0].facts["Repeated"], "0");
}

#[actix::test]
async fn ten_capacity_errors_at_once_are_one_line_and_a_count() {
    ten_at_once_are_one_line(CloudErrorKind::Capacity(CapacityScope::All), &catalogue::NO_CAPACITY).await;
}

#[actix::test]
async fn ten_rate_limit_errors_at_once_are_one_line_and_a_count() {
    let until = after(crate::testing::epoch(), Duration::from_secs(90));
    ten_at_once_are_one_line(CloudErrorKind::RateLimited { until }, &catalogue::RATE_LIMITED).await;
}

#[actix::test]
async fn ten_failed_creates_at_once_are_one_line_and_a_count() {
    ten_at_once_are_one_line(CloudErrorKind::Other, &catalogue::CREATE_FAILED).await;
}

#[actix::test]
async fn ten_creates_without_rights_at_once_are_one_line_and_a_count() {
    ten_at_once_are_one_line(CloudErrorKind::Unauthorized, &catalogue::CREATE_FAILED).await;
}

#[actix::test]
async fn ten_creates_of_unknown_outcome_at_once_are_one_line_and_a_count() {
    ten_at_once_are_one_line(CloudErrorKind::Unknown, &catalogue::CREATE_UNKNOWN).await;
}

/// A hundred VMs of an earlier dispatcher, which fail in that way whenever they are asked.
async fn with_hundred(kind: &'static str, odd: Odd) -> Site {
    let site = site();
    site.vms.odd(kind, 100_000, odd);
    for n in 0..100 {
        site.appear(instance(&format!("vm-{n:02}"))).await;
    }
    site
}

async fn a_hundred_are_few_lines(kind: &'static str, odd: Odd, event: &catalogue::Event) {
    let site = with_hundred(kind, odd).await;
    pass(59).await;
    let first = site.told(event).len();
    pass(240).await;
    let later = site.told(event);
    let left_out: u64 = later.iter().map(|line| line.facts["Repeated"].parse::<u64>().unwrap()).sum();
    assert!(first <= 5 && later.len() <= 5 * 5, "{first} {}", later.len());
    assert!(!later.is_empty() && left_out > 95, "{} {left_out}", later.len());
}

#[actix::test]
async fn a_key_that_a_hundred_vms_refuse_is_few_lines_a_minute_and_a_count() {
    let odd = Odd::Fails(ExecErrorKind::Authentication);
    a_hundred_are_few_lines("boot", odd, &catalogue::AUTHENTICATION_FAILED).await;
}

#[actix::test]
async fn a_hundred_vms_that_cannot_prove_themselves_are_few_lines_a_minute_and_a_count() {
    let odd = Odd::Fails(ExecErrorKind::Verification);
    a_hundred_are_few_lines("boot", odd, &catalogue::VERIFICATION_FAILED).await;
}

#[actix::test]
async fn a_hundred_vms_without_an_answer_are_few_lines_a_minute_and_a_count() {
    a_hundred_are_few_lines("list", Odd::Exits(1), &catalogue::PROBE_FAILED).await;
}

#[actix::test]
async fn a_hundred_fences_that_cannot_be_claimed_are_few_lines_a_minute_and_a_count() {
    a_hundred_are_few_lines("claim", Odd::Exits(1), &catalogue::NOT_FENCED).await;
}

#[actix::test]
async fn vms_that_cannot_be_reached_for_a_minute_are_told_with_the_cause() {
    let site = with_hundred("boot", Odd::Fails(ExecErrorKind::Authentication)).await;
    pass(55).await;
    assert_eq!(site.told(&catalogue::UNREACHED), []);
    let states: std::collections::BTreeSet<_> =
        site.view().await.snapshot.workers.iter().map(|it| it.view.state.to_string()).collect();
    assert_eq!(states, ["unknown".to_owned()].into(), "as after a restart");
    pass(20).await;
    let told = site.told(&catalogue::UNREACHED);
    assert_eq!(told.len(), 1, "{told:#?}");
    let facts = &told[0].facts;
    assert_eq!((&*facts["Of"], &facts["Instances"]), ("100", &facts["WithCause"]));
    assert!(facts["Cause"].contains("do not accept our key or user"), "{facts:?}");
    assert_eq!(facts["error"], "the vm says authentication");
    pass(180).await;
    let told = site.told(&catalogue::UNREACHED);
    assert_eq!(told.len(), 3, "once a minute: {told:#?}");
    assert!(told.iter().all(|line| line.facts["Instances"] == "100"), "{told:#?}");
}

#[actix::test]
async fn a_vm_in_service_that_is_out_of_reach_for_less_than_a_minute_is_not_told() {
    let site = site();
    site.appear(tagged(instance("a"), IdleBehavior::Hold)).await;
    pass(5).await;
    site.vms.odd("list", 3, Odd::Fails(ExecErrorKind::ConnectTimeout));
    pass(300).await;
    assert_eq!(site.told(&catalogue::UNREACHED), []);
    site.vms.odd("list", 1000, Odd::Fails(ExecErrorKind::ConnectTimeout));
    pass(90).await;
    let told = site.told(&catalogue::UNREACHED);
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(told[0].facts["Cause"].contains("does not answer"), "{told:#?}");
}
