//! One test suite for every cloud driver: simulated, loopback or real.
//!
//! It creates a VM, finds it in a listing, and reads its tags back; sends the same order again, which must
//! make no other VM; merges tags; destroys the VM, and waits until it is gone. It also checks filters, that a
//! VM that is gone may be destroyed again but not tagged, and that two instance sets side by side do not
//! touch each other. Listings may lag: each expectation has a deadline.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use dispatch_core::id::{InstanceId, InstanceSetId};
use dispatch_core::instance::{Instance, InstanceType, TagKeys, Tags};
use dispatch_core::ports::{CloudDriver, CloudError, CloudErrorKind, CreateOrder};
use dispatch_core::secret::Secret;
use tokio::time::Instant;

/// What the suite needs to know about the cloud.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The type to order. Two VMs of it must be possible at a time.
    pub instance_type: Arc<InstanceType>,
    /// The image to order.
    pub image: String,
    /// The instance set under test.
    pub set: InstanceSetId,
    /// Another instance set, whose VM must not be touched.
    pub other_set: InstanceSetId,
    /// The names of the tags.
    pub tag_keys: TagKeys,
    /// Shell text that the VM runs on first boot.
    pub init_command: String,
    /// Part of the instances' secrets. It must be new for each run, because drivers derive idempotency tokens
    /// from the secrets.
    pub nonce: String,
    /// How long a listing may take to show a change.
    pub patience: Duration,
    /// How long to wait between two listings.
    pub interval: Duration,
}

/// What was tried, for people to read: one line a step, with its duration.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The steps that passed.
    pub steps: Vec<(String, Duration)>,
}

/// How a driver has failed the suite.
#[derive(Debug, thiserror::Error)]
pub enum Violation {
    /// A call failed that must succeed.
    #[error("{step}: {source}")]
    Failed {
        /// The step.
        step: String,
        /// The call's error.
        source: CloudError,
    },
    /// Something that must become true did not become true in time.
    #[error("{step}: not within {patience:?}; last seen: {seen}")]
    NotInTime {
        /// The step.
        step: String,
        /// How long the suite waited.
        patience: Duration,
        /// What the last listing showed.
        seen: String,
    },
    /// Something that must never be true was true.
    #[error("{step}: {found}")]
    Wrong {
        /// The step.
        step: String,
        /// What was found.
        found: String,
    },
}

/// Runs the suite. Whatever it made is destroyed again, also after a failure.
///
/// # Errors
/// The first expectation that did not hold.
pub async fn check_driver(driver: &dyn CloudDriver, setup: &Setup) -> Result<Report, Violation> {
    let mut suite = Suite { driver, setup, report: Report::default(), made: BTreeSet::new() };
    let result = suite.run().await;
    for id in std::mem::take(&mut suite.made) {
        // After a failure the first error is reported. A VM that cannot be destroyed fails the suite below.
        let _ = driver.destroy(&id).await;
    }
    result.map(|()| suite.report)
}

struct Suite<'a> {
    driver: &'a dyn CloudDriver,
    setup: &'a Setup,
    report: Report,
    made: BTreeSet<InstanceId>,
}

