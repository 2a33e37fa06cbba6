//! Which cloud: the one place where a driver's name becomes a driver. One line a driver.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result};
use dispatch_actors::clock;
use dispatch_adapters::loopback::{self, LoopbackCloud};
use dispatch_core::ports::CloudDriver;
use dispatch_ec2::Ec2Cloud;
use prometheus::Registry;
use slog::Logger;

use crate::settings::{DriverParameters, Loopback, Settings};

/// Deadline of one call to a real cloud.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// An opened cloud.
pub struct Opened {
    /// The driver.
    pub driver: Rc<dyn CloudDriver>,
    /// Makes a loopback cloud's instances misbehave; other clouds need no help with that.
    pub faults: Option<loopback::Faults>,
}

/// Opens the configured cloud. `public_key`: who may log in where a create does not bring a key. `registry`: gets
/// the driver's own series.
///
/// # Errors
/// If the driver cannot work with its parameters.
pub async fn open(
    settings: &Settings,
    public_key: &str,
    registry: &Registry,
    log: &Logger,
) -> Result<Opened> {
    match &settings.driver {
        DriverParameters::Loopback(parameters) => open_loopback(settings, parameters, public_key, log),
        DriverParameters::Ec2(parameters) => open_ec2(parameters, registry, log).await,
    }
}

/// Whether the configured cloud could be opened now: a standby asks, long before it opens one. Touches no cloud.
///
/// # Errors
/// If not.
pub async fn check(settings: &Settings) -> Result<()> {
    match &settings.driver {
        // Its place is its dispatcher's alone.
        DriverParameters::Loopback(_) => Ok(()),
        DriverParameters::Ec2(parameters) => {
            Ec2Cloud::check(parameters).await.context("cannot use driver ec2")
        }
    }
}

async fn open_ec2(parameters: &dispatch_ec2::Params, registry: &Registry, log: &Logger) -> Result<Opened> {
    let options = dispatch_ec2::Options {
        params: parameters.clone(),
        call_timeout: CALL_TIMEOUT,
        now: clock::now,
        registry,
        log: log.clone(),
    };
    let cloud = Ec2Cloud::open(options).await.context("cannot use driver ec2")?;
    Ok(Opened { driver: Rc::new(cloud), faults: None })
}

fn open_loopback(
    settings: &Settings,
    parameters: &Loopback,
    public_key: &str,
    log: &Logger,
) -> Result<Opened> {
    let params = loopback::Params {
        instances: parameters.instances as usize,
        boot_delay: parameters.boot_delay,
        state_directory: state_directory(settings, parameters),
        authorized_key: Some(public_key.to_owned()),
    };
    let cloud = LoopbackCloud::open(params, log.clone()).context("cannot open the loopback cloud")?;
    let faults = Some(cloud.faults());
    Ok(Opened { driver: Rc::new(cloud), faults })
}

/// Where a loopback cloud keeps its instances; `None` for other clouds.
pub(crate) fn loopback_directory(settings: &Settings) -> Option<PathBuf> {
    match &settings.driver {
        DriverParameters::Loopback(parameters) => Some(state_directory(settings, parameters)),
        DriverParameters::Ec2(_) => None,
    }
}

fn state_directory(settings: &Settings, parameters: &Loopback) -> PathBuf {
    parameters.state_directory.clone().unwrap_or_else(|| default_state_directory(settings))
}

/// The same at every start, so that a dispatcher started again finds its instances.
fn default_state_directory(settings: &Settings) -> PathBuf {
    std::env::temp_dir().join(format!("arvados-dispatch-loopback-{}", settings.cluster_id))
}
