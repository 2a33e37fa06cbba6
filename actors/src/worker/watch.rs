//! Carries out what the machine decides about watching its VM: begins the command, passes its lines on, ends it.
//!
//! ```text
//!   Watch ─► Executor::watch ─► WatchBegan ─► line ─► WatchTold ─► line … ─► WatchEnded
//!   EndWatch, or the actor's end ─► the port's Watch is dropped, which ends the command on the VM
//! ```
//! A line is passed on when the one before has been taken in, so a VM that floods waits for itself. What is no uuid
//! makes no message.

use std::cell::OnceCell;
use std::rc::Rc;
use std::time::Duration;

use actix::{ActorFutureExt, Addr, AsyncContext, Context, SpawnHandle, WrapFuture};
use dispatch_core::id::ContainerUuid;
use dispatch_core::ports::{Executor, ShellCommand, Watch, WatchEnd};
use dispatch_core::worker::{Completion, watch_script};

use super::Worker;
use crate::messages::worker::WorkerCompletion;

/// Executors have deadlines of their own for beginning a watch; this much is a fault.
const PATIENCE: Duration = Duration::from_secs(60);

/// A watch that was begun. It ends on the VM when this is dropped and its task cancelled.
pub(super) struct OpenWatch {
    task: SpawnHandle,
    /// The command, once it has begun on the VM.
    command: Rc<OnceCell<Rc<dyn Watch>>>,
}

impl Worker {
    pub(super) fn watch(&mut self, number: u64, uuids: &[ContainerUuid], ctx: &mut Context<Self>) {
        self.end_watch(ctx);
        let (executor, me) = (Rc::clone(&self.executor), ctx.address());
        let order = watch_script::command(uuids);
        let command = Rc::new(OnceCell::new());
        let begun = Rc::clone(&command);
        let watching = async move { follow(&*executor, order, &begun, number, &me).await };
        let task = ctx.spawn(watching.into_actor(self).map(move |end, act, ctx| {
            act.watch = None;
            act.complete(Completion::WatchEnded(number, end), ctx);
        }));
        self.watch = Some(OpenWatch { task, command });
    }

    /// The machine adds nothing before it was told that the watch has begun. If that has ended meanwhile, the machine is
    /// about to be told that.
    pub(super) fn add_to_watch(&self, uuid: ContainerUuid) {
        if let Some(command) = self.watch.as_ref().and_then(|watch| watch.command.get()) {
            command.add(&watch_script::line_for(uuid));
        }
    }

    pub(super) fn end_watch(&mut self, ctx: &mut Context<Self>) {
        if let Some(watch) = self.watch.take() {
            ctx.cancel_future(watch.task);
        }
    }
}

/// Begins a watch and passes on what it says, until it ends.
async fn follow(
    executor: &dyn Executor,
    order: ShellCommand,
    command: &OnceCell<Rc<dyn Watch>>,
    number: u64,
    worker: &Addr<Worker>,
) -> WatchEnd {
    let begun = tokio::time::timeout(PATIENCE, executor.watch(order)).await;
    let begun = match begun.unwrap_or(Err(WatchEnd::Hangs)) {
        Ok(watch) => watch,
        Err(end) => return end,
    };
    let watch = command.get_or_init(|| begun);
    worker.do_send(WorkerCompletion { completion: Completion::WatchBegan(number) });
    loop {
        let line = match watch.next().await {
            Ok(line) => line,
            Err(end) => return end,
        };
        let Some(uuid) = watch_script::told_by(&line) else { continue };
        let told = WorkerCompletion { completion: Completion::WatchTold(number, uuid) };
        // An error means that the worker is gone, and this task with it.
        if worker.send(told).await.is_err() {
            return WatchEnd::ConnectionLost;
        }
    }
}
