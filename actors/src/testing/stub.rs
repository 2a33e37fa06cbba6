//! A recipient of one kind of message: notes each with its time, and answers as told.

use std::cell::RefCell;
use std::rc::Rc;

use actix::{Actor, Context, Handler, Message, Recipient, ResponseFuture};
use dispatch_core::time::Timestamp;

use crate::clock;

type Seen<M> = Rc<RefCell<Vec<(Timestamp, M)>>>;
type Reply<M> = Box<dyn FnMut(&M) -> ResponseFuture<<M as Message>::Result>>;

/// What was told, and to whom to tell it.
pub struct Stub<M: Message + Send + 'static>
where
    M::Result: Send,
{
    pub recipient: Recipient<M>,
    seen: Seen<M>,
}

struct Ear<M: Message> {
    seen: Seen<M>,
    reply: Reply<M>,
}

impl<M: Message + Unpin + 'static> Actor for Ear<M> {
    type Context = Context<Self>;
}

impl<M: Message + Unpin + 'static> Handler<M> for Ear<M> {
    type Result = ResponseFuture<M::Result>;

    fn handle(&mut self, message: M, _: &mut Context<Self>) -> Self::Result {
        let reply = (self.reply)(&message);
        self.seen.borrow_mut().push((clock::now(), message));
        reply
    }
}

impl<M: Message + Send + Unpin + 'static> Stub<M>
where
    M::Result: Send,
{
    /// Answers with what `reply` says.
    pub fn new<F>(mut reply: impl FnMut(&M) -> F + 'static) -> Self
    where
        F: Future<Output = M::Result> + 'static,
    {
        let seen = Seen::default();
        let reply: Reply<M> = Box::new(move |message| Box::pin(reply(message)));
        let ear = Ear { seen: Rc::clone(&seen), reply };
        Self { recipient: ear.start().recipient(), seen }
    }

    /// What was told since the last look, with its time.
    pub fn take(&self) -> Vec<(Timestamp, M)> {
        self.seen.take()
    }

    /// What was told since the last look.
    pub fn messages(&self) -> Vec<M> {
        self.take().into_iter().map(|(_, message)| message).collect()
    }

    /// How many were told since the last look.
    pub fn count(&self) -> usize {
        self.take().len()
    }
}

impl<M: Message<Result = ()> + Send + Unpin + 'static> Stub<M> {
    /// Takes everything.
    pub fn silent() -> Self {
        Self::new(|_| async {})
    }
}
