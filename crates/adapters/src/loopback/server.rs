//! The SSH server of one instance. It accepts one key, runs commands in sessions, and offers nothing else.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::{PrivateKey, PublicKey};
use russh::server::{
    Auth, ChannelOpenHandle, Config, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey, run_stream,
};
use russh::{Channel, ChannelId, MethodKind, MethodSet};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::command::{Environment, serve};

/// What a server needs to know about its instance.
#[derive(Clone)]
pub(super) struct Host {
    pub key: PrivateKey,
    /// The key that may log in; `None` = no key may.
    pub authorized: Option<PublicKey>,
    pub environment: Environment,
    /// Whether commands hang, which is a fault for tests.
    pub hang: watch::Receiver<bool>,
}

/// Serves until it is dropped. Then every connection is closed, and its commands end.
pub(super) async fn listen(listener: TcpListener, host: Host) {
    let config = Arc::new(Config {
        methods: MethodSet::from(&[MethodKind::PublicKey][..]),
        auth_rejection_time: Duration::from_millis(100),
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys: vec![host.key.clone()],
        inactivity_timeout: None,
        ..Config::default()
    });
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        // There are no free file descriptors. Waiting helps, because others are closed meanwhile.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        connections.spawn_local(connection(Arc::clone(&config), stream, host.clone()));
    }
}

async fn connection(config: Arc<Config>, stream: TcpStream, host: Host) {
    // With this a command takes 2 ms instead of 44.
    let _ = stream.set_nodelay(true);
    let Ok((stream, _closer)) = with_closer(stream) else { return };
    // The sender is dropped with the handler, and that ends every command.
    let handler = Shell { host, channels: HashMap::new(), connection: watch::Sender::new(()) };
    if let Ok(session) = run_stream(config, stream, handler).await {
        // Whatever the result, the connection has ended.
        let _ = session.await;
    }
}

/// The library serves the connection in a task of its own. Only closing the socket ends that task.
fn with_closer(stream: TcpStream) -> std::io::Result<(TcpStream, Closer)> {
    let stream = stream.into_std()?;
    let closer = Closer(stream.try_clone()?);
    Ok((TcpStream::from_std(stream)?, closer))
}

struct Closer(std::net::TcpStream);

impl Drop for Closer {
    fn drop(&mut self) {
        let _ = self.0.shutdown(std::net::Shutdown::Both);
    }
}

struct Shell {
    host: Host,
    /// Sessions that were opened and have no command yet.
    channels: HashMap<ChannelId, Channel<Msg>>,
    connection: watch::Sender<()>,
}

impl Shell {
    fn judge(&self, user: &str, key: &PublicKey) -> Auth {
        let authorized = self.host.authorized.as_ref().is_some_and(|it| it.key_data() == key.key_data());
        if authorized && user == self.host.environment.user { Auth::Accept } else { Auth::reject() }
    }
}

impl Handler for Shell {
    type Error = russh::Error;

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(self.judge(user, offer.public_key))
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        Ok(self.judge(user, key.public_key))
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.channels.insert(channel.id(), channel);
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        data: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let (Some(channel), Ok(text)) = (self.channels.remove(&id), std::str::from_utf8(data)) else {
            return session.channel_failure(id);
        };
        session.channel_success(id)?;
        let (environment, hangs) = (self.host.environment.clone(), *self.host.hang.borrow());
        let command = serve(channel, text.to_owned(), environment, hangs, self.connection.subscribe());
        #[expect(clippy::disallowed_methods, reason = "no actor here; it ends with the connection")]
        tokio::spawn(command);
        Ok(())
    }

    async fn channel_close(&mut self, id: ChannelId, _session: &mut Session) -> Result<(), Self::Error> {
        self.channels.remove(&id);
        Ok(())
    }
}
