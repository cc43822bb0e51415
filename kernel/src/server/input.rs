//! Cells that ask the person for a line.

use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};
use jupyter_zmq_client::{RouterRecvConnection, RouterSendConnection};
use serde_json::json;

use super::wire::{self, Outbox, Request};
use crate::output::cell::Shared;

/// The stdin socket.
pub struct Input {
    outbox: Outbox,
    replies: Receiver<String>,
    cell: Shared,
}

impl Input {
    /// Listens on the socket.
    pub fn start((send, mut receive): (RouterSendConnection, RouterRecvConnection), cell: Shared) -> Input {
        let (sender, replies) = crossbeam_channel::bounded(16);
        tokio::spawn(async move {
            loop {
                let reply = wire::read(&mut receive).await;
                // Lines that nobody asked for are left out.
                let _ = sender.try_send(reply.text("value").to_owned());
            }
        });
        Input { outbox: wire::outbox(send), replies, cell }
    }

    /// The person's line; empty where the front end takes none, or the cell was interrupted meanwhile.
    pub fn ask(&self, request: &Request, prompt: &str, password: bool) -> String {
        if !request.flag("allow_stdin", false) {
            return String::new();
        }
        while self.replies.try_recv().is_ok() {}
        let content = json!({"prompt": prompt, "password": password});
        let _ = self.outbox.blocking_send(request.answer("input_request", content));
        loop {
            match self.replies.recv_timeout(Duration::from_millis(50)) {
                // The cell reads one line.
                Ok(line) => return line.replace('\n', " "),
                Err(RecvTimeoutError::Timeout) if self.cell.lock().interrupted.is_none() => {}
                Err(_) => return String::new(),
            }
        }
    }
}
