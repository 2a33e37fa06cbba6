//! What a server does by itself. It is noted, and whatever it asks of us is refused.

use std::sync::Arc;

use dispatch_core::ports::{ExecErrorKind, HostKey};
use russh::client::{ChannelOpenHandle, DisconnectReason, Handler, Msg, Session};
use russh::keys::PublicKeyOrCertificate;
use russh::{Channel, ChannelId, Names};
use tokio::sync::watch;

use super::failure::{judge, judge_words};
use super::wire::Traffic;

/// What is known of a connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    /// The key that the server has shown, and has proven to hold.
    pub host_key: Option<HostKey>,
    /// The key exchange that both sides have agreed on.
    pub key_exchange: Option<String>,
    /// What kind of failure the end of the connection is before its login, and why it has ended; `None` = it stands.
    pub end: Option<(ExecErrorKind, String)>,
}

/// Hears the server, on the thread of connections.
pub(super) struct Peer {
    facts: watch::Sender<Facts>,
    traffic: Arc<Traffic>,
}

impl Peer {
    pub(super) fn new(traffic: Arc<Traffic>) -> (Self, watch::Receiver<Facts>) {
        let (facts, known) = watch::channel(Facts::default());
        (Self { facts, traffic }, known)
    }
}

/// The key as text.
fn host_key(key: &PublicKeyOrCertificate) -> Option<HostKey> {
    let PublicKeyOrCertificate::PublicKey { key, .. } = key else { return None };
    let text = key.to_openssh().ok()?;
    let mut words = text.split_ascii_whitespace();
    Some(HostKey { algorithm: words.next()?.to_owned(), base64: words.next()?.to_owned() })
}

/// Channels that the server wants to open are refused by dropping the `reply`. We offer it nothing (no agent, no
/// forwarding), so an honest one never asks.
impl Handler for Peer {
    type Error = russh::Error;

    /// Every key is accepted here: whether it is the VM's is verified after the login and before any command. A
    /// certificate was not asked for.
    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        let key = host_key(shown);
        let is_key = key.is_some();
        self.facts.send_modify(|facts| facts.host_key = key);
        Ok(is_key)
    }

    async fn kex_done(
        &mut self,
        _shared_secret: Option<&[u8]>,
        names: &Names,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        let name = names.kex.as_ref().to_owned();
        self.facts.send_modify(|facts| facts.key_exchange = Some(name));
        Ok(())
    }

    async fn data(&mut self, _: ChannelId, data: &[u8], _: &mut Session) -> Result<(), Self::Error> {
        self.traffic.note_output(data.len());
        Ok(())
    }

    async fn extended_data(
        &mut self,
        _: ChannelId,
        _: u32,
        data: &[u8],
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        self.traffic.note_output(data.len());
        Ok(())
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Self::Error>) -> Result<(), Self::Error> {
        let end = match reason {
            DisconnectReason::ReceivedDisconnect(said) => judge_words(&said.message),
            DisconnectReason::Error(error) => judge(&error, &self.traffic),
        };
        self.facts.send_modify(|facts| facts.end = Some(end));
        Ok(())
    }

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        _: Channel<Msg>,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_session(
        &mut self,
        _: Channel<Msg>,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_x11(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }
}