impl Suite<'_> {
    async fn run(&mut self) -> Result<(), Violation> {
        self.no_leftovers().await?;
        let ours = self.create(&self.setup.set.clone()).await?;
        self.tags_come_back_as_ordered(&ours).await?;
        self.the_same_order_makes_no_other(&ours).await?;
        let neighbour = self.create(&self.setup.other_set.clone()).await?;
        self.filters_keep_sets_apart(&ours, &neighbour).await?;
        self.tags_are_merged(&ours).await?;
        self.destroyed_is_gone(&ours).await?;
        self.gone_may_be_destroyed_again(&ours).await?;
        self.gone_is_not_tagged(&ours).await?;
        self.neighbours_are_untouched(&neighbour).await?;
        self.destroyed_is_gone(&neighbour).await
    }

    async fn no_leftovers(&mut self) -> Result<(), Violation> {
        let began = Instant::now();
        for set in [&self.setup.set, &self.setup.other_set] {
            let listed = self.list("list before anything is made", &self.of_set(set)).await?;
            if !listed.is_empty() {
                return Err(wrong("nothing is there at first", format!("{listed:?}")));
            }
        }
        self.held("nothing is there at first", began);
        Ok(())
    }

    async fn create(&mut self, set: &InstanceSetId) -> Result<Made, Violation> {
        let began = Instant::now();
        let order = self.order(set);
        let step = format!("create in set {set}");
        let created = self.driver.create(&order).await;
        let instance = created.map_err(|source| Violation::Failed { step: step.clone(), source })?;
        self.made.insert(instance.id.clone());
        if instance.provider_type != self.setup.instance_type.provider_type {
            return Err(wrong(&step, format!("provider type is {}", instance.provider_type)));
        }
        let made = Made { id: instance.id, set: set.clone(), tags: order.tags.clone(), order };
        self.eventually("a new instance is listed", &made, |found| found.is_some()).await?;
        self.held(&step, began);
        Ok(made)
    }

    fn order(&self, set: &InstanceSetId) -> CreateOrder {
        let Setup { instance_type, image, tag_keys, nonce, .. } = self.setup;
        let secret = Secret::new(format!("{nonce}-{}", self.made.len()));
        let mut tags = tag_keys.for_new(set, &instance_type.name, &secret);
        tags.insert("conformance", "a value with = , : / and \u{fc}");
        CreateOrder {
            instance_type: instance_type.clone(),
            image: image.clone(),
            tags,
            init_command: self.setup.init_command.clone(),
            secret,
            public_key: None,
        }
    }

    async fn tags_come_back_as_ordered(&mut self, made: &Made) -> Result<(), Violation> {
        let began = Instant::now();
        let ordered = made.tags.clone();
        self.eventually("tags come back as ordered", made, move |found| {
            found.is_some_and(|it| it.tags.matches(&ordered))
        })
        .await?;
        self.held("tags come back as ordered", began);
        Ok(())
    }

    /// The answer to the first order may have been lost on its way.
    async fn the_same_order_makes_no_other(&mut self, made: &Made) -> Result<(), Violation> {
        let began = Instant::now();
        let step = "the same order twice makes one instance";
        let again = self.driver.create(&made.order).await;
        let again = again.map_err(|source| Violation::Failed { step: step.to_owned(), source })?;
        self.made.insert(again.id.clone());
        if again.id != made.id {
            return Err(wrong(step, format!("{}, and then {}", made.id, again.id)));
        }
        self.held(step, began);
        Ok(())
    }

    async fn filters_keep_sets_apart(&mut self, ours: &Made, neighbour: &Made) -> Result<(), Violation> {
        let began = Instant::now();
        let step = "a filter keeps sets apart";
        for (made, other) in [(ours, neighbour), (neighbour, ours)] {
            let listed = self.list(step, &self.of_set(&made.set)).await?;
            if listed.iter().any(|it| it.id == other.id) {
                return Err(wrong(step, format!("{} is listed in set {}", other.id, made.set)));
            }
        }
        for made in [ours, neighbour] {
            self.eventually_in("no filter lists all", made, &Tags::default(), |found| found.is_some())
                .await?;
        }
        self.held(step, began);
        Ok(())
    }

    async fn tags_are_merged(&mut self, made: &Made) -> Result<(), Violation> {
        let began = Instant::now();
        let step = "set_tags merges";
        let mut change = Tags::default();
        change.insert("conformance", "changed");
        change.insert("conformance-added", "new");
        let set = self.driver.set_tags(&made.id, &change).await;
        set.map_err(|source| Violation::Failed { step: step.to_owned(), source })?;
        let mut expected = made.tags.clone();
        expected.merge(&change);
        self.eventually(step, made, move |found| found.is_some_and(|it| it.tags.matches(&expected))).await?;
        self.held(step, began);
        Ok(())
    }

    async fn destroyed_is_gone(&mut self, made: &Made) -> Result<(), Violation> {
        let began = Instant::now();
        let step = "a destroyed instance is listed no more";
        let destroyed = self.driver.destroy(&made.id).await;
        destroyed.map_err(|source| Violation::Failed { step: "destroy".to_owned(), source })?;
        self.eventually(step, made, |found| found.is_none()).await?;
        self.made.remove(&made.id);
        self.held(step, began);
        Ok(())
    }

    async fn gone_may_be_destroyed_again(&mut self, made: &Made) -> Result<(), Violation> {
        let began = Instant::now();
        let step = "destroying what is gone is a success";
        let destroyed = self.driver.destroy(&made.id).await;
        destroyed.map_err(|source| Violation::Failed { step: step.to_owned(), source })?;
        self.held(step, began);
        Ok(())
    }

    async fn gone_is_not_tagged(&mut self, made: &Made) -> Result<(), Violation> {
        let began = Instant::now();
        let step = "tagging what is gone says that it is not found";
        let mut change = Tags::default();
        change.insert("conformance", "too late");
        let deadline = began + self.setup.patience;
        loop {
            match self.driver.set_tags(&made.id, &change).await {
                Err(error) if error.kind == CloudErrorKind::NotFound => break,
                Err(source) => return Err(Violation::Failed { step: step.to_owned(), source }),
                // A cloud may remember for a while what has ended, and accept tags for it.
                Ok(()) if Instant::now() < deadline => tokio::time::sleep(self.setup.interval).await,
                Ok(()) => return Err(wrong(step, "it is tagged".to_owned())),
            }
        }
        self.held(step, began);
        Ok(())
    }

    async fn neighbours_are_untouched(&mut self, neighbour: &Made) -> Result<(), Violation> {
        let began = Instant::now();
        let step = "a neighbour's instance keeps its tags and lives";
        let tags = neighbour.tags.clone();
        self.eventually(step, neighbour, move |found| found.is_some_and(|it| it.tags.matches(&tags))).await?;
        self.held(step, began);
        Ok(())
    }

    // ------------------------------------------------------------ helpers

    fn of_set(&self, set: &InstanceSetId) -> Tags {
        let mut filter = Tags::default();
        filter.insert(&*self.setup.tag_keys.instance_set_id, set.as_str());
        filter
    }

    async fn list(&self, step: &str, filter: &Tags) -> Result<Vec<Instance>, Violation> {
        let listed = self.driver.list(filter).await;
        listed.map_err(|source| Violation::Failed { step: step.to_owned(), source })
    }

    /// Lists again and again until what a listing shows of that VM is as expected.
    async fn eventually(
        &self,
        step: &str,
        made: &Made,
        holds: impl Fn(Option<&Instance>) -> bool,
    ) -> Result<(), Violation> {
        self.eventually_in(step, made, &self.of_set(&made.set), holds).await
    }

    async fn eventually_in(
        &self,
        step: &str,
        made: &Made,
        filter: &Tags,
        holds: impl Fn(Option<&Instance>) -> bool,
    ) -> Result<(), Violation> {
        let Setup { patience, interval, .. } = *self.setup;
        let deadline = Instant::now() + patience;
        loop {
            let listed = self.list(step, filter).await?;
            let found = listed.iter().find(|it| it.id == made.id);
            if holds(found) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let seen = format!("{found:?}");
                return Err(Violation::NotInTime { step: step.to_owned(), patience, seen });
            }
            tokio::time::sleep(interval).await;
        }
    }

    fn held(&mut self, step: &str, began: Instant) {
        self.report.steps.push((step.to_owned(), began.elapsed()));
    }
}

