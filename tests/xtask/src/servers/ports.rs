//! The ports of the private servers.

use std::{
    net::{Ipv4Addr, TcpListener},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context, Result};

/// Where to look: below the range from which the operating system takes the near ends of outgoing
/// connections, so that none of those gets a port between its choice and its server's start, and above
/// that of the processes in the stories.
const FIRST: u16 = 25_000;
const COUNT: u16 = 7_000;
/// How far apart two processes with neighbouring ids begin to look.
const STRIDE: u32 = 20;

/// One port each; all of them were free a moment ago.
pub struct Ports {
    pub postgres: u16,
    pub amqp: u16,
    pub management: u16,
    pub distribution: u16,
    pub epmd: u16,
    pub redis: u16,
}

impl Ports {
    /// Chooses six different ports on which nobody listens.
    ///
    /// # Errors
    ///
    /// There are not so many.
    pub fn choose() -> Result<Self> {
        // Servers of one process that start at once look at different places, too.
        static CHOSEN: AtomicU32 = AtomicU32::new(0);
        let beginning = process::id().wrapping_mul(STRIDE);
        let beginning = beginning.wrapping_add(CHOSEN.fetch_add(STRIDE, Ordering::Relaxed));
        let start = (beginning % u32::from(COUNT)) as u16;
        // All are held until the last one is found, so that no two are the same.
        let mut held: Vec<(u16, TcpListener)> = (0..COUNT)
            .map(|step| FIRST + (start + step) % COUNT)
            .filter_map(|port| {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()?;
                Some((port, listener))
            })
            .take(6)
            .collect();
        let mut next = || held.pop().map(|(port, _)| port).context("no port is free");
        Ok(Self {
            postgres: next()?,
            amqp: next()?,
            management: next()?,
            distribution: next()?,
            epmd: next()?,
            redis: next()?,
        })
    }
}
