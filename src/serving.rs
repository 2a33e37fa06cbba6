//! The management API while it is served: its address, its certificate, its end.

use std::io;
use std::net::{Ipv4Addr, TcpListener, ToSocketAddrs};
use std::rc::Rc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use anyhow::{Context, Result, bail};
use dispatch_actors::{catalogue, event};
use slog::Logger;

use crate::api::{self, ApiState, CertReloader};
use crate::settings::{Listener, Settings};

/// Certificates are read anew this often, and on SIGHUP.
const RELOAD_CERTIFICATE: Duration = Duration::from_secs(3600);

/// An address that is ours, not served yet: who calls waits.
pub struct Bound {
    socket: TcpListener,
    chosen: Listener,
}

impl Bound {
    /// The first of the site's listeners that can be bound: on a host with several of them, each belongs to one
    /// process.
    ///
    /// # Errors
    /// If none can.
    pub fn new(settings: &Settings) -> Result<Self> {
        let mut taken = None;
        let mut last = None;
        for listener in &settings.listeners {
            let (host, port) = listener.address();
            match bind(&host, port) {
                Ok(socket) => return Ok(Self { socket, chosen: listener.clone() }),
                Err(error) => {
                    let is_taken = error.kind() == io::ErrorKind::AddrInUse;
                    let is_elsewhere = error.kind() == io::ErrorKind::AddrNotAvailable;
                    let text = format!("cannot listen on {host}:{port}: {error}");
                    if is_taken {
                        taken.get_or_insert(text);
                    } else if is_elsewhere {
                        last = Some(format!("{host}:{port}: {error}"));
                    } else {
                        bail!("{text} (Services.DispatchCloud.InternalURLs)");
                    }
                }
            }
        }
        if let Some(text) = taken {
            bail!("{text} (Services.DispatchCloud.InternalURLs)");
        }
        bail!(
            "cannot listen: no address of Services.DispatchCloud.InternalURLs is this host's ({})",
            last.unwrap_or_else(|| "none configured".to_owned())
        )
    }

    /// Serves from now on.
    ///
    /// # Errors
    /// If the certificate cannot be used, or the server not be started.
    pub fn serve(self, settings: &Settings, state: ApiState) -> Result<Serving> {
        let log = state.log.clone();
        let address = self.socket.local_addr().context("cannot tell the address that is listened on")?;
        let certificate = match self.chosen.is_https() {
            true => {
                Some(Rc::new(CertReloader::new(settings.tls.clone()).context("cannot use TLS.Certificate")?))
            }
            false => None,
        };
        let tls = certificate.as_ref().map(|it| it.server_config());
        let server = api::serve(self.socket, tls, state).context("cannot serve the management API")?;
        let (handle, api_log) = (server.handle(), log.clone());
        actix_rt::spawn(async move {
            // It ends when it is told to, or if its threads cannot be started. Then the work goes on: whoever asks for
            // our health gets no answer.
            if let Err(error) = server.await {
                event!(api_log, catalogue::API_FAILED, "error" => %error);
            }
        });
        let url = url(&self.chosen, address.port());
        event!(log, catalogue::LISTENING, "URL" => &url, "Listen" => %address,
            "Service" => "arvados-dispatch-cloud", "Version" => crate::VERSION);
        Ok(Serving {
            handle,
            reloading: reload_hourly(certificate.clone(), log.clone()),
            certificate,
            url,
            log,
        })
    }
}

/// Binds the first of a host's addresses that can be bound. All addresses are those of IPv4 where there is no IPv6.
fn bind(host: &str, port: u16) -> io::Result<TcpListener> {
    let addresses: Vec<_> = (host, port).to_socket_addrs()?.collect();
    let bound = TcpListener::bind(&*addresses);
    match bound {
        Err(error) if host == "::" && error.kind() != io::ErrorKind::AddrInUse => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).map_err(|_| error)
        }
        bound => bound,
    }
}

/// The management API while it is served.
pub struct Serving {
    handle: ServerHandle,
    certificate: Option<Rc<CertReloader>>,
    reloading: actix_rt::task::JoinHandle<()>,
    url: String,
    log: Logger,
}

impl Serving {
    /// Where it is reached.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Reads the certificate anew; keeps the old one if the new cannot be used.
    pub fn reload_certificate(&self) {
        if let Some(certificate) = &self.certificate {
            reload(certificate, &self.log);
        }
    }

    /// Answers what has been asked, and closes.
    pub async fn stop(self) {
        self.reloading.abort();
        self.handle.stop(true).await;
    }
}

fn reload_hourly(certificate: Option<Rc<CertReloader>>, log: Logger) -> actix_rt::task::JoinHandle<()> {
    actix_rt::spawn(async move {
        let Some(certificate) = certificate else { return };
        loop {
            tokio::time::sleep(RELOAD_CERTIFICATE).await;
            reload(&certificate, &log);
        }
    })
}

/// Keeps the old certificate if the new one cannot be used.
fn reload(certificate: &CertReloader, log: &Logger) {
    if let Err(error) = certificate.reload() {
        event!(log, catalogue::CERTIFICATE_UNUSABLE, "error" => %error);
    }
}

/// What clients call, as configured; where the system chose the port, that port.
fn url(listener: &Listener, port: u16) -> String {
    let mut url = listener.url.clone();
    if listener.url == listener.bind {
        // Cannot fail: it has a host, or it could not have been bound.
        let _ = url.set_port(Some(port));
    }
    url.as_str().trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests;
