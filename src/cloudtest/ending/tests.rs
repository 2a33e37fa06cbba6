use std::cell::{Cell, RefCell};

use async_trait::async_trait;
use dispatch_core::id::ProviderType;
use dispatch_core::instance::Instance;
use dispatch_core::ports::{CloudError, CloudErrorKind, CreateOrder, HostKey, HostKeyVerdict};

use super::*;

/// A cloud with one instance, whose ways are told in seconds from the beginning.
struct Cloud {
    id: InstanceId,
    began: Instant,
    /// From then on listings show the instance, and a destroy finds it.
    appears: u64,
    /// Until then every call fails of that.
    fails: (u64, CloudErrorKind),
    destroyed: Cell<bool>,
    destroys: Cell<u32>,
    /// What it was said to wait for, and when.
    told: RefCell<Vec<(u64, Trouble)>>,
}

impl Cloud {
    fn new(appears: u64, fails: (u64, CloudErrorKind)) -> Self {
        let id = InstanceId::new("i-1").unwrap();
        let (destroyed, destroys) = (Cell::new(false), Cell::new(0));
        Self { id, began: Instant::now(), appears, fails, destroyed, destroys, told: RefCell::default() }
    }

    /// The instance, if a call finds it now.
    fn found(&self) -> Result<bool, CloudError> {
        let now = self.began.elapsed().as_secs();
        let (until, kind) = &self.fails;
        if now < *until {
            return Err(CloudError { kind: kind.clone(), code: "Code".into(), message: "no luck".into() });
        }
        Ok(now >= self.appears && !self.destroyed.get())
    }

    /// How its end went, and after how many seconds.
    async fn end(&self, made_unseen: Option<Instant>) -> (Result<(), Trouble>, u64) {
        let tell = |trouble: Trouble| self.told.borrow_mut().push((self.began.elapsed().as_secs(), trouble));
        let ended = Ending::new(self, &dispatch_ec2::Advice, &self.id, made_unseen, tell)
            .wait(Duration::from_secs(5))
            .await;
        (ended, self.began.elapsed().as_secs())
    }
}

#[async_trait(?Send)]
impl CloudDriver for Cloud {
    async fn create(&self, _: &CreateOrder) -> Result<Instance, CloudError> {
        unreachable!("it has one")
    }

    async fn list(&self, _: &Tags) -> Result<Vec<Instance>, CloudError> {
        let instance = Instance {
            id: self.id.clone(),
            provider_type: ProviderType::new("t").unwrap(),
            address: String::new(),
            tags: Tags::default(),
            price_history: Vec::new(),
            launched: None,
        };
        Ok(self.found()?.then_some(instance).into_iter().collect())
    }

    /// As a driver: what is not there is gone.
    async fn destroy(&self, _: &InstanceId) -> Result<(), CloudError> {
        self.destroys.set(self.destroys.get() + 1);
        let found = self.found()?;
        self.destroyed.set(self.destroyed.get() || found);
        Ok(())
    }

    async fn set_tags(&self, _: &InstanceId, _: &Tags) -> Result<(), CloudError> {
        unreachable!("it is about to go")
    }

    async fn verify_host_key(&self, _: &InstanceId, _: &HostKey) -> Result<HostKeyVerdict, CloudError> {
        unreachable!("nobody logs in")
    }

    fn quota_group(&self, _: &ProviderType) -> String {
        String::new()
    }

    fn remote_user(&self) -> &str {
        "nobody"
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_seen_is_gone_with_the_first_listing_that_lacks_it() {
    let cloud = Cloud::new(0, (0, CloudErrorKind::Other));
    assert_eq!(cloud.end(None).await, (Ok(()), 0));
    assert_eq!(cloud.destroys.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn every_error_is_outlasted() {
    for kind in [
        CloudErrorKind::Unknown,
        CloudErrorKind::Other,
        CloudErrorKind::Unauthorized,
        CloudErrorKind::NotFound,
        CloudErrorKind::RateLimited { until: dispatch_core::time::Timestamp::UNIX_EPOCH },
    ] {
        let cloud = Cloud::new(0, (290, kind.clone()));
        assert_eq!(cloud.end(None).await, (Ok(()), 290), "{kind:?}");
        assert!(cloud.destroyed.get());
        let told = cloud.told.take();
        let [(0, Trouble { message, .. })] = &told[..] else { panic!("once, and at once: {told:?}") };
        assert_eq!(message, "no luck (Code)");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_never_changes_is_told_when_time_is_up() {
    let cloud = Cloud::new(0, (u64::MAX, CloudErrorKind::Unauthorized));
    let (ended, after) = cloud.end(None).await;
    let Trouble { message, check } = ended.unwrap_err();
    assert_eq!((message.as_str(), after), ("no luck (Code)", 300));
    assert!(
        check.contains("ec2:TerminateInstances") && check.contains("i-1 may still cost money"),
        "{check}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_no_listing_has_shown_yet_is_not_gone_because_it_is_not_found() {
    for appears in [1, 20, 59] {
        let cloud = Cloud::new(appears, (0, CloudErrorKind::Other));
        let (ended, after) = cloud.end(Some(cloud.began)).await;
        assert_eq!(ended, Ok(()));
        assert!(cloud.destroyed.get(), "it appeared after {appears} s, and lives");
        assert!((appears..=65).contains(&after), "{after}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_never_appears_is_waited_for_a_minute_from_its_create() {
    let cloud = Cloud::new(u64::MAX, (0, CloudErrorKind::Other));
    let made = Instant::now();
    tokio::time::advance(Duration::from_secs(50)).await;
    assert_eq!(cloud.end(Some(made)).await, (Ok(()), 60));
}
