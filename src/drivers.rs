//! Which cloud: the one place where a driver's name becomes a driver. One line a driver.

use std::path::PathBuf;
use std::rc::Rc;

use anyhow::{Context, Result, bail};
use dispatch_adapters::loopback::{self, LoopbackCloud};
use dispatch_core::ports::CloudDriver;
use slog::Logger;

use crate::settings::{DriverParameters, Loopback, Settings};

/// The drivers of this version.
pub const BUILT_IN: &[&str] = &["loopback"];

/// An opened cloud.
pub struct Opened {
    /// The driver.
    pub driver: Rc<dyn CloudDriver>,
    /// Makes a loopback cloud's instances misbehave; other clouds need no help with that.
    pub faults: Option<loopback::Faults>,
}

/// Opens the configured cloud. `public_key`: who may log in where a create does not bring a key.
///
/// # Errors
/// If the driver is not built in, or cannot work with its parameters.
pub fn open(settings: &Settings, public_key: &str, log: &Logger) -> Result<Opened> {
    match &settings.driver {
        DriverParameters::Loopback(parameters) => open_loopback(settings, parameters, public_key, log),
        DriverParameters::Ec2(_) => bail!(
            "driver `ec2` is not built into this version yet; built in: {} (`config check` knows its parameters)",
            BUILT_IN.join(", ")
        ),
    }
}

fn open_loopback(
    settings: &Settings,
    parameters: &Loopback,
    public_key: &str,
    log: &Logger,
) -> Result<Opened> {
    let directory = parameters.state_directory.clone().unwrap_or_else(|| default_state_directory(settings));
    let params = loopback::Params {
        instances: parameters.instances as usize,
        boot_delay: parameters.boot_delay,
        state_directory: directory,
        authorized_key: Some(public_key.to_owned()),
    };
    let cloud = LoopbackCloud::open(params, log.clone()).context("cannot open the loopback cloud")?;
    let faults = Some(cloud.faults());
    Ok(Opened { driver: Rc::new(cloud), faults })
}

/// The same at every start, so that a dispatcher started again finds its instances.
fn default_state_directory(settings: &Settings) -> PathBuf {
    std::env::temp_dir().join(format!("arvados-dispatch-loopback-{}", settings.cluster_id))
}
