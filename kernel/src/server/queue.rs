//! Requests on the shell socket, in their order.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jupyter_zmq_client::RouterRecvConnection;
use tokio::sync::Notify;

use super::wire::{self, Request};

/// What waits. Cells that are aborted stay in it until their turn, so that front ends get answers in order.
#[derive(Default)]
pub struct Queue {
    waiting: Mutex<VecDeque<(Request, bool)>>,
    more: Notify,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, VecDeque<(Request, bool)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next request, and whether it is aborted.
    pub async fn next(&self) -> (Request, bool) {
        loop {
            let next = self.lock().pop_front();
            match next {
                Some(next) => return next,
                None => self.more.notified().await,
            }
        }
    }

    /// Cells that wait now are not to run.
    pub fn abort(&self) {
        for (request, aborted) in self.lock().iter_mut() {
            *aborted |= request.kind == "execute_request";
        }
    }
}

/// Puts in the queue what comes on the socket.
pub async fn fill(queue: Arc<Queue>, mut socket: RouterRecvConnection) {
    loop {
        let request = wire::read(&mut socket).await;
        queue.lock().push_back((request, false));
        queue.more.notify_one();
    }
}
