//! One instance in one subnet, from the first listing to its end.

mod shell;

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use dispatch_core::driver::{CloudCall, DriverAdvice};
use dispatch_core::id::InstanceId;
use dispatch_core::instance::{IdleBehavior, Instance, Tags};
use dispatch_core::ports::{CloudError, CloudErrorKind, CreateOrder};
use futures_util::future::{Either, select};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::advice;
use super::ending::{APPEARS_WITHIN, Ending};
use super::report::{Outcome, Screen, Step, Trouble};
use super::subject::Subject;
use crate::cli::Cloudtest;

/// How often the cloud or the instance is asked again, at most.
const LONGEST_INTERVAL: Duration = Duration::from_secs(5);

/// Why no further step is tried.
pub(super) enum Stop {
    Failed(Trouble),
    Interrupted,
}

impl From<Trouble> for Stop {
    fn from(trouble: Trouble) -> Self {
        Self::Failed(trouble)
    }
}

/// A step's result, and what to say of it.
type Told<T> = Result<(T, String), Stop>;

/// Ctrl-C, to be waited for beside something else.
#[derive(Clone)]
pub(super) struct Interrupt(watch::Receiver<bool>);

impl Interrupt {
    pub fn new(come: watch::Receiver<bool>) -> Self {
        Self(come)
    }

    pub fn has_come(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits for that, and no longer once Ctrl-C has come. For what leaves nothing behind.
    async fn or<T>(&self, work: impl Future<Output = T>) -> Result<T, Stop> {
        let mut come = self.0.clone();
        let come = pin!(come.wait_for(|come| *come));
        match select(come, pin!(work)).await {
            Either::Left(_) => Err(Stop::Interrupted),
            Either::Right((done, _)) => Ok(done),
        }
    }
}

/// What a look has found.
enum Look<T> {
    Found(T),
    /// Not yet: what would be told if time were up now.
    Wait(Trouble),
}

/// One instance's life.
pub(super) struct Trial<'a> {
    subject: &'a Subject,
    options: &'a Cloudtest,
    interrupt: Interrupt,
    screen: Rc<Screen>,
    order: CreateOrder,
    made: Option<InstanceId>,
    /// When it was made, until a listing shows it.
    made_unseen: Cell<Option<Instant>>,
    outcome: Outcome,
}

impl<'a> Trial<'a> {
    pub fn new(
        subject: &'a Subject,
        options: &'a Cloudtest,
        interrupt: Interrupt,
        screen: Rc<Screen>,
    ) -> Self {
        let outcome = Outcome::new(subject.subnet.clone());
        screen.subnet(subject.subnet.as_deref());
        let (order, made_unseen) = (subject.order(), Cell::new(None));
        Self { order, subject, options, interrupt, screen, made: None, made_unseen, outcome }
    }

    /// Tries one step after the other; whatever was made is destroyed in the end.
    pub async fn run(&mut self) {
        // Told already, each with its step; Ctrl-C is told at the end.
        let _ = self.try_it().await;
        self.pause().await;
        // What cannot be destroyed is told as well.
        let _ = self.clean_up().await;
    }

    pub fn into_outcome(self) -> Outcome {
        self.outcome
    }

    async fn try_it(&mut self) -> Result<(), Stop> {
        let began = Instant::now();
        let listed = self.list_all().await;
        self.note("list", began, listed)?;
        let began = Instant::now();
        let left = self.list_set().await;
        let left = self.note("list with a filter", began, left)?;
        self.end_leftovers(left).await?;
        let began = Instant::now();
        let created = self.create().await;
        self.note("create", began, created)?;
        let began = Instant::now();
        let listed = self.is_listed().await;
        self.note("listed with its tags", began, listed)?;
        let began = Instant::now();
        let tagged = self.set_tags().await;
        self.note("set tags", began, tagged)?;
        let began = Instant::now();
        let address = self.address().await;
        let address = self.note("address", began, address)?;
        self.try_shell(&address).await
    }

    // ------------------------------------------------------------ before

    async fn list_all(&self) -> Told<()> {
        let all = self.interrupt.or(self.subject.driver.list(&Tags::default())).await?;
        let all = all.map_err(|error| self.of_cloud(CloudCall::List, &error))?;
        Ok(((), format!("{} instances in all", all.len())))
    }

