//! The control socket, which is answered also while a cell runs.

use std::sync::Arc;
use std::time::Duration;

use jupyter_zmq_client::RouterRecvConnection;
use serde_json::json;

use super::answers;
use super::queue::Queue;
use super::wire::{self, Outbox};
use crate::session::interrupt::Interrupt;

pub struct Control {
    pub outbox: Outbox,
    pub iopub: Outbox,
    pub interrupt: Interrupt,
    pub queue: Arc<Queue>,
}

impl Control {
    /// Answers until a front end asks to shut down.
    pub async fn run(self, mut socket: RouterRecvConnection) {
        loop {
            let request = wire::read(&mut socket).await;
            let status = |state| request.publication("status", json!({"execution_state": state}));
            let _ = self.iopub.send(status("busy")).await;
            let (kind, content) = match request.kind.as_str() {
                "kernel_info_request" => ("kernel_info_reply", answers::kernel_info()),
                "interrupt_request" => {
                    stop(&self.interrupt, &self.queue);
                    ("interrupt_reply", json!({"status": "ok"}))
                }
                "shutdown_request" => {
                    ("shutdown_reply", json!({"status": "ok", "restart": request.flag("restart", false)}))
                }
                other => {
                    eprintln!("flowlens-kernel: {other} is not known here");
                    let _ = self.iopub.send(status("idle")).await;
                    continue;
                }
            };
            let _ = self.outbox.send(request.answer(kind, content.clone())).await;
            if kind == "shutdown_reply" {
                let _ = self.iopub.send(request.publication(kind, content)).await;
            }
            let _ = self.iopub.send(status("idle")).await;
            if kind == "shutdown_reply" {
                // The sockets' own tasks send it.
                tokio::time::sleep(Duration::from_millis(100)).await;
                return;
            }
        }
    }
}

/// Stops the cell that runs, if one does, and those that wait.
pub fn stop(interrupt: &Interrupt, queue: &Queue) {
    if interrupt.stop() {
        queue.abort();
    }
}