/// A VM that the suite has made.
struct Made {
    id: InstanceId,
    set: InstanceSetId,
    tags: Tags,
    order: CreateOrder,
}

fn wrong(step: &str, found: String) -> Violation {
    Violation::Wrong { step: step.to_owned(), found }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use async_trait::async_trait;
    use dispatch_core::id::ProviderType;
    use dispatch_core::ports::{HostKey, HostKeyVerdict};

    use super::*;
    use crate::chance::Span;
    use crate::cloud::knobs::{CloudCall, CloudFault, CloudKnobs};
    use crate::cloud::{FakeCloud, SimCloud};
    use crate::{clock, samples};

    fn setup() -> Setup {
        Setup {
            instance_type: samples::instance_type("small", 2),
            image: "img".to_owned(),
            set: InstanceSetId::new("set-a").unwrap(),
            other_set: InstanceSetId::new("set-b").unwrap(),
            tag_keys: TagKeys::new("Arvados"),
            init_command: "true".to_owned(),
            nonce: "c0ffee".to_owned(),
            patience: Duration::from_secs(120),
            interval: Duration::from_secs(1),
        }
    }

    async fn check(knobs: CloudKnobs) -> (Result<Report, Violation>, Rc<RefCell<FakeCloud>>) {
        clock::begin();
        let cloud = Rc::new(RefCell::new(FakeCloud::new(1, knobs, None)));
        let result = check_driver(&SimCloud::new(cloud.clone()), &setup()).await;
        (result, cloud)
    }

    #[tokio::test(start_paused = true)]
    async fn the_simulated_cloud_passes() {
        let (result, cloud) = check(CloudKnobs::default()).await;
        assert_eq!(result.unwrap().steps.len(), 12);
        assert_eq!(cloud.borrow().existing(clock::now()), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn listings_that_lag_pass_within_the_patience() {
        let lagging = CloudKnobs {
            listed_after: Span::seconds(30),
            tags_lag: Span::seconds(30),
            unlisted_after: Span::seconds(60),
            ..CloudKnobs::default()
        };
        check(lagging).await.0.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_destroy_that_does_nothing_is_found_out() {
        let mut knobs = CloudKnobs::default();
        knobs.strike_next(CloudCall::Destroy, CloudFault::IgnoredSilently);
        let (result, cloud) = check(knobs).await;
        assert!(matches!(result, Err(Violation::NotInTime { .. })), "{result:?}");
        // The suite has destroyed what it made all the same.
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(cloud.borrow().existing(clock::now()), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn tags_that_are_not_set_are_found_out() {
        let mut knobs = CloudKnobs::default();
        knobs.strike_next(CloudCall::SetTags, CloudFault::IgnoredSilently);
        let violation = check(knobs).await.0.unwrap_err().to_string();
        assert!(violation.starts_with("set_tags merges: not within"), "{violation}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failing_call_is_named() {
        let mut knobs = CloudKnobs::default();
        knobs.strike_next(CloudCall::Create, CloudFault::QuotaAll);
        let violation = check(knobs).await.0.unwrap_err().to_string();
        assert!(violation.starts_with("create in set set-a"), "{violation}");
    }

    /// A cloud that makes a new instance for every create, or that accepts tags for gone instances.
    struct Flawed {
        cloud: SimCloud,
        forgets_orders: bool,
        accepts_tags_for_gone_instances: bool,
    }

    #[async_trait(?Send)]
    impl CloudDriver for Flawed {
        async fn create(&self, order: &CreateOrder) -> Result<Instance, CloudError> {
            let secret = if self.forgets_orders { Secret::default() } else { order.secret.clone() };
            self.cloud.create(&CreateOrder { secret, ..order.clone() }).await
        }

        async fn list(&self, filter: &Tags) -> Result<Vec<Instance>, CloudError> {
            self.cloud.list(filter).await
        }

        async fn destroy(&self, id: &InstanceId) -> Result<(), CloudError> {
            self.cloud.destroy(id).await
        }

        async fn set_tags(&self, id: &InstanceId, tags: &Tags) -> Result<(), CloudError> {
            match self.cloud.set_tags(id, tags).await {
                Err(error)
                    if self.accepts_tags_for_gone_instances && error.kind == CloudErrorKind::NotFound =>
                {
                    Ok(())
                }
                other => other,
            }
        }

        async fn verify_host_key(
            &self,
            id: &InstanceId,
            key: &HostKey,
        ) -> Result<HostKeyVerdict, CloudError> {
            self.cloud.verify_host_key(id, key).await
        }

        fn quota_group(&self, provider_type: &ProviderType) -> String {
            self.cloud.quota_group(provider_type)
        }

        fn remote_user(&self) -> &str {
            self.cloud.remote_user()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn instances_made_twice_and_tags_on_a_gone_instance_are_found_out() {
        for (forgets_orders, expected) in [
            (true, "the same order twice makes one instance: i-000001, and then i-000002"),
            (false, "tagging what is gone says that it is not found: it is tagged"),
        ] {
            clock::begin();
            let world = Rc::new(RefCell::new(FakeCloud::new(1, CloudKnobs::default(), None)));
            let cloud = Flawed {
                cloud: SimCloud::new(world.clone()),
                forgets_orders,
                accepts_tags_for_gone_instances: true,
            };
            let violation = check_driver(&cloud, &setup()).await.unwrap_err();
            assert_eq!(violation.to_string(), expected);
            tokio::time::sleep(Duration::from_secs(10)).await;
            assert_eq!(world.borrow().existing(clock::now()), 0, "the second instance is destroyed, too");
        }
    }
}
