//! The shell socket: cells and questions about code, one after the other.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::answers;
use super::history::History;
use super::queue::Queue;
use super::wire::{Outbox, Request};
use crate::output::cell::{Cell, Phase, Shared};
use crate::session::code::{byte_of, character_of};
use crate::session::{Job, Outcome, Session, errors_of_lost_session, interrupt};

/// So long may cells that a front end sent together still be on their way when one of them fails.
const ON_THEIR_WAY: Duration = Duration::from_millis(15);

/// Answers requests.
pub struct Shell {
    outbox: Outbox,
    iopub: Outbox,
    cell: Shared,
    file: interrupt::File,
    session: Session,
    history: History,
    count: u32,
}

impl Shell {
    pub fn new(outbox: Outbox, iopub: Outbox, cell: Shared, file: interrupt::File, session: Session) -> Shell {
        Shell { outbox, iopub, cell, file, session, history: History::default(), count: 0 }
    }

    /// Works until the kernel ends.
    pub async fn run(mut self, queue: Arc<Queue>) {
        loop {
            let (request, aborted) = queue.next().await;
            let request = Arc::new(request);
            self.publish(&request, "status", json!({"execution_state": "busy"})).await;
            if aborted {
                let content =
                    json!({"status": "aborted", "execution_count": self.count, "user_expressions": {}, "payload": []});
                self.answer(&request, "execute_reply", content).await;
            } else {
                self.handle(&request, &queue).await;
            }
            self.publish(&request, "status", json!({"execution_state": "idle"})).await;
        }
    }

    async fn publish(&self, request: &Request, kind: &str, content: Value) {
        let _ = self.iopub.send(request.publication(kind, content)).await;
    }

    async fn answer(&self, request: &Request, kind: &str, content: Value) {
        let _ = self.outbox.send(request.answer(kind, content)).await;
    }

    async fn handle(&mut self, request: &Arc<Request>, queue: &Queue) {
        let (kind, content) = match request.kind.as_str() {
            "execute_request" => ("execute_reply", self.execute(request, queue).await),
            "kernel_info_request" => ("kernel_info_reply", answers::kernel_info()),
            "is_complete_request" => ("is_complete_reply", answers::is_complete(request.text("code"))),
            "history_request" => ("history_reply", self.history.answer(request)),
            "complete_request" => ("complete_reply", self.complete(request).await),
            "inspect_request" => ("inspect_reply", self.inspect(request).await),
            "comm_info_request" => ("comm_info_reply", json!({"status": "ok", "comms": {}})),
            "comm_open" => {
                // No target is known here.
                return self
                    .publish(request, "comm_close", json!({"comm_id": request.content["comm_id"], "data": {}}))
                    .await;
            }
            "comm_msg" | "comm_close" => return,
            other => return eprintln!("flowlens-kernel: {other} is not known here"),
        };
        self.answer(request, kind, content).await;
    }

    async fn execute(&mut self, request: &Arc<Request>, queue: &Queue) -> Value {
        let silent = request.flag("silent", false);
        let code = request.text("code");
        let empty = code.trim().is_empty();
        let stored = !silent && !empty && request.flag("store_history", true);
        if stored {
            self.count += 1;
            self.history.add(self.count, code);
        }
        let count = self.count;
        if !silent {
            self.publish(request, "execute_input", json!({"code": code, "execution_count": count})).await;
        }
        let outcome = if empty { Ok(Vec::new()) } else { self.run_cell(request, silent, count).await };
        match outcome {
            Ok(mut values) => {
                let result = values.pop();
                for value in values {
                    self.show(request, silent, "display_data", json!({"data": value, "metadata": {}, "transient": {}}))
                        .await;
                }
                if let Some(value) = result {
                    self.show(
                        request,
                        silent,
                        "execute_result",
                        json!({"data": value, "metadata": {}, "execution_count": count}),
                    )
                    .await;
                }
                json!({"status": "ok", "execution_count": count, "user_expressions": expressions(request), "payload": []})
            }
            Err(failure) => {
                if request.flag("stop_on_error", true) {
                    tokio::time::sleep(ON_THEIR_WAY).await;
                    queue.abort();
                }
                let error = json!({"ename": failure.name, "evalue": failure.value, "traceback": failure.block});
                self.show(request, silent, "error", error.clone()).await;
                let mut reply =
                    json!({"status": "error", "execution_count": count, "user_expressions": {}, "payload": []});
                for field in ["ename", "evalue", "traceback"] {
                    reply[field] = error[field].clone();
                }
                reply
            }
        }
    }

    async fn show(&self, request: &Request, silent: bool, kind: &str, content: Value) {
        if !silent {
            self.publish(request, kind, content).await;
        }
    }

    async fn run_cell(&self, request: &Arc<Request>, silent: bool, count: u32) -> Outcome {
        {
            let mut cell = self.cell.lock();
            // Under the lock: an interrupt is of the cell before, or of this one.
            self.file.ask(false);
            let number = cell.number + 1;
            *cell =
                Cell { number, request: Some(Arc::clone(request)), silent, phase: Phase::Preparing, ..Cell::default() };
        }
        let (reply, outcome) = oneshot::channel();
        self.session.ask(Job::Execute { request: Arc::clone(request), count, reply });
        outcome.await.unwrap_or_else(|_| Err(errors_of_lost_session()))
    }

    async fn complete(&self, request: &Request) -> Value {
        let (code, position) = place(request);
        let (reply, words) = oneshot::channel();
        self.session.ask(Job::Complete { code: code.clone(), position, reply });
        let found = words.await.unwrap_or_default();
        let (start, end) = (character_of(&code, found.start), character_of(&code, found.end));
        let matches: Vec<&str> = found.words.iter().map(|(word, ..)| &**word).collect();
        let typed = found.words.iter().map(
            |(word, kind, label)| json!({"text": word, "type": kind, "signature": label, "start": start, "end": end}),
        );
        json!({
            "status": "ok",
            "matches": matches,
            "cursor_start": start,
            "cursor_end": end,
            "metadata": {"_jupyter_types_experimental": typed.collect::<Vec<Value>>()},
        })
    }

    async fn inspect(&self, request: &Request) -> Value {
        let (code, position) = place(request);
        let (reply, found) = oneshot::channel();
        self.session.ask(Job::Inspect { code, position, reply });
        match found.await.unwrap_or_default() {
            Some((plain, html)) => {
                json!({"status": "ok", "found": true, "data": {"text/plain": plain, "text/html": html}, "metadata": {}})
            }
            None => json!({"status": "ok", "found": false, "data": {}, "metadata": {}}),
        }
    }
}

/// The code of a question, and the cursor in it, in bytes.
fn place(request: &Request) -> (String, usize) {
    let code = request.text("code").to_owned();
    let character = request.content["cursor_pos"].as_u64().and_then(|at| usize::try_from(at).ok());
    let position = character.map_or(code.len(), |at| byte_of(&code, at));
    (code, position)
}

/// Rust has no expressions to evaluate beside a cell; who asks for some is told.
fn expressions(request: &Request) -> Value {
    let names = request.content["user_expressions"].as_object().into_iter().flat_map(|expressions| expressions.keys());
    let refused = json!({"status": "error", "ename": "Error", "evalue": "this kernel evaluates no user_expressions", "traceback": []});
    names.map(|name| (name.clone(), refused.clone())).collect::<serde_json::Map<String, Value>>().into()
}