    async fn list_set(&mut self) -> Told<Vec<Instance>> {
        let ours = self.interrupt.or(self.subject.of_set()).await?;
        let ours = ours.map_err(|error| self.of_cloud(CloudCall::List, &error))?;
        if !ours.is_empty() && !self.options.destroy_existing {
            self.outcome.found_leftovers = true;
            let ids: Vec<_> = ours.iter().map(|it| it.id.as_str()).collect();
            return Err(advice::leftovers(&self.subject.set, &ids).into());
        }
        let told = format!("{} instances in set {}", ours.len(), self.subject.set);
        Ok((ours, told))
    }

    async fn end_leftovers(&mut self, left: Vec<Instance>) -> Result<(), Stop> {
        for instance in left {
            let began = Instant::now();
            let ended = self.end(&instance.id, None).await;
            self.note("destroy what was left", began, ended)?;
        }
        Ok(())
    }

    // ------------------------------------------------------------ the instance

    /// Never given up half-way: an answer that nobody waits for is an instance that nobody destroys.
    async fn create(&mut self) -> Told<()> {
        match self.subject.driver.create(&self.order).await {
            Ok(instance) => {
                let told = format!("instance {} of type {}", instance.id, instance.provider_type);
                self.name(instance.id);
                self.made_unseen.set(Some(Instant::now()));
                Ok(((), told))
            }
            Err(error) => {
                if error.kind == CloudErrorKind::Unknown {
                    self.look_for_doubtful().await;
                }
                Err(self.of_cloud(CloudCall::Create, &error).into())
            }
        }
    }

    fn name(&mut self, id: InstanceId) {
        self.outcome.instance = Some(id.as_str().to_owned());
        self.made = Some(id);
    }

    /// A create without an answer may have made an instance: its secret tells.
    async fn look_for_doubtful(&mut self) {
        let deadline = Instant::now() + APPEARS_WITHIN;
        loop {
            let listed = self.subject.of_set().await.unwrap_or_default();
            let ours = listed.into_iter().find(|it| self.is_ours(it));
            if let Some(instance) = ours {
                return self.name(instance.id);
            }
            if Instant::now() >= deadline {
                return;
            }
            tokio::time::sleep(self.interval()).await;
        }
    }

    fn is_ours(&self, instance: &Instance) -> bool {
        self.subject.tag_keys.secret_of(&instance.tags).as_ref() == Some(&self.order.secret)
    }

    async fn is_listed(&self) -> Told<()> {
        let all = self.eventually(async || self.look_for(&Tags::default(), &self.order.tags).await).await?;
        self.eventually(async || self.look_for(&self.subject.filter(), &self.order.tags).await).await?;
        Ok(((), format!("{} tags", all.tags.0.len())))
    }

    async fn set_tags(&self) -> Told<()> {
        let Some(id) = &self.made else { return Ok(((), String::new())) };
        let tags = self.subject.tag_keys.for_saving(None, IdleBehavior::Drain);
        self.eventually(async || match self.subject.driver.set_tags(id, &tags).await {
            Ok(()) => Ok(Look::Found(())),
            Err(error) => self.patience(CloudCall::SetTags, &error).map(Look::Wait),
        })
        .await?;
        let mut wanted = self.order.tags.clone();
        wanted.merge(&tags);
        self.eventually(async || self.look_for(&self.subject.filter(), &wanted).await).await?;
        Ok(((), "changed, and the others kept".to_owned()))
    }

    /// Our instance with these tags, in a listing with that filter.
    async fn look_for(&self, filter: &Tags, tags: &Tags) -> Result<Look<Instance>, Stop> {
        let listed = match self.subject.driver.list(filter).await {
            Ok(listed) => listed,
            Err(error) => return self.patience(CloudCall::List, &error).map(Look::Wait),
        };
        let found = listed.into_iter().find(|it| Some(&it.id) == self.made.as_ref());
        if found.is_some() {
            self.made_unseen.set(None);
        }
        Ok(match found {
            Some(instance) if instance.tags.matches(tags) => Look::Found(instance),
            Some(instance) => Look::Wait(advice::tags_differ(self.subject.advice(), &instance.tags, tags)),
            None => Look::Wait(advice::not_listed(self.subject.advice(), filter)),
        })
    }

    async fn address(&mut self) -> Told<String> {
        let wanted = Tags::default();
        let found = self
            .eventually(async || {
                Ok(match self.look_for(&self.subject.filter(), &wanted).await? {
                    Look::Found(instance) if instance.address.is_empty() => {
                        Look::Wait(advice::no_address(self.subject.advice()))
                    }
                    other => other,
                })
            })
            .await?;
        let ssh = self.subject.ssh_command(&found.address);
        self.outcome.address = Some(found.address.clone());
        self.outcome.ssh = Some(ssh.clone());
        Ok((found.address, ssh))
    }

