//! HTTP over a socket file instead of a network connection.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport};
use ureq::{Error, Timeout};

/// Connects to this file, whatever host the address names.
#[derive(Debug)]
pub struct SocketFile(pub PathBuf);

impl Connector for SocketFile {
    type Out = Stream;

    fn connect(&self, details: &ConnectionDetails, _: Option<()>) -> Result<Option<Stream>, Error> {
        let stream = UnixStream::connect(&self.0).map_err(|e| {
            let why = super::exec::errno_text(&e);
            std::io::Error::other(format!("Invalid Socket File ({}): {why}", self.0.display()))
        })?;
        let buffers = LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(Stream { stream, buffers }))
    }
}

/// No name is looked up: the host is what the server is told.
#[derive(Debug)]
pub struct NoNames;

impl Resolver for NoNames {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let mut one = self.empty();
        one.push(([127, 0, 0, 1], 0).into());
        Ok(one)
    }
}

/// An open connection.
#[derive(Debug)]
pub struct Stream {
    stream: UnixStream,
    buffers: LazyBuffers,
}

/// A read or write that took too long ends as `WouldBlock`.
fn late(e: std::io::Error, reason: Timeout) -> Error {
    match e.kind() {
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => Error::Timeout(reason),
        _ => e.into(),
    }
}

impl Transport for Stream {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let timeout = timeout.for_write();
        self.stream.set_write_timeout(timeout.not_zero().map(|t| *t))?;
        let output = self.buffers.output().get(..amount).unwrap_or_default();
        self.stream.write_all(output).map_err(|e| late(e, timeout.reason))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let timeout = timeout.for_read();
        self.stream.set_read_timeout(timeout.not_zero().map(|t| *t))?;
        let got = self.stream.read(self.buffers.input_append_buf()).map_err(|e| late(e, timeout.reason))?;
        self.buffers.input_appended(got);
        Ok(got > 0)
    }

    fn is_open(&mut self) -> bool {
        // connections are not used twice
        false
    }
}
