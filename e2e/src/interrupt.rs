//! Ctrl-C and SIGTERM: running programs are ended, no new one starts, and what must be taken down still is.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static STOPPED: AtomicBool = AtomicBool::new(false);
static RUNNING: Mutex<Option<HashSet<i32>>> = Mutex::new(None);

/// From now on SIGINT, SIGTERM and SIGHUP make every running [`crate::command::Run`] fail instead of killing the
/// harness, so that it unwinds and takes down what it promised to. They are handled and not blocked, as every program that is started
/// would inherit that.
pub fn install() -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot handle signals")?;
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            for _ in signals.forever() {
                INTERRUPTED.store(true, Ordering::SeqCst);
                stop();
            }
        })
        .context("cannot start the signal thread")?;
    Ok(())
}

/// Ends every running program and lets no new one start until [`resume`].
pub(crate) fn stop() {
    STOPPED.store(true, Ordering::SeqCst);
    for pid in RUNNING.lock().unwrap_or_else(PoisonError::into_inner).iter().flatten() {
        // It may have ended in this moment, which is as good.
        let _ = kill(Pid::from_raw(*pid), Signal::SIGTERM);
    }
}

/// Takes a [`stop`] back, unless a person asked for it.
pub(crate) fn resume() {
    STOPPED.store(interrupted(), Ordering::SeqCst);
}

/// Whether a person asked the harness to stop.
#[must_use]
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// An error once the harness was asked to stop.
pub fn check() -> Result<()> {
    if STOPPED.load(Ordering::SeqCst) {
        bail!("interrupted");
    }
    Ok(())
}

/// A child that is to be ended on an interrupt, until this is dropped.
#[derive(Debug)]
pub(crate) struct Registered(i32);

pub(crate) fn register(pid: u32) -> Registered {
    let pid = pid.cast_signed();
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default().insert(pid);
    Registered(pid)
}

impl Drop for Registered {
    fn drop(&mut self) {
        if let Some(running) = RUNNING.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            running.remove(&self.0);
        }
    }
}