    // ------------------------------------------------------------ its end

    async fn pause(&self) {
        let Some(id) = &self.made else { return };
        if !self.options.pause_before_destroy || self.interrupt.has_come() {
            return;
        }
        self.screen.pause(id.as_str());
        // Either is a reason to go on.
        let _ = self.interrupt.or(enter()).await;
    }

    async fn clean_up(&mut self) -> Result<(), Stop> {
        let Some(id) = self.made.clone() else { return Ok(()) };
        let began = Instant::now();
        let ended = self.end(&id, self.made_unseen.get()).await;
        self.note("destroy", began, ended)
    }

    /// Destroys it, and waits until it is listed no more.
    async fn end(&self, id: &InstanceId, made_unseen: Option<Instant>) -> Told<()> {
        let tell = |trouble: Trouble| self.screen.not_destroyed_yet(id.as_str(), &self.clean(trouble));
        let ending = Ending::new(&*self.subject.driver, self.subject.advice(), id, made_unseen, tell);
        ending.wait(self.interval()).await?;
        Ok(((), format!("instance {id} is gone")))
    }

    // ------------------------------------------------------------ tools

    fn of_cloud(&self, call: CloudCall, error: &CloudError) -> Trouble {
        advice::of_cloud(self.subject.advice(), call, error)
    }

    fn patience(&self, call: CloudCall, error: &CloudError) -> Result<Trouble, Stop> {
        patience(self.subject.advice(), call, error)
    }

    fn interval(&self) -> Duration {
        self.subject.settings.policy.probe_interval.min(LONGEST_INTERVAL)
    }

    /// Looks again and again, for as long as an instance may take to boot.
    async fn eventually<T>(&self, look: impl AsyncFn() -> Result<Look<T>, Stop>) -> Result<T, Stop> {
        let patience = self.subject.settings.policy.timeout_booting;
        let deadline = Instant::now() + patience;
        loop {
            let trouble = match self.interrupt.or(look()).await?? {
                Look::Found(found) => return Ok(found),
                Look::Wait(trouble) => trouble,
            };
            if Instant::now() >= deadline {
                return Err(trouble.not_within(patience).into());
            }
            self.interrupt.or(tokio::time::sleep(self.interval())).await?;
        }
    }

    fn clean(&self, trouble: Trouble) -> Trouble {
        trouble.map(|text| self.without_secrets(text))
    }

    fn without_secrets(&self, text: String) -> String {
        self.subject.without_secrets(&text, &self.order.secret)
    }

    fn note<T>(&mut self, name: &'static str, began: Instant, told: Told<T>) -> Result<T, Stop> {
        let (found, result) = match told {
            Ok((found, detail)) => (Ok(found), Ok(detail)),
            Err(Stop::Interrupted) => return Err(Stop::Interrupted),
            Err(Stop::Failed(trouble)) => (Err(Stop::Failed(trouble.clone())), Err(trouble)),
        };
        let result = result.map(|detail| self.without_secrets(detail)).map_err(|trouble| self.clean(trouble));
        let step = Step { name, took: began.elapsed(), result };
        self.screen.step(&step);
        self.outcome.steps.push(step);
        found
    }
}

/// Whether a call about an instance that was just made is worth another try.
pub(super) fn patience(
    driver: &dyn DriverAdvice,
    call: CloudCall,
    error: &CloudError,
) -> Result<Trouble, Stop> {
    let trouble = advice::of_cloud(driver, call, error);
    match error.kind {
        CloudErrorKind::RateLimited { .. } | CloudErrorKind::Unknown => Ok(trouble),
        // Not every part of the cloud knows a new instance at once.
        CloudErrorKind::NotFound => Ok(trouble),
        CloudErrorKind::Other if driver.never_arrived(error) => Ok(trouble),
        CloudErrorKind::Quota(_)
        | CloudErrorKind::Capacity(_)
        | CloudErrorKind::Unauthorized
        | CloudErrorKind::NotSent
        | CloudErrorKind::Other => Err(trouble.into()),
    }
}

/// Enter, or the end of standard input.
async fn enter() {
    let (pressed, wait) = oneshot::channel();
    // A thread that the process does not wait for: after Ctrl-C nobody presses Enter.
    let read = std::thread::Builder::new().spawn(move || {
        let _ = std::io::stdin().read_line(&mut String::new());
        // Ctrl-C may have come first.
        let _ = pressed.send(());
    });
    if read.is_ok() {
        // A sender that is gone has read as well.
        let _ = wait.await;
    }
}
