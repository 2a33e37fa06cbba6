//! SSH servers inside this process that do what Debian's never would.

use std::sync::Arc;

use russh::keys::{Algorithm, PrivateKey};
use russh::server::{
    Auth, ChannelOpenHandle, Config, Handle, Handler, Msg, Session, VerifiedPublicKey, run_stream,
};
use russh::{Channel, ChannelId, Preferred};

/// What a server does that nobody has asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Whim {
    /// It asks for agent channels without end after the login. The system's client logs two lines each time.
    AgentChannelsAfterLogin,
    /// The same when it is to run a command.
    AgentChannelsAtCommand,
    /// It sends requests without end that are unknown to every client.
    Requests,
    /// It sends messages for debugging without end.
    DebugMessages,
    /// It asks for a channel of each kind, and a command's output is how many of them were refused.
    EachChannel,
    /// It ends the session in which a command runs after some of the output, with a status and without its end.
    HalfAnAnswer,
    /// A command's output is `in`.
    None,
}

const MANY: usize = 30_000;

/// A server that lets everybody in.
#[derive(Clone)]
pub struct Peer(Whim);

impl Peer {
    /// Its address. It serves until the runtime of the test ends.
    pub async fn start(whim: Whim) -> String {
        Self::start_with(whim, Preferred::DEFAULT).await
    }

    /// One that has only these algorithms.
    pub async fn start_with(whim: Whim, preferred: Preferred) -> String {
        let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
        let config = Arc::new(Config { keys: vec![key], preferred, ..Config::default() });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        actix_rt::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let config = Arc::clone(&config);
                actix_rt::spawn(async move {
                    let Ok(session) = run_stream(config, stream, Self(whim)).await else { return };
                    // It ends when the client does.
                    let _ = session.await;
                });
            }
        });
        address
    }

    fn ask_for_agents(session: &mut Session) -> Result<(), russh::Error> {
        (0..MANY).try_for_each(|_| session.channel_open_agent().map(drop))
    }
}

impl Handler for Peer {
    type Error = russh::Error;

    async fn auth_publickey(&mut self, _: &str, _: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        Ok(Auth::Accept)
    }

    async fn auth_succeeded(&mut self, session: &mut Session) -> Result<(), Self::Error> {
        match self.0 {
            Whim::AgentChannelsAfterLogin => Self::ask_for_agents(session),
            Whim::Requests => (0..MANY).try_for_each(|_| session.tcpip_forward("", 0, None)),
            Whim::DebugMessages => (0..100).try_for_each(|_| session.debug(true, &"x".repeat(30_000), "")),
            Whim::AgentChannelsAtCommand | Whim::EachChannel | Whim::HalfAnAnswer | Whim::None => Ok(()),
        }
    }

    async fn channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        _: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(id)?;
        match self.0 {
            Whim::AgentChannelsAtCommand => Self::ask_for_agents(session)?,
            Whim::EachChannel => {
                let server = session.handle();
                #[expect(clippy::disallowed_methods, reason = "it waits for the client's answers")]
                tokio::spawn(async move {
                    let refused = ask_for_each_channel(&server).await;
                    let _ = server.data(id, format!("{refused} refused")).await;
                    let _ = server.exit_status_request(id, 0).await;
                    let _ = server.close(id).await;
                });
            }
            Whim::HalfAnAnswer => {
                session.data(id, "half\n")?;
                session.exit_status_request(id, 0)?;
                session.disconnect(russh::Disconnect::ByApplication, "that is all", "")?;
            }
            _ => {
                session.data(id, "in\n")?;
                session.exit_status_request(id, 0)?;
                session.close(id)?;
            }
        }
        Ok(())
    }
}

async fn ask_for_each_channel(server: &Handle) -> usize {
    let asked = [
        server.channel_open_agent().await,
        server.channel_open_session().await,
        server.channel_open_x11("127.0.0.1", 1).await,
        server.channel_open_direct_tcpip("127.0.0.1", 1, "127.0.0.1", 2).await,
        server.channel_open_direct_streamlocal("/tmp/socket").await,
        server.channel_open_forwarded_tcpip("127.0.0.1", 1, "127.0.0.1", 2).await,
        server.channel_open_forwarded_streamlocal("/tmp/socket").await,
    ];
    asked.iter().filter(|asked| matches!(asked, Err(russh::Error::ChannelOpenFailure(_)))).count()
}
