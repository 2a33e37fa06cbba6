//! VMs that never come into service: what their operator is told.

use super::*;

#[actix::test]
async fn a_vm_that_never_boots_is_given_up_with_its_last_output_and_what_to_try() {
    let site = booting();
    site.vms.still_booting.set(true);
    pass(630).await;
    assert!(site.view().silence.is_some(), "longer than TimeoutBooting");
    site.lines.take();
    site.tell(Command::ShutDown(ShutdownReason::BootTimeout)).await;
    site.breathe().await;
    let told = site.lines.take().into_iter().find(|line| line.message == "boot failed").expect("a line");
    assert_eq!(told.facts["error"], "exit status 1");
    assert_eq!(told.facts["stderr"], "no container engine");
    assert!(told.facts["Hint"].contains("cloudtest"), "{told:?}");
    assert_eq!(site.boots(), [BootOutcome::Failure]);
    assert_eq!(site.destroys.count(), 1);
}

#[actix::test]
async fn one_that_was_never_reached_is_given_up_with_the_reason_of_that() {
    let site = booting();
    site.vms.odd("boot", 100, Odd::Fails(ExecErrorKind::Refused));
    pass(630).await;
    site.lines.take();
    site.tell(Command::ShutDown(ShutdownReason::BootTimeout)).await;
    site.breathe().await;
    let told = site.lines.take().into_iter().find(|line| line.message == "boot failed").expect("a line");
    assert!(told.facts["error"].starts_with("the vm says"), "{told:?}");
}
